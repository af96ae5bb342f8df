"""The golden set: a few inputs, the answers a variant gives here, and how far others may be.

LiteRT has several kernels for the same operator, and a phone has others than a desktop. How far
correct kernels lie apart is measured here, on the golden inputs themselves: XNNPACK on one thread,
which gives the expected answers, against XNNPACK on every core, LiteRT's optimized kernels without
XNNPACK, and its reference kernels.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine.comparison.metrics import top_k
from engine.comparison.outputs import Outputs
from engine.core.errors import ConversionError, HopError
from engine.core.programs import last_line, run_program
from engine.core.types import FloatArray, Layout, Progress, Report
from engine.images.preprocess import in_layout
from engine.tflite.interpreter import dequantize, load_interpreter, quantize
from engine.workers.process import Host, Worker

COUNT = 5
TOLERANCE_FACTOR = 2.0
"""Times the largest difference of kernels here, since a phone's round in other places yet."""
SMALLEST_RELATIVE = 1e-5
"""Of the largest output: what float32 sums in another order may differ by."""
SECONDS = 20.0
"""Time that one set of kernels may take; at least one picture is always run."""
SCRIPT = "run_model.py"
"""Of a kit: it runs the model, and checks the golden set."""
_CHECK_SECONDS = 300
KIT_STEPS = 4
_STAGE = "Making the golden set"
_TODO = "Choose another variant."


@dataclass(frozen=True, slots=True)
class KernelDifference:
    """Distance of other kernels of LiteRT from the expected answers.

    Attributes:
        kernels: Which kernels, in words.
        pictures: Golden inputs they were run on.
        largest: Largest absolute difference of any output, in the unit of the golden set; None
            where these kernels refuse the model.
    """

    kernels: str
    pictures: int
    largest: float | None


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """The golden set of a kit; the arrays are in ``golden.npz``.

    Attributes:
        pictures: Names of the pictures that the inputs were made of.
        answers: The class that each was given.
        unit: ``steps`` for integer outputs, ``values`` for float ones.
        largest: Largest absolute output.
        kernels: What was measured.
        tolerance: How far an output may be from the expected one, in that unit.
    """

    pictures: tuple[str, ...]
    answers: tuple[int, ...]
    unit: Literal["steps", "values"]
    largest: float
    kernels: tuple[KernelDifference, ...]
    tolerance: float

    @property
    def allowed(self) -> str:
        """The tolerance with its unit, for people."""
        if self.unit == "values":
            return f"{self.tolerance:.2g}"
        return f"{self.tolerance:.0f} step{'' if self.tolerance == 1 else 's'}"


@dataclass(frozen=True, slots=True, eq=False)
class GoldenArrays:
    """The arrays of a golden set.

    Attributes:
        pixels: Pictures at the network's size, shape (pictures, height, width, 3 or 4), uint8,
            red first.
        inputs: What the model is fed, shape (pictures, ...) in its layout, in its own type.
        outputs: What it answers, shape (pictures, classes), in its own type.
    """

    pixels: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray


