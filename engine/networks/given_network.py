"""A network of the person's own process: taken out of its wrappers, used, and left as it was."""

from __future__ import annotations

import copy
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any

from engine.core.errors import ModelError, OptionError

if TYPE_CHECKING:
    import torch

_CHOOSING = "Choosing the model"
_CONTAINERS = (dict, OrderedDict, list, tuple)
_QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


def given_network(model: object) -> torch.nn.Module:
    """Take a network out of what `torch.compile`, parallel training or `torch.export` wrap it in.

    Raises:
        OptionError: It is no network.
        ModelError: Its weights are quantized, sharded, or not there yet.
    """
    import torch

    if isinstance(model, torch.export.ExportedProgram):
        network: torch.nn.Module = model.module()
    elif isinstance(model, torch.nn.Module):
        network = _unwrap(model)
    else:
        raise _no_network(model)
    _demand_weights(network)
    return network


def _unwrap(network: torch.nn.Module) -> torch.nn.Module:
    from torch.nn.parallel import DataParallel, DistributedDataParallel
    from torch.optim.swa_utils import AveragedModel

    attributes: dict[type, str] = dict.fromkeys(
        (DataParallel, DistributedDataParallel, AveragedModel), "module"
    )
    if (dynamo := sys.modules.get("torch._dynamo")) is not None:
        attributes[dynamo.OptimizedModule] = "_orig_mod"
    while wrappers := [kind for kind in attributes if isinstance(network, kind)]:
        network = getattr(network, attributes[wrappers[0]])
    return network


def _no_network(model: object) -> OptionError:
    name = getattr(model, "__name__", type(model).__name__)
    if isinstance(model, type):
        got = f"the class {name}"
        todo = f"Make a network of it: engine.convert({name}(...))."
    elif callable(model):
        got = f"{name}, which can be called but is no torch.nn.Module"
        todo = (
            f"If it makes a network, call it: engine.convert({name}(...)). If it computes logits, "
            "call it in the forward of a torch.nn.Module."
        )
    elif isinstance(model, Mapping):
        got = f"a {type(model).__name__}, as a state dict is"
        todo = "Load it into its network and give that, or save it and give its file as checkpoint."
    else:
        got = f"a value of type {type(model).__name__}"
        todo = "Give the network itself; the path of an ONNX file goes to onnx."
    return OptionError(
        _CHOOSING,
        got=got,
        expected="a name in the catalogue, or a torch.nn.Module that takes a picture",
        todo=todo,
    )


def _demand_weights(network: torch.nn.Module) -> None:
    quantized = next((m for m in network.modules() if type(m).__module__.startswith(_QUANTIZED)), 0)
    if quantized:
        raise _refusal(
            f"quantized layers ({type(quantized).__name__} of {type(quantized).__module__})",
            "Give the float network that it was made from: the variants are quantized here.",
        )
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if (reason := _why_no_weight(tensor)) is not None:
            got, todo = reason
            raise _refusal(f"the weight {name}, {got}", todo)


def _why_no_weight(tensor: torch.Tensor) -> tuple[str, str] | None:
    """Say what a tensor is that holds no float numbers of its own, and what to do."""
    from torch.nn.parameter import is_lazy

    if is_lazy(tensor):
        return (
            "which has no shape yet",
            "Show the network a picture once, then train it or load its weights.",
        )
    if tensor.is_meta:
        return (
            "which is on the device meta and holds no numbers",
            "Build the network on a real device and load its weights.",
        )
    if tensor.is_quantized:
        return "which is quantized", "Give the float network that it was made from."
    if hasattr(tensor, "__tensor_flatten__"):
        return (
            f"which is a {type(tensor).__name__}",
            "Give the network with ordinary tensors: gathered, and before it was quantized.",
        )
    return None


def _refusal(got: str, todo: str) -> ModelError:
    return ModelError(
        _CHOOSING, got=got, expected="a network with its weights, in floats", todo=todo
    )


def number_formats(network: torch.nn.Module) -> tuple[str, ...]:
    """Name the types of a network's floating-point weights that are not float32."""
    import torch

    tensors = (*network.parameters(), *network.buffers())
    dtypes = {t.dtype for t in tensors if t.is_floating_point()} - {torch.float32}
    return tuple(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))


