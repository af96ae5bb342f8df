"""A host whose worker makes tiny runs by hand, and counts how often it was asked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.conversion.resume import ConvertTask
from engine.core.checksums import records_under
from engine.core.types import Progress
from engine.networks.source import ModelChoice
from engine.quantization.recipes import recipe_named
from engine.runs.manifest import FILE_NAME
from engine.runs.request import ConvertRequest
from engine.runs.run import WORK, Run
from engine.tasks.convert import run_convert
from tests.helpers.tiny_run import tiny_run


def request_for(file: Path, *variants: str, out: Path | None = None) -> ConvertRequest:
    """A request for an ONNX file of a few bytes, which nobody reads."""
    if not file.exists():
        file.write_bytes(b"a model")
    return ConvertRequest(
        model=ModelChoice(onnx=str(file)),
        variants=variants or ("float32", "int8"),
        out=None if out is None else str(out),
    )


class HandMadeHost:
    """Makes what is asked for, in the way that the worker does, in milliseconds.

    Args:
        seconds: How long it pretends to work.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.tasks: list[ConvertTask] = []
        self.said: list[str] = []
        self.seconds = seconds

    def adopt(self, worker: Any) -> Any:
        return worker

    def report(self, progress: Progress) -> None:
        self.said.append(progress.stage)

    @contextmanager
    def worker(self, lowering: object = None) -> Iterator[HandMadeHost]:
        yield self

    def log(self) -> bytes:
        return b"said by a converter"

    def run(
        self, work: Callable[..., bool], task: ConvertTask, report: Callable[..., None]
    ) -> bool:
        assert work is run_convert
        self.tasks.append(task)
        time.sleep(self.seconds)
        _make(task, Path(task.side))
        return True


def _make(task: ConvertTask, side: Path) -> None:
    made = tiny_run(side / "made")
    for path in list(made.folder.iterdir()):
        path.rename(side / path.name)
    made.folder.rmdir()
    (side / WORK).mkdir(exist_ok=True)
    shutil.copyfile(side / "float32.tflite", side / WORK / "float32.tflite")
    base = None if task.base is None else Run.open(task.base)
    present = (
        []
        if base is None
        else [v for v in base.variants if (base.folder / f"{v}.tflite").is_file()]
    )
    names = [v for v in ("float32", "int8") if v in task.request.variants and v not in present]
    for name in {"float32", "int8"} - set(names):
        (side / f"{name}.tflite").unlink()
    (side / FILE_NAME).unlink()
    cards = [card for card in made.manifest.artifacts if card.variant in names]
    old = (
        () if base is None else tuple(c for c in base.manifest.artifacts if c.variant not in names)
    )
    every = tuple(sorted((*old, *cards), key=lambda card: card.variant))
    manifest = replace(
        made.manifest,
        key=task.key,
        calibration=None,
        artifacts=every,
        recipes=tuple(recipe_named(card.variant) for card in every),
        files={**(base.manifest.files if base else {}), **records_under(side, {})},
    )
    (side / FILE_NAME).write_bytes(manifest.to_json())
