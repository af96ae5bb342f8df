"""The store: the folder for runs, uploads and caches on this machine, and its limits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from engine.core.errors import OptionError

HOME_VARIABLE = "QLAB_HOME"
RUNS_VARIABLE = "QLAB_STORE_GB"
UPLOADS_VARIABLE = "QLAB_UPLOAD_HOURS"
_PROJECT = Path(__file__).resolve().parent.parent.parent
SAMPLE_IMAGES = _PROJECT / "sample_images"
"""What a fresh installation shows to its models."""
CALIBRATION_IMAGES = _PROJECT / "calibration_images"
"""What it calibrates with where nobody names a folder; none of the sample images."""


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Quota of the store: how much it keeps, and for how long.

    Attributes:
        runs_bytes: What all runs of the store may take; the least recently used are evicted.
        recent_seconds: A run that was used within this time is never evicted.
        uploads_seconds: How long a browser session's files are kept after it was last seen.
    """

    runs_bytes: int = 50 * 10**9
    recent_seconds: float = 600.0
    uploads_seconds: float = 24 * 3600.0


def limits() -> StoreLimits:
    """Read the limits: ``$QLAB_STORE_GB`` and ``$QLAB_UPLOAD_HOURS``, where they are set.

    Raises:
        OptionError: One of them is no positive number.
    """
    usual = StoreLimits()
    return StoreLimits(
        runs_bytes=int(_positive(RUNS_VARIABLE, usual.runs_bytes / 1e9) * 1e9),
        uploads_seconds=_positive(UPLOADS_VARIABLE, usual.uploads_seconds / 3600) * 3600,
    )


def _positive(variable: str, usual: float) -> float:
    text = os.environ.get(variable)
    if text is None:
        return usual
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise OptionError(
            f"Reading {variable}",
            got=f"'{text}'",
            expected="a positive number",
            todo=f"Set it to a number, such as {usual:g}, or unset it.",
        )
    return number


def home() -> Path:
    """Find the store's folder: ``$QLAB_HOME``, or the usual one for a person's data."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named).absolute() if named else user_data_path("quantization-lab")


def folder(name: str) -> Path:
    """Make a folder of the store: ``runs``, ``uploads``, ``cache``, ``jobs`` or ``damaged``."""
    path = home() / name
    path.mkdir(parents=True, exist_ok=True)
    return path
