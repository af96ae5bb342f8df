"""Count the functions that a request walks through: calls between files of engine and pages."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).parent.parent.parent


class Walk:
    def __init__(self, start: str | None = None) -> None:
        self.start = start
        self.steps: dict[str, None] = {}
        self.edges = {}
        self._files: dict[CodeType, str | None] = {}

    def file_of(self, code: CodeType) -> str | None:
        if code not in self._files:
            path = Path(code.co_filename)
            inside = path.is_relative_to(ROOT / "engine") or path.is_relative_to(ROOT / "pages")
            self._files[code] = path.relative_to(ROOT).as_posix() if inside else None
        return self._files[code]

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        file = self.file_of(frame.f_code)
        if file is None or frame.f_code.co_name.startswith("<"):
            return
        caller = frame.f_back
        while caller is not None and self.file_of(caller.f_code) is None:
            caller = caller.f_back
        if caller is not None and self.file_of(caller.f_code) == file:
            return
        name = f"{file}:{frame.f_code.co_qualname}"
        was = None if caller is None else f"{self.file_of(caller.f_code)}:{caller.f_code.co_qualname}"
        self.steps.setdefault(name, was)


@contextmanager
def walked(walk: Walk) -> Iterator[Walk]:
    threading.setprofile(walk.profile)
    sys.setprofile(walk.profile)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
