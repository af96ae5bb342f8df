"""Sandbox: workers enclosed by bubblewrap, where the system has it, can write to the store alone.

Bubblewrap needs no root where the system allows user namespaces. Whether it works is tried once.
Only processes that ask for it enclose their workers: the dashboard's server, whose files come from
others and whose runs are all in the store. On the command line people name folders of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from engine.core import store
from engine.core.store import HOME_VARIABLE, home

VARIABLE = "QLAB_SANDBOX"
State = Literal["enclosed", "off", "absent", "refused"]
_SIGNALS_FROM = 128
_PROBE_SECONDS = 10
_asked_for = False


def enclose_workers() -> None:
    """Enclose the workers of this process from now on, where that is possible."""
    global _asked_for
    _asked_for = True


def state() -> State:
    """Tell whether workers are enclosed.

    Returns:
        ``enclosed``; ``off`` where nobody asked for it, or ``$QLAB_SANDBOX`` is 0; ``absent``
        without bubblewrap; ``refused`` where the system does not let it work.
    """
    if not _asked_for or os.environ.get(VARIABLE) == "0":
        return "off"
    program = shutil.which("bwrap")
    if program is None:
        return "absent"
    return "enclosed" if _works(program) else "refused"


def note() -> str:
    """Explain the state on a page, in one sentence."""
    alone = "Opened in a process of its own, without a sandbox"
    how = {
        "enclosed": "Opened in a sandbox",
        "off": f"{alone} (switched off)",
        "absent": f"{alone} (bubblewrap is not installed)",
        "refused": f"{alone} (the system refuses bubblewrap)",
    }[state()]
    return f"{how}; no code in it is run."


def graphics_devices() -> tuple[Path, ...]:
    """List the device files of this machine's GPUs, as Mesa and NVIDIA name them."""
    return (*Path("/dev").glob("dri"), *sorted(Path("/dev").glob("nvidia*")))


def command_for(
    command: Sequence[str],
    folder: Path,
    *,
    network: bool,
    graphics: bool = False,
    around: Mapping[str, str] = os.environ,
) -> tuple[str, ...]:
    """Build the command that starts a worker, enclosed where workers are.

    Everything can be read; the store, the worker's folder, and torch's and timm's weights can be
    written. Process numbers stay those of the machine: names of temporary files hold them.

    Args:
        command: The worker.
        folder: Its own folder.
        network: Whether it may reach the network.
        graphics: Whether it may reach this machine's GPUs.
        around: Variables of the parent.
    """
    if state() != "enclosed":
        return tuple(command)
    words = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--unshare-ipc"]
    if not network:
        words.append("--unshare-net")
    for device in graphics_devices() if graphics else ():
        words += ["--dev-bind", str(device), str(device)]
    for path in (store.home(), *_weights(around), folder):
        path.mkdir(parents=True, exist_ok=True)
        words += ["--bind", str(path), str(path)]
    return (*words, "--chdir", str(folder), "--", *command)


def exit_code(code: int) -> int:
    """Convert a worker's exit code to `subprocess`'s; bubblewrap gives 128 + the signal."""
    return _SIGNALS_FROM - code if state() == "enclosed" and code > _SIGNALS_FROM else code


def _weights(around: Mapping[str, str]) -> tuple[Path, ...]:
    """List the folders of weights: `torch.hub.get_dir`, huggingface_hub's `HF_HUB_CACHE`."""
    cache_home = around.get("XDG_CACHE_HOME", "~/.cache")
    hub_home = around.get("HF_HOME", f"{cache_home}/huggingface")
    paths = (
        around.get("TORCH_HOME", f"{cache_home}/torch"),
        around.get("HF_HUB_CACHE", f"{hub_home}/hub"),
    )
    return tuple(Path(path).expanduser().absolute() for path in paths)


@cache
def _works(program: str) -> bool:
    words = [program, "--ro-bind", "/", "/", "--dev", "/dev", "--unshare-ipc", "--unshare-net"]
    try:
        tried = subprocess.run(
            [*words, "true"], capture_output=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


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
    # Which driver of a GPU is asked.
    "VK_ICD_FILENAMES",
    "VK_DRIVER_FILES",
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
    """Choose the environment variables of a worker: only those that it needs.

    Args:
        mark: A random word.
        folder: The worker's own folder.
        around: Variables of the parent.
    """
    passed = {
        name: value
        for name, value in around.items()
        if name.upper() in _PASSED or name.startswith(_PASSED_BEGINNINGS)
    }
    paths = [str(_PACKAGE_PARENT)]
    # The worker has another working directory, where relative paths mean other folders.
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
        # Weights come by plain HTTPS, with its timeouts, and nothing else is sent.
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        MARK: mark,
    }
