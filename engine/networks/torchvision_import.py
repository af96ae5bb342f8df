"""Import torchvision beside a CPU build of torch.

torchvision's package for Linux is built against CUDA. Beside a CPU build of torch its operator
library does not load, and ``import torchvision`` then fails because it registers shape
functions for ``torchvision::nms`` and ``torchvision::qnms``, which nobody has defined.
Classification uses neither, so where (and only where) the library does not load, their
schemas are defined here without an implementation.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@cache
def import_torchvision() -> ModuleType:
    """Import torchvision, whichever build of it is installed.

    Returns:
        The module ``torchvision``.
    """
    import torch

    found = importlib.util.find_spec("torchvision")
    folders = list(found.submodule_search_locations or ()) if found else []
    for library in (path for folder in folders for path in Path(folder).glob("_C*.so")):
        try:
            ctypes.CDLL(str(library))
        except OSError:
            for operator in ("nms", "qnms"):
                torch.library.define(f"torchvision::{operator}", _NMS)
    return importlib.import_module("torchvision")
