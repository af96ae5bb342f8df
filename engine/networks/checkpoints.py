"""A person's own checkpoint: its tensors read without running code.

Only tensors are read: ``torch.load(weights_only=True)`` and safetensors. What a file is, is
decided by its content, not by its name. `checkpoint_fitting` finds the network's among them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.core.limits import LIMITS
from engine.networks.pickle_scan import StandIn, demand_tensors, refused
from engine.networks.sharded_checkpoints import checkpoint_file, checkpoint_files

if TYPE_CHECKING:
    import torch

    StateDict = dict[str, torch.Tensor]

_LONGEST_NAME = 1000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        tensors: Every tensor by its name. What stands in dicts of dicts has their keys before it:
            ``state_dict.fc.weight``.
        dicts: Keys of the tensors that one dict holds, by the beginning of their names.
        architecture: What the file calls its network, as training scripts of timm and torchvision
            do; None where it does not.
    """

    tensors: StateDict
    dicts: Mapping[str, tuple[str, ...]]
    architecture: str | None = None


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_checkpoint(path: Path) -> str:
    """SHA-256 of a checkpoint: of its file, or over the digests of its index and its files.

    Args:
        path: A checkpoint, the index of one in several files, or the folder of either.

    Raises:
        ModelError: As `checkpoint_files`.
        OSError: A file cannot be read.
    """
    file, parts = checkpoint_file(path), checkpoint_files(path)
    if parts == (file,):
        return sha256_of(file)
    digests = [sha256_of(part) for part in (file, *parts)]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the tensors of a checkpoint.

    Args:
        path: A ``torch.save`` file of tensors, a safetensors file, or the index of several such
            files, or the folder that holds the index.

    Returns:
        Its tensors, whatever they are wrapped in.

    Raises:
        ModelError: The file is absent, damaged, holds code, or holds no tensor.
    """
    files = checkpoint_files(path)
    content: dict[Any, object] = {}
    for file in files:
        contents = demand_tensors(file)
        if contents.kind.name == "safetensors":
            read: object = _read_safetensors(file)
        else:
            read = _read_torch(file, contents.stand_ins)
        content |= _entries(read)
    dicts = _dicts_of_tensors(content, path)
    if not dicts:
        raise refused(path, "a file without a state dict in it")
    tensors = {start + key: tensor for start, held in dicts.items() for key, tensor in held.items()}
    _demand_ordinary(tensors, path)
    return Checkpoint(
        tensors,
        {start: tuple(held) for start, held in dicts.items()},
        _architecture_in(content),
    )


def _architecture_in(content: Mapping[object, object]) -> str | None:
    arguments = content.get("args")
    given = arguments.get("model") if isinstance(arguments, StandIn) else None
    architecture = content.get("arch", given)
    return architecture if isinstance(architecture, str) else None


def _read_safetensors(path: Path) -> Mapping[str, torch.Tensor]:
    """Read a safetensors file; its metadata names tensors that share another's numbers."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            shared = (file.metadata() or {}).items()
        return tensors | {
            name: tensors[key] for name, key in shared if key in tensors and name not in tensors
        }
    except (safetensors.SafetensorError, OSError, ValueError, MemoryError) as error:
        raise refused(path, f"a damaged safetensors file ({error})") from error


def _read_torch(path: Path, stand_ins: tuple[tuple[type, str], ...]) -> object:
    import torch

    with torch.serialization.safe_globals([*stand_ins]):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # the unpickler raises whatever the bytes provoke
            raise refused(path, "a damaged checkpoint, or one with more than tensors") from error


def _dicts_of_tensors(content: Mapping[object, object], path: Path) -> dict[str, StateDict]:
    """What each dict or list among dicts and lists holds of tensors, by the start of their names.

    Each is looked at once, however often it is held: it may be held by itself.
    """
    import torch

    found: dict[str, StateDict] = {}
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [("", content)]
    while waiting:
        start, held = waiting.pop()
        if id(held) in seen:
            continue
        seen.add(id(held))
        entries = {f"{start}{key}": value for key, value in _entries(held).items()}
        longest = max(map(len, entries), default=0)
        if longest > _LONGEST_NAME:
            raise refused(path, f"a name of {longest:,} characters")
        tensors = {
            name.removeprefix(start): value
            for name, value in entries.items()
            if isinstance(value, torch.Tensor)
        }
        if tensors:
            found[start] = tensors
        waiting += reversed([(f"{name}.", v) for name, v in entries.items() if _entries(v)])
    return found


def _entries(held: object) -> Mapping[object, object]:
    """The entries of a dict; of a list by their places; of anything else none."""
    if isinstance(held, list | tuple):
        return dict(enumerate(held))
    return held if isinstance(held, Mapping) else {}


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


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, shapes and bytes of tensors, in the order of names."""
    digest = hashlib.sha256()
    for key, tensor in sorted(state.items()):
        digest.update(f"{key}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
