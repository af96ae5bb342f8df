"""Pickles that run code, in many dresses; each would touch a file."""

from __future__ import annotations

import builtins
import importlib
import io
import os
import pickle
import runpy
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch


class Does:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


class InState:
    """Pickles as an object whose state is set by a call."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __reduce_ex__(self, protocol: Any) -> Any:
        return types.SimpleNamespace, (), {"inner": self.inner}


class InItems:
    """Pickles as a list whose items are calls."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __reduce__(self) -> Any:
        return list, (), None, iter([self._inner])


class Array(np.ndarray):
    """An array that pickles as a call."""

    call: Any = None

    def __reduce__(self) -> Any:
        return self.call


class Tensor(torch.Tensor):
    """A tensor that pickles as a call."""

    call: Any = None

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.call


def deeds(marker: Path) -> list[Any]:
    """Objects whose unpickling touches a file."""
    touch = f"import pathlib; pathlib.Path({str(marker)!r}).touch()"
    python = [sys.executable, "-c", touch]
    script = marker.with_suffix(".py")
    script.write_text(touch)
    array = np.zeros(2).view(Array)
    array.call = Does(os.system, f"touch {marker}").__reduce__()
    tensor = torch.zeros(2).as_subclass(Tensor)
    tensor.call = Does(exec, touch).__reduce__()
    return [
        Does(os.system, f"touch {marker}"),
        Does(os.popen, f"touch {marker}"),
        Does(os.posix_spawn, sys.executable, python, {}),
        Does(subprocess.call, python),
        Does(subprocess.check_output, python),
        Does(subprocess.Popen, python),
        Does(builtins.exec, touch),
        Does(builtins.eval, f"__import__('pathlib').Path({str(marker)!r}).touch()"),
        Does(runpy.run_path, str(script)),
        Does(Path.touch, marker),
        Does(open, str(marker), "w"),
        Does(importlib.import_module, script.stem),
        Does(partial(os.system, f"touch {marker}")),
        array,
        tensor,
    ]


def _zip_of(pickled: bytes, plain: bytes) -> bytes:
    """A checkpoint of torch.save whose pickle is another."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(plain)) as whole, zipfile.ZipFile(made, "w") as changed:
        for name in whole.namelist():
            content = pickled if name.endswith("data.pkl") else whole.read(name)
            changed.writestr(name, content)
    return made.getvalue()


def files(marker: Path, rng: Random) -> list[bytes]:
    """Sixty files and more: every deed in several dresses."""
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(1)}, buffer)
    plain = buffer.getvalue()
    found: list[bytes] = []
    for deed in deeds(marker):
        tensors = {"fc.weight": torch.zeros(2, 2), "extra": deed}
        for protocol in rng.sample((0, 2, 4, 5), 2):
            found.append(pickle.dumps(rng.choice((deed, InState(deed), InItems(deed))), protocol))
        found.append(_zip_of(pickle.dumps({"state_dict": deed}, 2), plain))
        found.append(_zip_of(pickle.dumps(InState(deed), 4), plain))
        for new in (True, False):
            buffer = io.BytesIO()
            torch.save(tensors, buffer, _use_new_zipfile_serialization=new)
            found.append(buffer.getvalue())
    return found
