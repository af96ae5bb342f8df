"""Where things are kept on this machine when a person names no folder."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

HOME_VARIABLE = "QLAB_HOME"
SAMPLE_IMAGES = Path(__file__).resolve().parent.parent / "sample_images"


def home() -> Path:
    """The store's folder: ``$QLAB_HOME``, or the usual place for a person's data."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named).absolute() if named else user_data_path("quantization-lab")


def folder(name: str) -> Path:
    """A folder of the store, made if absent.

    Args:
        name: ``runs``, ``uploads`` or ``cache``.

    Returns:
        Its path.
    """
    path = home() / name
    path.mkdir(parents=True, exist_ok=True)
    return path
