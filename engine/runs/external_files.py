"""External files: TFLite files of other tools that were added to a run."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from engine.core.checksums import delete_verified, write_verified
from engine.core.errors import OptionError
from engine.core.files import translate_disk_errors
from engine.core.locks import exclusive_lock
from engine.core.types import ORIGINAL
from engine.quantization.recipes import RECIPES
from engine.runs.manifest import AddedFile
from engine.runs.results import delete_timings
from engine.runs.run import ALSO, ONNX_COLUMN, Run
from engine.tflite.artifact import Artifact

LONGEST_NAME = 40
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}")


def name_for(file: str) -> str:
    """Make a name from that of a file: its stem, with characters that are not allowed as ``_``."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(file).stem).strip("_.-")[:LONGEST_NAME]
    return stem if _NAME.fullmatch(stem) else "file"


def check_name(name: str) -> None:
    """Refuse a name that cannot be a column's and a file's.

    Raises:
        OptionError: It has other characters, is too long, or is taken by Quantization Lab.
    """
    if not _NAME.fullmatch(name):
        raise OptionError(
            "Naming a file",
            got=f"'{name}'",
            expected=f"1 to {LONGEST_NAME} letters, digits, '_', '-' or '.', a letter or digit "
            "first",
            todo="Give another name.",
        )
    taken = {ORIGINAL, ONNX_COLUMN, *(recipe.name for recipe in RECIPES)}
    # The looks of these belong to variants that Quantization Lab optimises itself.
    ours = name.lower().endswith("_optimized") or name.lower().startswith("int8_mixed")
    if ours or name.lower() in taken:
        raise OptionError(
            "Naming a file",
            got=f"'{name}', which is the name of a variant made here",
            expected="a name of its own",
            todo=f"Call it, for instance, other_{name}"[: 30 + LONGEST_NAME] + ".",
        )


def _put(run: Path, added: AddedFile, file: Path) -> None:
    """Move a file into a run, in place of the one of that name."""
    name = added.artifact.variant
    # Others may have added one of this name while the file was tried.
    old = find_external(Run.open(run), name)
    if old is not None:
        _delete(run, old)
    os.replace(file, run / added.artifact.file)
    note = msgspec.json.format(msgspec.json.encode(added), indent=2)
    write_verified(run / ALSO / f"{name}.json", note)


def find_external(run: Run, name: str) -> Artifact | None:
    """Find the external file of a name, in upper or lower case, as some file systems do."""
    cards = (added.artifact for added in run.added)
    return next((card for card in cards if card.variant.lower() == name.lower()), None)


def remove_file(run: Run, name: str) -> Run:
    """Delete an external file from a run, with its timings, and open the run without it.

    Raises:
        OptionError: No external file has that name.
    """
    names = [added.artifact.variant for added in run.added]
    if name not in names:
        raise OptionError(
            "Removing a file",
            got=f"'{name}'",
            expected="one of " + (", ".join(names) or "(no file was added to this run)"),
            todo="Name one of these; variants made here stay.",
        )
    with translate_disk_errors(f"Removing {name}"), exclusive_lock(run.folder / ALSO):
        card = find_external(Run.open(run.folder), name)
        if card is not None:
            _delete(run.folder, card)
    return Run.open(run.folder)


def _delete(run: Path, card: Artifact) -> None:
    delete_verified(run / ALSO / f"{card.variant}.json")
    (run / card.file).unlink(missing_ok=True)
    delete_timings(run, card.variant)
