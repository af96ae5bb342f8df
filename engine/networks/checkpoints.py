"""A person's own state dict: read without running code, fitted to a network, or refused.

Only tensors are read: ``torch.load(weights_only=True)`` and safetensors. What a file is, is
decided by its content, not by its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ModelError
from engine.limits import LIMITS
from engine.networks.checkpoint_contents import STAGE, demand_tensors, refused

if TYPE_CHECKING:
    import torch

    StateDict = dict[str, torch.Tensor]

_WRAPPINGS = ("state_dict", "model_state_dict", "model", "net", "network")
_PREFIXES = ("module.", "_orig_mod.", "model.")


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_state_dict(path: Path) -> StateDict:
    """Read the tensors of a checkpoint.

    Wrappings such as ``{"state_dict": ...}`` and key prefixes such as ``module.`` are removed.

    Args:
        path: A ``torch.save`` file of tensors, or a safetensors file.

    Returns:
        Tensors by parameter name.

    Raises:
        ModelError: The file is absent, damaged, holds code, or holds no state dict.
    """
    if not path.is_file():
        raise ModelError(
            STAGE, got=f"no file at {path}", expected="a checkpoint file", todo="Check the path."
        )
    kind = demand_tensors(path)
    content = _read_safetensors(path) if kind.name == "safetensors" else _read_torch(path)
    state = _without_prefixes(_unwrapped(content, path))
    _demand_ordinary(state, path)
    return state


def _read_safetensors(path: Path) -> Mapping[str, object]:
    import safetensors
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, MemoryError) as error:
        raise refused(path, f"a damaged safetensors file ({error})") from error


def _read_torch(path: Path) -> object:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever the bytes provoke
        raise refused(path, "a damaged checkpoint, or one with more than tensors") from error


def _demand_ordinary(state: StateDict, path: Path) -> None:
    """Refuse tensors whose claims a network could not hold; a stride of 0 makes any claim cheap."""
    import torch

    total = sum(tensor.numel() for tensor in state.values())
    if total > LIMITS.model_parameters:
        raise refused(
            path,
            f"{total:,} numbers",
            f"at most {LIMITS.model_parameters:,}, as a TFLite file holds",
        )
    for key, tensor in state.items():
        dense = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not dense or tensor.is_quantized or tensor.is_complex():
            raise refused(
                path,
                f"{key}, which is sparse, quantized, complex or empty of numbers",
                "dense tensors of real numbers",
            )


def _unwrapped(content: object, path: Path) -> StateDict:
    import torch

    while isinstance(content, Mapping):
        if content and all(isinstance(value, torch.Tensor) for value in content.values()):
            return {str(key): value for key, value in content.items()}
        inner = next(
            (content[key] for key in _WRAPPINGS if isinstance(content.get(key), Mapping)), None
        )
        if inner is None:
            break
        content = inner
    raise refused(path, f"{type(content).__name__} without a state dict in it")


def _without_prefixes(state: StateDict) -> StateDict:
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in state):
            return _without_prefixes({key.removeprefix(prefix): state[key] for key in state})
    return state


def fitted_network(
    build: Callable[[int], torch.nn.Module], state: StateDict, name: str
) -> torch.nn.Module:
    """Build a network with as many classes as a checkpoint's head has, and load it.

    The head is found by building the network for two numbers of classes: its parameters are
    those whose shape differs.

    Args:
        build: Makes the network for a number of classes.
        state: Tensors by parameter name.
        name: What to call the network in messages.

    Returns:
        The network with the checkpoint's weights.

    Raises:
        ModelError: Keys are missing or unexpected, or a shape is wrong; the message names them.
    """
    network = build(_classes_of(build, state))
    expected = network.state_dict()
    # Checkpoints from before torch 0.4.1 have no counters, and evaluation does not use them.
    missing = [
        key for key in expected if key not in state and not key.endswith("num_batches_tracked")
    ]
    unexpected = [key for key in state if key not in expected]
    wrong = [
        f"{key} {list(state[key].shape)} instead of {list(expected[key].shape)}"
        for key in state
        if key in expected and state[key].shape != expected[key].shape
    ]
    if missing or unexpected or wrong:
        parts = [
            _listed("missing", missing),
            _listed("unexpected", unexpected),
            _listed("of another shape", wrong),
        ]
        raise ModelError(
            f"Fitting the checkpoint to {name}",
            got="; ".join(part for part in parts if part),
            expected=f"the {len(expected)} tensors of {name}",
            todo="Choose the network that the checkpoint was trained with.",
        )
    network.load_state_dict(state, strict=False)
    return network


def _classes_of(build: Callable[[int], torch.nn.Module], state: StateDict) -> int:
    default, other = 1000, 1001
    one, two = _layout_of(build, default), _layout_of(build, other)
    head = [key for key in one if one[key].shape != two[key].shape]
    for key in head:
        # Only the number of classes may differ: a head of any other shape would be built in vain.
        shape: tuple[int, ...] = tuple(state[key].shape) if key in state else ()
        if len(shape) == one[key].ndim and shape[1:] == tuple(one[key].shape[1:]):
            return shape[0] or default
    return default


def _layout_of(build: Callable[[int], torch.nn.Module], classes: int) -> StateDict:
    """A state dict for its shapes; without its numbers where that is possible."""
    import torch

    try:
        with torch.device("meta"):
            return build(classes).state_dict()
    except NotImplementedError:  # RegNet computes its widths with tensors
        return build(classes).state_dict()


def _listed(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    shown = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
    return f"{len(keys)} {what}: {shown}"


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, shapes and bytes of tensors, in the order of names."""
    digest = hashlib.sha256()
    for key, tensor in sorted(state.items()):
        digest.update(f"{key}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
