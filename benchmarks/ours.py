"""Convert with Quantization Lab, as a person does: ``engine.convert``, each hop checked.

``python -m benchmarks.ours PREPARED OUT KEY``. One conversion makes both precisions, worker process
included; float32 is charged with all but the int8 stages of the manifest. What the worker imports
is timed on its own and taken off the seconds of the conversion, so that imports and conversion
stand apart as they do for the others.
"""

from __future__ import annotations

import shutil
import sys
import time
import warnings
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
    import_seconds = _import_seconds()
    stopwatch = Stopwatch(folder=out, key=key, import_seconds=import_seconds)
    run = out / "run"
    both = (FLOAT32, INT8, INT8_FLOAT_IO)
    seconds = stopwatch.attempt("int8", lambda: _convert(prepared_in, both, run), -import_seconds)
    if seconds is None:
        shutil.rmtree(run, ignore_errors=True)
        stopwatch.attempt(
            "float32", lambda: _convert(prepared_in, (FLOAT32,), run), -import_seconds
        )
    else:
        stopwatch.attempt("float32", lambda: None, seconds - _int8_seconds(run))
    for file in run.glob("*.tflite"):
        file.replace(out / file.name)
    shutil.rmtree(run, ignore_errors=True)


def _convert(prepared_in: Path, variants: tuple[str, ...], run: Path) -> None:
    import engine

    prepared = read_prepared(prepared_in)
    with warnings.catch_warnings():
        warnings.simplefilter("error", engine.MissingVariantWarning)
        engine.convert(
            prepared.model,
            checkpoint=prepared_in / Prepared.WEIGHTS,
            variants=variants,
            calibration_count=CALIBRATION_PICTURES,
            opset=prepared.opset,
            out=run,
        )


def _int8_seconds(run: Path) -> float:
    from engine.runs.run import Run

    stages = Run.open(run).manifest.stages
    return sum(stage.seconds for stage in stages if stage.name in {INT8, INT8_FLOAT_IO})


def _import_seconds() -> float:
    started = time.perf_counter()
    import tensorflow  # noqa: F401
    import torch  # noqa: F401

    from engine.conversion.savedmodel_from_onnx import import_onnx_tf
    from engine.networks.catalog_network import import_torchvision

    import_torchvision()
    import_onnx_tf()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
