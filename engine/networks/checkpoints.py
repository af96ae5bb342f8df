"""A person's own checkpoint: its tensors read without running code.

Only tensors are read: ``torch.load(weights_only=True)`` and safetensors. What a file is, is
decided by its content, not by its name. `checkpoint_fitting` finds the network's among them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.core.checksums import digest_of_file
from engine.core.errors import ModelError
from engine.core.formats import number
from engine.core.limits import LIMITS
from engine.networks.pickle_scan import (
    STAGE,
    StandIn,
    demand_checkpoint_kind,
    demand_tensors,
    refusal,
)

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


def sha256_of_checkpoint(path: Path) -> str:
    """Digest a checkpoint by SHA-256: its file, or the digests of its index and its files."""
    file, parts = checkpoint_file(path), checkpoint_files(path)
    if parts == (file,):
        return digest_of_file(file)
    digests = [digest_of_file(part) for part in (file, *parts)]
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
        raise refusal(path, "a file without a state dict in it")
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
        raise refusal(path, f"a damaged safetensors file ({error})") from error


def _read_torch(path: Path, stand_ins: tuple[tuple[type, str], ...]) -> object:
    import torch

    with torch.serialization.safe_globals([*stand_ins]):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # the unpickler raises whatever the bytes provoke
            raise refusal(path, "a damaged checkpoint, or one with more than tensors") from error


def _dicts_of_tensors(content: Mapping[object, object], path: Path) -> dict[str, StateDict]:
    """Collect the tensors of each dict and list, by the start of their names.

    Each is looked at once, however often it is held: it may be held by itself.
    """
    import torch

    by_start: dict[str, StateDict] = {}
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
            raise refusal(path, f"a name of {longest:,} characters")
        tensors = {
            name.removeprefix(start): value
            for name, value in entries.items()
            if isinstance(value, torch.Tensor)
        }
        if tensors:
            by_start[start] = tensors
        waiting += reversed([(f"{name}.", v) for name, v in entries.items() if _entries(v)])
    return by_start


def _entries(held: object) -> Mapping[object, object]:
    """List the entries of a dict; of a list by their indices; of anything else none."""
    if isinstance(held, list | tuple):
        return dict(enumerate(held))
    return held if isinstance(held, Mapping) else {}


def _demand_ordinary(state: StateDict, path: Path) -> None:
    """Refuse tensors whose claims a network could not hold; a stride of 0 makes any claim cheap."""
    import torch

    total = sum(tensor.numel() for tensor in state.values())
    if total > LIMITS.model_parameters:
        raise refusal(
            path,
            f"{total:,} numbers",
            f"at most {LIMITS.model_parameters:,}, as a TFLite file holds",
        )
    for key, tensor in state.items():
        dense = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not dense or tensor.is_quantized or tensor.is_complex():
            raise refusal(
                path,
                f"{key}, which is sparse, quantized, complex or empty of numbers",
                "dense tensors of real numbers",
            )


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """Digest names, shapes and bytes of tensors by SHA-256, in the order of names."""
    digest = hashlib.sha256()
    for key, tensor in sorted(state.items()):
        digest.update(f"{key}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


_INDEX = ".index.json"
_IN_FOLDERS = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
)
"""What is looked for in a folder, as Hugging Face's libraries write it; the first is taken."""
_PART = re.compile(r".*-\d{5}-of-(\d{5})\.\w+")
"""Names of files of which an index tells, as Hugging Face's libraries number them."""
_DISTRIBUTED = (
    "Put it into one file: from torch.distributed.checkpoint.format_utils import "
    "dcp_to_torch_save; dcp_to_torch_save({folder!r}, 'weights.pth')."
)
_MOST_FILES = 1000


