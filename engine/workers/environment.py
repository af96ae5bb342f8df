"""What a worker process is given: few variables, a folder of its own, and a mark to know it by."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.core.store import HOME_VARIABLE, home

MARK = "QLAB_WORKER"
"""Holds a random word that all that a worker starts inherits, so that it can be found and ended."""
_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent
_PASSED = {
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "LD_LIBRARY_PATH",
    "SYSTEMROOT",
    "PYTHONHASHSEED",
    "PYTHONUTF8",
    # By name: QLAB_PASSWORD is nothing for a worker.
    "QLAB_JOBS",
    "QLAB_STORE_GB",
    "QLAB_LITERT_TORCH_PYTHON",
    # Weights that a person asked for are downloaded by the worker.
    "TORCH_HOME",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_ENDPOINT",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
}
_PASSED_BEGINNINGS = ("LC_", "XDG_", "OMP_", "MKL_", "OPENBLAS_")


def variables(mark: str, folder: Path, around: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variables of a worker: those it needs, whatever else the parent holds.

    Args:
        mark: A random word.
        folder: The worker's own folder.
        around: Variables of the parent.

    Returns:
        Variables for the process.
    """
    passed = {
        name: value
        for name, value in around.items()
        if name.upper() in _PASSED or name.startswith(_PASSED_BEGINNINGS)
    }
    paths = [str(_PACKAGE_PARENT)]
    # The worker works elsewhere, where relative paths would mean other folders.
    paths += [
        os.path.abspath(path) for path in around.get("PYTHONPATH", "").split(os.pathsep) if path
    ]
    return passed | {
        "PYTHONPATH": os.pathsep.join(paths),
        HOME_VARIABLE: str(home().absolute()),
        "TMPDIR": str(folder),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONUNBUFFERED": "1",
        # Weights come by plain HTTPS, with its timeouts, and nothing is told beside.
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        MARK: mark,
    }
