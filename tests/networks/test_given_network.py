"""Whatever a network is wrapped in, and in whatever state it is, it is used and left so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrizations, prune

from engine.core.errors import ModelError, OptionError
from engine.networks.given_network import (
    given_network,
    holds_fake_quantization,
    in_float32,
    number_formats,
)
from tests.helpers.tiny_network import Answering, tiny_network

PICTURE = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
Network = torch.nn.Module


def expected(network: Network | None = None) -> np.ndarray:
    with torch.inference_mode():
        answer: np.ndarray = (network or tiny_network()).eval()(PICTURE).numpy()
    return answer


def answer_of(network: Network) -> np.ndarray:
    with in_float32(network) as float_network:
        assert not any(module.training for module in float_network.modules())
        answer: torch.Tensor = float_network(PICTURE)
    assert answer.dtype == torch.float32
    assert not answer.requires_grad
    return answer.numpy()


def state_of(network: Network) -> list[object]:
    """Identity of everything that modules hold, and the bits of their tensors."""
    held: list[object] = [torch.get_rng_state().tolist()]
    for module in network.modules():
        held.append({name: id(value) for name, value in module.__dict__.items()})
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                bits = None if tensor is None else tensor.detach().tolist()
                grad = None if tensor is None or tensor.grad is None else tensor.grad.tolist()
                held.append((name, id(tensor), bits, grad))
    return held


def trained_a_step() -> Network:
    network = tiny_network()
    network(PICTURE.repeat(2, 1, 1, 1)).sum().backward()
    network[1].eval()  # a frozen norm in a network in training mode
    network[0].weight.requires_grad_(False)
    return network


def with_hook() -> Network:
    network = tiny_network()
    network[-1].register_forward_hook(lambda module, inputs, output: output * 1)
    return network


def unpicklable() -> Network:
    network = tiny_network()
    network.lock = threading.Lock()
    network.rows = (row for row in range(3))
    return network


def with_weight_norm() -> Network:
    network = tiny_network()
    torch.nn.utils.weight_norm(network[0])  # its weight is no leaf: deepcopy refuses it
    network(PICTURE.repeat(2, 1, 1, 1))
    return network


def pruned() -> Network:
    network = tiny_network()
    prune.l1_unstructured(network[0], "weight", 0.3)
    return network


def parametrized() -> Network:
    network = tiny_network()
    parametrizations.weight_norm(network[0])
    return network


STATES = {
    "training mode": tiny_network,
    "evaluation mode": lambda: tiny_network().eval(),
    "gradients and a frozen norm": trained_a_step,
    "channels last": lambda: tiny_network().to(memory_format=torch.channels_last),
    "a hook": with_hook,
    "a lock and a generator": unpicklable,
    "weight norm": with_weight_norm,
    "a parametrization": parametrized,
    "pruned": pruned,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("state", STATES)
def test_it_is_left_as_it_was(state: str) -> None:
    network = STATES[state]()
    before = state_of(network)
    answer = answer_of(given_network(network))
    assert state_of(network) == before
    np.testing.assert_allclose(answer, expected(network), atol=1e-6)


def test_it_is_left_as_it_was_where_it_fails() -> None:
    network = Answering(lambda body, picture: body(picture) / 0 + [][1])
    before = state_of(network)
    with pytest.raises(IndexError):
        answer_of(network)
    assert state_of(network) == before


def test_what_a_forward_changes_is_put_back() -> None:
    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.calls, self.sums = tiny_network(), 0, [1.0]
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            self.sums.append(float(picture.sum()))
            self.seen += 1
            return self.body(picture + torch.rand(1) * 0)

    network = Counting()
    before = state_of(network)
    answer_of(network)
    assert state_of(network) == before
    assert (network.calls, network.sums, float(network.seen)) == (0, [1.0], 0.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_computed_in_float32(dtype: torch.dtype) -> None:
    network = tiny_network().to(dtype)
    rounded = tiny_network()
    rounded.load_state_dict({k: v.to(dtype).float() for k, v in rounded.state_dict().items()})
    np.testing.assert_allclose(answer_of(network), expected(rounded), atol=1e-6)
    assert network[0].weight.dtype == dtype
    assert number_formats(network) == (str(dtype).removeprefix("torch."),)
    assert number_formats(tiny_network()) == ()


def test_tensors_beside_the_weights_are_floats_too() -> None:
    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.LSTM(48, 4, batch_first=True)
            self.scales = {"all": [torch.full((1,), 2.0)]}

        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            states, _ = self.rnn(picture.permute(0, 2, 1, 3).flatten(2))
            return states[:, -1] * self.scales["all"][0]

    network = Scaled().half()
    network.scales["all"][0] = network.scales["all"][0].half()
    assert answer_of(network).shape == (1, 4)
    assert network.scales["all"][0].dtype == torch.float16


def test_modules_in_plain_lists_are_used_and_left_alike() -> None:
    class Listed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = [tiny_network().half()]
            self.parts.append(self.parts)  # a container that holds itself

        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            return self.parts[0](picture)

    network = Listed()
    before = state_of(network.parts[0])
    np.testing.assert_allclose(answer_of(network), expected(), atol=1e-2)
    assert state_of(network.parts[0]) == before
    assert network.parts[0].training


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


SURROUNDINGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "inference mode": torch.inference_mode,
    "autocast": partial(torch.autocast, "cpu", dtype=torch.bfloat16),
    "a default device": partial(torch.device, "meta"),
    "a default type": default_dtype,
    "gradients": nullcontext,
}


def settings_of_process() -> tuple[object, ...]:
    return (
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.empty(1).device,
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.backends.mha.get_fastpath_enabled(),
    )


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_what_a_process_set_does_not_reach_in_and_stays(surroundings: str) -> None:
    network = Answering(lambda body, picture: body(picture + torch.zeros(1)))
    plain = expected(network)
    with SURROUNDINGS[surroundings]():
        before = settings_of_process()
        np.testing.assert_allclose(answer_of(network), plain, atol=1e-6)
        assert settings_of_process() == before


def test_a_network_made_in_inference_mode() -> None:
    with torch.inference_mode():
        network = tiny_network()
    np.testing.assert_allclose(answer_of(network), expected(), atol=1e-6)


def test_wrappers_of_parallel_and_averaged_training_are_taken_off() -> None:
    network = tiny_network()
    assert given_network(torch.nn.DataParallel(torch.nn.DataParallel(network))) is network
    averaged = torch.optim.swa_utils.AveragedModel(network)
    assert given_network(averaged) is averaged.module
    within = torch.nn.Sequential(torch.nn.DataParallel(network[:3]), *network[3:])
    np.testing.assert_allclose(answer_of(within), expected(), atol=1e-6)
    assert isinstance(within[0], torch.nn.DataParallel)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_simulated_quantization_is_left_out() -> None:
    network = tiny_network()
    network.qconfig = torch.ao.quantization.get_default_qat_qconfig("x86")
    prepared = torch.ao.quantization.prepare_qat(network)
    prepared(PICTURE)
    before = state_of(prepared)
    answer = answer_of(given_network(prepared))
    assert state_of(prepared) == before
    plain = tiny_network()
    state = prepared.state_dict()
    plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    np.testing.assert_allclose(answer, expected(plain), atol=1e-5)
    assert np.abs(prepared.eval()(PICTURE).detach().numpy() - answer).max() > 1e-3
    assert holds_fake_quantization(prepared)
    assert not holds_fake_quantization(plain)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_scripted_networks_are_copied() -> None:
    for scripted in (torch.jit.script(tiny_network()), torch.jit.script(tiny_network().half())):
        dtype = next(scripted.parameters()).dtype
        np.testing.assert_allclose(answer_of(scripted), expected(), atol=1e-2)
        assert scripted.training
        assert next(scripted.parameters()).dtype == dtype
    partly = torch.nn.Sequential(torch.jit.script(tiny_network()[:3].half()), *tiny_network()[3:])
    np.testing.assert_allclose(answer_of(partly), expected(), atol=1e-2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_networks_are_what_was_compiled() -> None:
    network = tiny_network()
    assert given_network(torch.nn.DataParallel(torch.compile(network))) is network
    assert given_network(torch.compile(torch.nn.DataParallel(network))) is network
    compiled_in_place = tiny_network()
    compiled_in_place.compile()
    forward = tiny_network()
    forward.forward = torch.compile(forward.forward)
    within = Answering(torch.compile(lambda body, picture: body(picture)))
    for wrapped in (
        compiled_in_place,
        forward,
        within,
        torch.nn.Sequential(torch.compile(network)),
    ):
        before = state_of(wrapped)
        with in_float32(given_network(wrapped)) as float_network:
            traced = torch.jit.trace(float_network, PICTURE, check_trace=False)
        np.testing.assert_allclose(traced(PICTURE).detach().numpy(), expected(), atol=1e-6)
        assert state_of(wrapped) == before


@pytest.mark.slow
def test_an_exported_program_is_its_module() -> None:
    program = torch.export.export(tiny_network().eval(), (PICTURE,))
    module = program.module()
    before = state_of(module)
    for given in (program, module):
        with in_float32(given_network(given)) as float_network:
            answer = float_network.eval()(PICTURE)
        np.testing.assert_allclose(answer, expected(), atol=1e-6)
    assert state_of(module) == before


def lazy() -> Network:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(5))


def on_meta() -> Network:
    with torch.device("meta"):
        return tiny_network()


def sparse_subclass() -> Network:
    class Packed(torch.Tensor):
        def __tensor_flatten__(self) -> None: ...

    network = tiny_network()
    network.register_buffer("table", torch.zeros(3).as_subclass(Packed))
    return network


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_networks_without_float_weights_are_refused() -> None:
    quantized = torch.ao.nn.quantized.dynamic.Linear(4, 4)
    for network, reason in (
        (lazy(), r"weight 1\.weight, which has no shape yet; .*Show the network a picture once"),
        (on_meta(), r"weight 0\.weight, which is on the device meta"),
        (sparse_subclass(), r"weight table, which is a Packed"),
        (torch.nn.Sequential(quantized), r"quantized layers \(Linear of torch\.ao\.nn\.quant"),
    ):
        with pytest.raises(ModelError, match=reason):
            given_network(network)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (torch.nn.Linear, r"the class Linear; .*engine\.convert\(Linear\(\.\.\.\)\)"),
        (tiny_network, r"tiny_network, which can be called .*call it: engine\.convert\(tiny_net"),
        (lambda picture: picture, r"<lambda>, which can be called .*forward of a torch\.nn"),
        ({"weight": torch.zeros(1)}, r"a dict, as a state dict is; .*as checkpoint"),
        (3, r"a value of type int"),
    ],
)
def test_what_is_no_network_is_refused(value: object, reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        given_network(value)
