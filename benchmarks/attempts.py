"""One attempt at a conversion, written down by the process that makes it.

Only the standard library is imported: this runs in every converter's environment.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Precision = Literal["float32", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")

FLOAT32, INT8, INT8_FLOAT_IO = "float32", "int8", "int8_float_io"
"""Stems of the files: float32; int8 with int8 edges; int8 with float32 edges."""

NEEDS_FLOAT32 = "needs the float32 model, which failed"
_LONGEST_REASON = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What every converter starts from.

    Attributes:
        model: Name in the catalogue.
        weights_sha256: Digest of the network's weights, as its manifest has it.
        random_weights: Whether they are random.
        parameters: Number of parameters.
        height: Rows of the input.
        width: Columns of the input.
        opset: ONNX operator set of ``m.onnx``: the lowest that the exporter takes.
        import_seconds: Importing torch and torchvision.
        export_seconds: PyTorch to ``m.onnx``, the search for that operator set included.
    """

    model: str
    weights_sha256: str
    random_weights: bool
    parameters: int
    height: int
    width: int
    opset: int
    import_seconds: float
    export_seconds: float

    FILE = "prepared.json"
    NETWORK = "network.pt"
    WEIGHTS = "weights.pth"
    ONNX = "m.onnx"
    ONNX_INPUT = "input"
    CALIBRATION = "calibration.npy"
    CHECKS = "checks.npy"
    LOGITS = "logits.npy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one converter fared with one model in one precision.

    Attributes:
        precision: What it was asked for.
        key: Digest of what the result depends on.
        import_seconds: Importing the converter and what it needs.
        convert_seconds: From the network in PyTorch to the file, without the imports.
        failure: Why there is no file, in one line; None where there is.
        note: What a reader has to know of the file; empty where nothing.
    """

    precision: Precision
    key: str
    import_seconds: float | None
    convert_seconds: float | None
    failure: str | None
    note: str = ""


def read_prepared(folder: Path) -> Prepared:
    """Read what was prepared in a model's folder."""
    return Prepared(**json.loads((folder / "prepared.json").read_text()))


def read_attempt(folder: Path, precision: Precision) -> Attempt | None:
    """Read an attempt, or None where none was made."""
    file = attempt_file(folder, precision)
    return Attempt(**json.loads(file.read_text())) if file.is_file() else None


def attempt_file(folder: Path, precision: Precision) -> Path:
    """Where an attempt is written down."""
    return folder / f"{precision}.json"


def write_record(file: Path, record: Any) -> None:
    """Write a dataclass as JSON, whole or not at all."""
    side = file.with_suffix(".part")
    side.write_text(json.dumps(asdict(record), indent=1) + "\n")
    os.replace(side, file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopwatch:
    """Makes attempts and writes them down.

    Attributes:
        folder: Where the converter's files and records go.
        key: See `Attempt`.
        import_seconds: See `Attempt`.
    """

    folder: Path
    key: str
    import_seconds: float

    def attempt(
        self,
        precision: Precision,
        work: Callable[[], None],
        seconds_before: float = 0.0,
        note: str = "",
    ) -> float | None:
        """Do some work and write down how long it took or why it failed.

        Args:
            precision: What the work makes.
            work: Writes the file.
            seconds_before: What was done towards it beforehand, such as the float32 model.
            note: See `Attempt`.

        Returns:
            Seconds with those before; None where it failed.
        """
        started = time.perf_counter()
        try:
            work()
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            self._write(precision, None, one_line(error))
            return None
        seconds = time.perf_counter() - started + seconds_before
        self._write(precision, seconds, None, note)
        return seconds

    def no_attempt(self, precision: Precision, reason: str) -> None:
        """Write down that something could not even be tried."""
        self._write(precision, None, reason)

    def _write(
        self, precision: Precision, seconds: float | None, failure: str | None, note: str = ""
    ) -> None:
        record = Attempt(
            precision=precision,
            key=self.key,
            import_seconds=self.import_seconds,
            convert_seconds=seconds,
            failure=failure,
            note=note,
        )
        write_record(attempt_file(self.folder, precision), record)


def one_line(error: BaseException) -> str:
    """Give the kind of the exception behind all others, and the first line of its message."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shorten(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)


def shorten(reason: str) -> str:
    """Cut a reason to what fits into a table."""
    return reason if len(reason) <= _LONGEST_REASON else reason[: _LONGEST_REASON - 1] + "…"