def golden_set(
    model: bytes,
    original: bytes,
    layout: Layout,
    names: Sequence[str],
    pixels: np.ndarray,
    normalized: Callable[[np.ndarray], FloatArray],
    *,
    probabilities: bool = False,
    threads: int,
    report: Callable[[Progress], None],
) -> tuple[GoldenSet, GoldenArrays]:
    """Run a model on a few pictures with every set of kernels.

    Args:
        model: The file of the kit.
        original: The file that it was made from; its answers must be the same bit by bit.
        layout: Order of the input's dimensions.
        names: Names of the pictures.
        pixels: Shape (pictures, height, width, 3 or 4), uint8, red first.
        normalized: Turns one of them into a network input (height, width, channels), float32.
        probabilities: Whether the model's outputs are those of a softmax.
        threads: As many as there are cores.
        report: Receives progress.

    Returns:
        The record and the arrays, of the pictures that the time was enough for.

    Raises:
        ConversionError: LiteRT refuses the model.
        HopError: The two files answer differently, or with NaN or Inf.
    """
    kernels = _Kernels(layout, [normalized(picture) for picture in pixels])
    report(Progress(_STAGE, 0, KIT_STEPS))
    first = kernels.run(model, "AUTO", 1)
    if first is None:
        raise ConversionError(
            _STAGE,
            got="a refusal of the LiteRT interpreter",
            expected="a model that it runs",
            todo=_TODO,
        )
    _require_same(first, kernels.run(original, "AUTO", 1))
    kinds = (
        (f"XNNPACK on {threads} threads", "AUTO", threads),
        ("optimized kernels without XNNPACK", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", 1),
        ("reference kernels", "BUILTIN_REF", 1),
    )
    measured = []
    for done, (words, resolver, number) in enumerate(kinds, 1):
        report(Progress(f"{_STAGE}: {words}", done, KIT_STEPS))
        measured.append(_difference(words, first, kernels.run(model, resolver, number)))
    whole = first.outputs.dtype.kind in "iu"
    largest = float(np.abs(first.outputs.astype(np.float64)).max())
    count = len(first.outputs)
    return GoldenSet(
        pictures=tuple(names[:count]),
        answers=tuple(top_k(Outputs(first.real, probabilities).answers, 1)[:, 0].tolist()),
        unit="steps" if whole else "values",
        largest=largest,
        kernels=tuple(measured),
        tolerance=tolerance_of(measured, 1.0 if whole else SMALLEST_RELATIVE * largest),
    ), GoldenArrays(pixels[:count], first.inputs, first.outputs)


def tolerance_of(measured: Sequence[KernelDifference], least: float) -> float:
    """Say how far an output may be from the expected one, by how far correct kernels lie apart."""
    differences = [kernels.largest for kernels in measured if kernels.largest is not None]
    return max(TOLERANCE_FACTOR * max(differences, default=0.0), least)


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    inputs: np.ndarray
    outputs: np.ndarray
    real: FloatArray


class _Kernels:
    """The golden pictures through a model, with one set of kernels at a time."""

    def __init__(self, layout: Layout, pictures: list[FloatArray]) -> None:
        self._layout: Layout = layout
        self._pictures = pictures

    def run(self, model: bytes, kernels: str, threads: int) -> _Answers | None:
        """Run the pictures; give inputs and outputs in the model's types, None where refused."""
        try:
            return self._answers(load_interpreter(model, threads, _STAGE, _TODO, kernels=kernels))
        except (ConversionError, RuntimeError, ValueError):
            return None

    def _answers(self, interpreter: Any) -> _Answers:
        entry, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        batch = int(entry["shape"][0])
        inputs: list[np.ndarray] = []
        outputs: list[np.ndarray] = []
        real: list[FloatArray] = []
        started = time.monotonic()
        for picture in self._pictures:
            if inputs and time.monotonic() - started > SECONDS:
                break
            fed = quantize(in_layout(picture[None], self._layout), entry)
            interpreter.set_tensor(entry["index"], np.repeat(fed, batch, axis=0))
            interpreter.invoke()
            answer = interpreter.get_tensor(end["index"])
            inputs.append(fed[0])
            outputs.append(answer.reshape(batch, -1)[0])
            real.append(dequantize(answer, end).reshape(batch, -1)[0])
        return _Answers(np.stack(inputs), np.stack(outputs), np.stack(real))


def _require_same(answers: _Answers, before: _Answers | None) -> None:
    finite = bool(np.isfinite(answers.real).all())
    if not finite or before is None or answers.outputs.tobytes() != before.outputs.tobytes():
        raise HopError(
            _STAGE,
            got="other answers with metadata than without" if finite else "NaN or Inf as answers",
            expected="the answers of the variant, bit by bit",
            todo="Choose another variant, and report this with the run.",
        )


def _difference(kernels: str, expected: _Answers, answers: _Answers | None) -> KernelDifference:
    if answers is None:
        return KernelDifference(kernels, 0, None)
    count = min(len(answers.outputs), len(expected.outputs))
    difference = answers.outputs[:count].astype(np.float64) - expected.outputs[:count]
    return KernelDifference(kernels, count, float(np.abs(difference).max()))


@dataclass(frozen=True, slots=True)
class CheckedKit:
    """What a kit's own script says of its golden set.

    Attributes:
        passed: Whether every answer lies within the tolerance.
        output: What it prints.
    """

    passed: bool
    output: str


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """Run the check of a kit.

    Attributes:
        kit: The zip.
    """

    kit: str


def check_kit(kit: Path, host: Host) -> CheckedKit:
    """Check the golden set of a kit as its receiver does: unpacked, and by its own script.

    Args:
        kit: The zip.
        host: Gets the worker and its progress.

    Raises:
        ConversionError: The script ends without a verdict.
        WorkerError: The worker process failed.
    """
    with Worker() as worker:
        return host.adopt(worker).run(run_check, CheckRequest(str(kit.absolute())), host.report)


def run_check(request: CheckRequest, report: Report) -> CheckedKit:
    """Unpack a kit into an empty folder, and run its script there in a process of its own.

    Raises:
        ConversionError: The script ends without a verdict.
    """
    stage = "Checking the golden set"
    failure = partial(ConversionError, stage, expected="a verdict on the golden set", todo=_TODO)
    report(Progress(stage, 0, 1))
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(request.kit) as archive:
        archive.extractall(folder)
        command = [sys.executable, SCRIPT]
        ended = run_program(command, _CHECK_SECONDS, SCRIPT, failure, Path(folder))
    verdict = ended.stdout.decode(errors="replace").strip()
    if ended.returncode not in {0, 1} or "golden set" not in verdict:
        raise failure(got=last_line(ended.stderr.decode(errors="replace")))
    return CheckedKit(ended.returncode == 0, verdict)
