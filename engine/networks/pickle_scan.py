"""What a checkpoint asks for, found without loading it: tensors alone, or refused.

The defence is that tensors are all that is ever loaded (``weights_only=True``, safetensors). This
looks first, so that nothing at all is unpickled of a file that asks for more, and so that a
message can say what it asks for.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engine.core.errors import ModelError
from engine.core.file_types import PICKLE, FileKind, is_onnx, kind_of
from engine.core.formats import list_some
from engine.core.limits import LIMITS

STAGE = "Reading the checkpoint"
_LEGACY_PICKLES = 5  # magic number, protocol, system, object, keys of storages
_MOST_ENTRIES = 100_000
_TENSORS = re.compile(
    r"collections\.(?:OrderedDict|Counter)|_codecs\.encode|builtins\.(?:set|bytearray|complex)"
    r"|torch\.\w*Storage|torch\.storage\.\w+|torch\.Size|torch\.device"
    r"|torch\.(?:b?float|u?int|complex)\d+|torch\.bool|torch\._utils\._rebuild_\w+"
    r"|torch\.nn\.parameter\.Parameter"
)
_DATA = re.compile(
    r"argparse\.Namespace|datetime\.\w+|pathlib\.\w*Path|typing\.\w+|omegaconf\.[\w.]+"
    r"|builtins\.(?:bool|dict|float|int|list|str|tuple)"
    r"|numpy\.(?:dtype|ndarray|dtypes\.\w+|_?core\.multiarray\.(?:scalar|_reconstruct))"
)
_DICTS = re.compile(
    r"collections\.defaultdict"
    r"|(?:addict|easydict|yacs|lightning|lightning_fabric|pytorch_lightning)\.[\w.]+"
)
"""Classes of data that training scripts keep beside tensors: arguments, configurations, scores."""
_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING"}


class StandIn(dict[object, object]):
    """An object read without its class and its code: attributes at most."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # it may be a key or in a set

    def __init__(self, *_: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        self.update(state if isinstance(state, Mapping) else {})

    def __repr__(self) -> str:
        return "data"


class _DictStandIn:
    """A dict read without its class and its code; torch puts entries into its own types alone."""

    def __new__(cls, *_: object) -> OrderedDict[object, object]:  # type: ignore[misc]
        return OrderedDict()


@dataclass(frozen=True, slots=True)
class CheckpointContents:
    """What is read of a checkpoint.

    Attributes:
        kind: ``torch zip``, ``pickle`` (the older format of torch.save) or ``safetensors``.
        stand_ins: What is read for objects beside tensors, with the name of their class.
    """

    kind: FileKind
    stand_ins: tuple[tuple[type, str], ...] = ()


def demand_tensors(path: Path) -> CheckpointContents:
    """Refuse a checkpoint that asks for more than tensors and data, or for too much."""
    size = path.stat().st_size
    if size > LIMITS.model_bytes:
        raise refusal(path, f"{size / 1e9:.2f} GB", f"at most {LIMITS.model_bytes / 1e9:.2f} GB")
    kind = demand_checkpoint_kind(path)
    if kind.name == "safetensors":
        return CheckpointContents(kind)
    if kind.name == "torch zip":
        _demand_plain_zip(path)
        wanted = _globals_of_zip(path)
    elif kind.name == "pickle":
        wanted = _globals_of_pickles(path)
    elif _is_pickle(path):
        raise refusal(path, PICKLE.words, todo=PICKLE.todo)
    elif is_onnx(path):
        raise refusal(path, "an ONNX file", todo=f"Give it as the model: --onnx {path.name}.")
    else:
        raise refusal(path, kind.words if kind.name == "text" else "bytes that are no checkpoint")
    stand_ins: list[tuple[type, str]] = [
        (StandIn, name) for name in wanted if _DATA.fullmatch(name)
    ]
    stand_ins += [(_DictStandIn, name) for name in wanted if _DICTS.fullmatch(name)]
    if len(stand_ins) < len(wanted):
        raise refusal(path, _in_words(wanted), todo=_save_again(path))
    return CheckpointContents(kind, tuple(stand_ins))


def demand_checkpoint_kind(path: Path) -> FileKind:
    """Refuse what its first bytes, or the entries of its zip, show to be no checkpoint.

    Returns:
        Its kind: ``torch zip``, ``pickle``, ``safetensors``, or ``unknown`` or ``text`` where these
        do not say.
    """
    kind = kind_of(path)
    if kind.name not in {"torch zip", "pickle", "safetensors", "unknown", "text"}:
        raise refusal(path, kind.words, todo=kind.todo)
    return kind


def _is_pickle(path: Path) -> bool:
    """Tell whether bytes without a pickle's mark are one all the same, as protocol 0 writes."""
    with path.open("rb") as file:
        try:
            return any(opcode.name == "REDUCE" for opcode, _, _ in pickletools.genops(file))
        except (ValueError, EOFError, OverflowError, MemoryError):
            return False


def _demand_plain_zip(path: Path) -> None:
    """Refuse packed entries: torch.save packs nothing, so nothing may grow when it is read."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    packed = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise refusal(path, f"packed entries, such as {packed[0].filename!r}")
    total = sum(entry.file_size for entry in entries)
    if len(entries) > _MOST_ENTRIES or total > LIMITS.model_bytes:
        raise refusal(path, f"{len(entries)} entries of {total / 1e9:.2f} GB in all")


def _globals_of_zip(path: Path) -> list[str]:
    import torch

    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
    except Exception as error:  # a pickle that torch.save does not write, or a damaged one
        scanned = _scan_zip(path)
        if scanned:
            return scanned
        raise refusal(path, f"a damaged checkpoint ({error})") from error


def _scan_zip(path: Path) -> list[str]:
    """List the globals of a zip's pickle that are no part of a tensor."""
    with zipfile.ZipFile(path) as archive:
        main = next(e for e in archive.infolist() if e.filename.endswith("data.pkl"))
        try:
            with archive.open(main) as file:
                return _beyond_tensors(file)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
            return []


def _beyond_tensors(file: IO[bytes]) -> list[str]:
    return sorted({name for name in _read_globals(file) if not _TENSORS.fullmatch(name)})


def _globals_of_pickles(path: Path) -> list[str]:
    names: set[str] = set()
    with path.open("rb") as file:
        for _ in range(_LEGACY_PICKLES):
            names.update(_beyond_tensors(file))
    return sorted(names)


def _read_globals(file: IO[bytes]) -> Iterator[str]:
    """Yield the globals that a pickle asks for, up to its end or to where it is damaged."""
    recent: list[str] = []
    memo: dict[int, str] = {}
    try:
        for opcode, argument, _ in pickletools.genops(file):
            kind = opcode.name
            if kind in {"GLOBAL", "INST"}:
                yield str(argument).replace(" ", ".", 1).replace("__builtin__.", "builtins.")
            elif kind == "STACK_GLOBAL":
                yield ".".join(recent[-2:]) or "a name made while it runs"
            elif kind in {"EXT1", "EXT2", "EXT4"}:
                yield "an extension of the pickle registry"
            elif kind in {"MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"}:
                memo[len(memo) if argument is None else int(argument)] = recent[-1]
            else:
                is_memo = kind in {"BINGET", "LONG_BINGET", "GET"}
                text = memo.get(int(argument or 0), "") if is_memo else str(argument)
                recent = [*recent[-1:], text if is_memo or kind in _STRINGS else f"<{kind}>"]
    except (ValueError, EOFError, OverflowError, MemoryError, IndexError):
        return


def _in_words(wanted: list[str]) -> str:
    names = list_some(wanted, 3)
    return f"a file that asks for more than tensors ({names}); opening it could run code"


def _save_again(path: Path) -> str:
    return (
        "Where you trust it, save its tensors alone, with its code installed: "
        f"model = torch.load({path.name!r}, weights_only=False); "
        "torch.save(model.state_dict(), 'weights.pth'). Where that gives a dict, save the part of "
        "it that holds the weights: torch.save(model['state_dict'], 'weights.pth')."
    )


def refusal(
    path: Path,
    got: str,
    expected: str = "a state dict saved by torch.save or safetensors",
    todo: str = "",
) -> ModelError:
    """Make the error for a file that is no checkpoint."""
    return ModelError(
        f"{STAGE} {path.name}",
        got=got,
        expected=expected,
        todo=todo
        or "Give what torch.save(model.state_dict(), 'weights.pth') writes, or a safetensors file.",
    )