def holds_fake_quantization(network: torch.nn.Module) -> bool:
    """Tell whether a network was prepared for training that simulates quantization."""
    return any(map(_is_fake_quantization, network.modules()))


def _is_fake_quantization(module: torch.nn.Module) -> bool:
    simulation = sys.modules.get("torch.ao.quantization.fake_quantize")
    return simulation is not None and isinstance(module, simulation.FakeQuantizeBase)


@contextmanager
def in_float32(network: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Have a network in evaluation mode, in float32 on the processor, while the context lasts.

    What its modules hold is exchanged for copies and put back: the tensors themselves, gradients,
    buffers, flags and hooks are never touched, and nothing has to be picklable. Random state,
    gradient mode, default type and device, autocast and `torch.compile` do not reach in or out.
    Simulated quantization is left out.

    Yields:
        The network; a copy where it is scripted, since its state lies in C++.
    """
    with ExitStack() as stack:
        _isolate(stack)
        copies = _Copies()
        copied = copies.of(network)
        for module in copies.modules:  # it grows: modules hold modules
            before = dict(module.__dict__)
            stack.callback(_put_back, module, before)
            module.__dict__.update({name: copies.of(value) for name, value in before.items()})
            module.__dict__["training"] = False
            if _is_fake_quantization(module):
                module.__dict__["forward"] = _as_it_is
            for method in ("train", "eval"):  # those of exported programs refuse to be called
                module.__dict__.pop(method, None)
        yield copied


def _as_it_is(values: torch.Tensor) -> torch.Tensor:
    return values


def _put_back(module: torch.nn.Module, attributes: dict[str, Any]) -> None:
    module.__dict__.clear()
    module.__dict__.update(attributes)


class _Copies:
    """Copies of tensors and scripted modules, in containers too; the rest stays what it is.

    Attributes:
        modules: Every other module that was met, each once, without its wrappers.
    """

    def __init__(self) -> None:
        self.modules: list[torch.nn.Module] = []
        self._by_id: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        """Copy a value, each once, and take off what `torch.compile` put around it."""
        import torch

        if id(value) in self._by_id:
            return self._by_id[id(value)]
        if isinstance(value, torch.Tensor):
            copied: Any = _plain_copy(value)
        elif isinstance(value, torch.jit.ScriptModule):
            copied = copy.deepcopy(value).to("cpu", torch.float32).eval()
        elif isinstance(value, torch.nn.Module):
            inner = _unwrap(value)
            copied = value if inner is value else self.of(inner)
            if inner is value:
                self.modules.append(value)
        elif isinstance(value, FunctionType):
            copied = getattr(value, "_torchdynamo_orig_callable", value)
        elif type(value) in _CONTAINERS:
            return self._of_container(value)
        else:
            return value
        self._by_id[id(value)] = copied
        return copied

    def _of_container(self, value: Any) -> Any:
        self._by_id[id(value)] = copied = type(value)()  # first, since it may hold itself
        if isinstance(value, Mapping):
            copied.update({key: self.of(part) for key, part in value.items()})
        elif isinstance(value, list):
            copied.extend(map(self.of, value))
        else:
            self._by_id[id(value)] = copied = tuple(map(self.of, value))
        return copied


def _plain_copy(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    values = tensor.detach().to("cpu", dtype, copy=True)
    is_parameter = isinstance(tensor, torch.nn.Parameter)
    return torch.nn.Parameter(values, requires_grad=False) if is_parameter else values


def _isolate(stack: ExitStack) -> None:
    """Set what a process may have set for all of torch to its usual values, until the end."""
    import torch

    stack.callback(torch.set_default_dtype, torch.get_default_dtype())
    torch.set_default_dtype(torch.float32)
    # The fast path of attention has no translation to ONNX.
    stack.callback(
        torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled()
    )
    torch.backends.mha.set_fastpath_enabled(False)
    for context in (
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast("cpu", enabled=False),
        torch.device("cpu"),
    ):
        stack.enter_context(context)
    if "torch._dynamo" in sys.modules:
        stack.enter_context(torch.compiler.set_stance("force_eager"))