def checkpoint_file(path: Path) -> Path:
    """Find the file to read of a checkpoint that may be given as a folder."""
    if not path.is_dir():
        return path
    there = [path / name for name in _IN_FOLDERS if (path / name).is_file()]
    if not there and (path / ".metadata").is_file():
        todo = _DISTRIBUTED.format(folder=path.name)
        raise refusal(path, "a folder of torch.distributed.checkpoint", todo=todo)
    if not there:
        raise refusal(path, "a folder without " + " or ".join(_IN_FOLDERS))
    return there[0]


def checkpoint_files(path: Path) -> tuple[Path, ...]:
    """List every file that holds tensors of a checkpoint, or of the folder of one.

    Returns:
        The files, in the order of their names.

    Raises:
        ModelError: One is absent, or the index names what may not be read.
    """
    file = checkpoint_file(path)
    if not file.is_file():
        raise ModelError(
            STAGE, got=f"no file at {path}", expected="a checkpoint file", todo="Check the path."
        )
    numbered = _PART.fullmatch(file.name)
    if numbered and int(numbered[1]) != 1:
        todo = "Give its index (such as model.safetensors.index.json), or the folder of both."
        raise refusal(file, "one of several files of a checkpoint", todo=todo)
    if not file.name.endswith(_INDEX):
        return (file,)
    parts = [file.parent / name for name in sorted(_read_index(file))]
    for part in parts:
        if part.is_symlink() or not part.is_file():
            what = "a link" if part.is_symlink() else "no file"
            raise refusal(
                file,
                f"{what} where it names {part.name}",
                "every file that it names, beside it",
                todo="Put all files of the checkpoint into one folder.",
            )
    total = sum(part.stat().st_size for part in parts)
    if total > LIMITS.model_bytes:
        raise refusal(
            file, f"{total / 1e9:.2f} GB in all", f"at most {LIMITS.model_bytes / 1e9:.2f} GB"
        )
    return tuple(parts)


def _read_index(index: Path) -> set[str]:
    """Read the names of files in an index's ``weight_map``: plain ones, of files like the index."""
    if index.stat().st_size > LIMITS.text_bytes:
        raise refusal(index, f"an index of more than {LIMITS.text_bytes:,} bytes")
    try:
        content = json.loads(index.read_bytes())
    except (ValueError, RecursionError) as error:
        raise refusal(index, f"no JSON ({error})") from error
    table = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(table, dict) or not table:
        raise refusal(index, "an index without a weight_map")
    ending = Path(index.name.removesuffix(_INDEX)).suffix
    names = {str(name) for name in table.values()}
    for name in names:
        plain = not {"/", "\\", ":", "\0"} & set(name) and not name.startswith(".")
        if not plain or not name.endswith(ending) or name == index.name:
            raise refusal(
                index,
                f"the file name {name[:80]!r}",
                f"plain names of {ending} files in its folder",
                todo="Do not use this checkpoint: its index leads out of its folder.",
            )
    if len(names) > _MOST_FILES:
        raise refusal(index, f"{len(names):,} files", f"at most {_MOST_FILES:,}")
    return names


def is_part(name: str) -> bool:
    """Tell by its name whether a file is one of several of a checkpoint: an index, or numbered."""
    return name.endswith(_INDEX) or _PART.fullmatch(name) is not None


def choose_checkpoint_file(files: Sequence[Path]) -> Path:
    """Find the file to read of a checkpoint whose files were dropped on a page.

    Raises:
        ModelError: They are not one checkpoint by their names and first bytes, or one is missing.
    """
    indices = [file for file in files if file.name.endswith(_INDEX)]
    if len(files) > 1 and len(indices) != 1:
        raise ModelError(
            STAGE,
            got=f"{len(files)} files with {number(len(indices))} index among them",
            expected="one file, or one index (such as model.safetensors.index.json) with every "
            "file that it names",
            todo="Drop the files of one checkpoint together with its index, and no others.",
        )
    file = indices[0] if indices else files[0]
    for part in checkpoint_files(file):
        demand_checkpoint_kind(part)
    return file
