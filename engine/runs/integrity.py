"""Detect corrupted files of a run and move them to ``damaged/`` (quarantine)."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from engine.core.checksums import FileRecord, intact
from engine.core.errors import RunError

DAMAGED = "damaged"
"""Folder of a run, and of the store, with what is in quarantine."""


def demand_intact(folder: Path, name: str, record: FileRecord | None) -> Path:
    """Check a file of a run by its record, None in older versions, and return its path.

    Raises:
        RunError: The file is absent, or was damaged and is in quarantine now.
    """
    path = folder / name
    if intact(path, record) if record is not None else path.is_file():
        return path
    got = "no such file"
    if path.exists():
        quarantine(folder, name)
        got = f"a damaged file, which lies in {DAMAGED}/ now"
    if name.startswith("also/"):
        todo = "Add the file again, or remove it from the run."
    else:
        todo = "Ask for the same conversion again: it makes what is missing and keeps the rest."
    raise RunError(
        f"Reading {name} of the run {folder.name}",
        got=got,
        expected="the file as it was written",
        todo=todo,
    )


def quarantine(folder: Path, name: str) -> None:
    """Move a file of a run, by its path in it, into quarantine, where the disk allows it."""
    target = folder / DAMAGED / f"{time.time_ns()}-{name.replace('/', '-')}"
    with contextlib.suppress(OSError):
        target.parent.mkdir(exist_ok=True)
        os.replace(folder / name, target)


def quarantine_run(run: Path, folder: Path) -> None:
    """Move a whole run that cannot be read into the store's quarantine, on the same disk."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):  # another process was quicker
        os.replace(run, folder / f"{run.name}-{time.time_ns()}")
