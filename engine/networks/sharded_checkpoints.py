"""Checkpoints in several files: ``model.safetensors.index.json`` and the files that it names.

An index may come from a stranger, so the files have to lie beside it under plain names, and none
may be a link.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from engine.core.errors import ModelError
from engine.core.formats import number
from engine.core.limits import LIMITS
from engine.networks.pickle_scan import STAGE, demand_checkpoint_kind, refused

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
    """The file to read of a checkpoint that may be given as a folder.

    Args:
        path: A file, or a folder with one of Hugging Face's names in it.

    Raises:
        ModelError: It is absent, or the folder holds none of these names.
    """
    if not path.is_dir():
        return path
    there = [path / name for name in _IN_FOLDERS if (path / name).is_file()]
    if not there and (path / ".metadata").is_file():
        todo = _DISTRIBUTED.format(folder=path.name)
        raise refused(path, "a folder of torch.distributed.checkpoint", todo=todo)
    if not there:
        raise refused(path, "a folder without " + " or ".join(_IN_FOLDERS))
    return there[0]


def checkpoint_files(path: Path) -> tuple[Path, ...]:
    """Every file that holds tensors of a checkpoint.

    Args:
        path: A checkpoint, the index of one in several files, or the folder of either.

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
        raise refused(file, "one of several files of a checkpoint", todo=todo)
    if not file.name.endswith(_INDEX):
        return (file,)
    parts = [file.parent / name for name in sorted(_named_in(file))]
    for part in parts:
        if part.is_symlink() or not part.is_file():
            what = "a link" if part.is_symlink() else "no file"
            raise refused(
                file,
                f"{what} where it names {part.name}",
                "every file that it names, beside it",
                todo="Put all files of the checkpoint into one folder.",
            )
    total = sum(part.stat().st_size for part in parts)
    if total > LIMITS.model_bytes:
        raise refused(
            file, f"{total / 1e9:.2f} GB in all", f"at most {LIMITS.model_bytes / 1e9:.2f} GB"
        )
    return tuple(parts)


def _named_in(index: Path) -> set[str]:
    """Names of the files in an index's ``weight_map``: plain ones, of files like the index."""
    if index.stat().st_size > LIMITS.text_bytes:
        raise refused(index, f"an index of more than {LIMITS.text_bytes:,} bytes")
    try:
        content = json.loads(index.read_bytes())
    except (ValueError, RecursionError) as error:
        raise refused(index, f"no JSON ({error})") from error
    table = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(table, dict) or not table:
        raise refused(index, "an index without a weight_map")
    ending = Path(index.name.removesuffix(_INDEX)).suffix
    names = {str(name) for name in table.values()}
    for name in names:
        plain = not {"/", "\\", ":", "\0"} & set(name) and not name.startswith(".")
        if not plain or not name.endswith(ending) or name == index.name:
            raise refused(
                index,
                f"the file name {name[:80]!r}",
                f"plain names of {ending} files in its folder",
                todo="Do not use this checkpoint: its index leads out of its folder.",
            )
    if len(names) > _MOST_FILES:
        raise refused(index, f"{len(names):,} files", f"at most {_MOST_FILES:,}")
    return names


def is_part(name: str) -> bool:
    """Whether a file is one of several of a checkpoint by its name: an index, or numbered."""
    return name.endswith(_INDEX) or _PART.fullmatch(name) is not None


def dropped_checkpoint(files: Sequence[Path]) -> Path:
    """Find the file to read of a checkpoint whose files were dropped on a page.

    Args:
        files: A checkpoint; or the index of one in several files, and these, in one folder.

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
