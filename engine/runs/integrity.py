"""Damaged files of a run: found, set apart, and told of with the way to have them again."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from engine.core.checksums import FileRecord, intact
from engine.core.errors import RunError

DAMAGED = "damaged"
"""Folder of a run, and of the store, with what was set apart."""


def demand_intact(folder: Path, name: str, record: FileRecord | None) -> Path:
    """Path of a file, after a look at its checksum.

    Args:
        folder: The run.
        name: The file's path in it.
        record: What it was when it was written; None for a file of an older version.

    Returns:
        The path.

    Raises:
        RunError: The file is absent, or was damaged and is set apart now.
    """
    path = folder / name
    if intact(path, record) if record is not None else path.is_file():
        return path
    found = "no such file"
    if path.exists():
        set_apart(folder, name)
        found = f"a damaged file, which lies in {DAMAGED}/ now"
    again = "Ask for the same conversion again: it makes what is missing and keeps the rest."
    elsewhere = "Add the file again, or remove it from the run."
    raise RunError(
        f"Reading {name} of the run {folder.name}",
        got=found,
        expected="the file as it was written",
        todo=elsewhere if name.startswith("also/") else again,
    )


def set_apart(folder: Path, name: str) -> None:
    """Move a file of a run into its folder of damaged ones, as far as the disk lets us.

    Args:
        folder: The run.
        name: The file's path in it.
    """
    target = folder / DAMAGED / f"{time.time_ns()}-{name.replace('/', '-')}"
    with contextlib.suppress(OSError):
        target.parent.mkdir(exist_ok=True)
        os.replace(folder / name, target)


def set_run_apart(place: Path, apart: Path) -> None:
    """Move a whole run that cannot be read to the damaged ones of the store.

    Args:
        place: The run.
        apart: The folder of damaged runs, on the same disk.
    """
    apart.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):  # another process was quicker
        os.replace(place, apart / f"{place.name}-{time.time_ns()}")
