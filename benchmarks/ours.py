"""Convert with Quantization Lab, as a person does: ``engine.convert``, each hop checked.

``python -m benchmarks.ours PREPARED OUT KEY``. Each precision starts from nothing, worker process
included. What the worker imports is timed on its own and taken off the seconds of the conversion,
so that imports and conversion stand apart as they do for the others.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from benchmarks.attempts import (
    FLOAT32,
    INT8,
    INT8_FLOAT_IO,
    Prepared,
    Stopwatch,
    read_prepared,
)
from benchmarks.prepare import CALIBRATION_PICTURES


def main() -> None:
    """Make ``float32.tflite``, ``int8.tflite`` and ``int8_float_io.tflite``."""
    prepared_in, out, key = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    prepared = read_prepared(prepared_in)
    import_seconds = _import_seconds()
    stopwatch = Stopwatch(folder=out, key=key, import_seconds=import_seconds)
    stopwatch.attempt(
        "float32", lambda: _convert(prepared, (FLOAT32,), out), seconds_before=-import_seconds
    )
    stopwatch.attempt(
        "int8", lambda: _convert(prepared, (INT8, INT8_FLOAT_IO), out), -import_seconds
    )


def _convert(prepared: Prepared, variants: tuple[str, ...], out: Path) -> None:
    import engine

    run = out / "run"
    shutil.rmtree(run, ignore_errors=True)
    engine.convert(
        prepared.model,
        random_weights=prepared.random_weights,
        variants=variants,
        calibration_count=CALIBRATION_PICTURES,
        opset=prepared.opset,
        out=run,
    )
    for name in variants:
        shutil.copyfile(run / f"{name}.tflite", out / f"{name}.tflite")
    shutil.rmtree(run)


def _import_seconds() -> float:
    started = time.perf_counter()
    import tensorflow  # noqa: F401
    import torch  # noqa: F401

    from engine.converters.onnx_tf_import import import_onnx_tf
    from engine.models.torchvision_import import import_torchvision

    import_torchvision()
    import_onnx_tf()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
