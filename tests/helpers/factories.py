"""Records with figures that are easy to follow by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from engine.comparison.comparison import Comparison, compare
from engine.comparison.latency import Latency, LatencySamples
from engine.comparison.records import MemoryUse
from engine.images.preprocess import PreprocessSpec
from engine.networks.source import ModelIdentity
from engine.quantization.calibration import CalibrationInfo
from engine.quantization.recipes import recipe_named
from engine.runs.manifest import SCHEMA_VERSION, Manifest, Stage
from engine.tflite.artifact import Artifact, TensorInfo
from engine.tflite.operator_times import OperatorTime

LOGITS = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.5], [1.0, 0.0, 4.0]], dtype=np.float32)


def artifact(variant: str, size: int = 100) -> Artifact:
    edge = TensorInfo("x", (1, 3, 4, 4), "int8", 0.5, -1)
    return Artifact(
        variant,
        f"{variant}.tflite",
        size,
        "0" * 64,
        {"CONV_2D": 2},
        (edge,),
        (edge,),
        "NCHW",
        "per-channel",
    )


def manifest(*variants: str, weights: str = "package", float32_bytes: int = 400) -> Manifest:
    names = variants or ("float32", "int8")
    return Manifest(
        schema_version=SCHEMA_VERSION,
        key="k" * 64,
        created_at="2026-01-02T03:04:05+00:00",
        model=ModelIdentity("tiny", "torchvision", weights, "1" * 64, None, 10, 3),  # type: ignore[arg-type]
        preprocess=PreprocessSpec(),
        labels=("cat", "dog", "<b>owl</b>"),
        layout="NCHW",
        opset=13,
        allow_flex=False,
        lowering="nhwc",
        recipes=tuple(recipe_named(name) for name in names),
        calibration=CalibrationInfo(100, 0, "2" * 64, True, None),
        stages=(
            Stage("pytorch", 1.0),
            Stage("onnx", 0.5, "pytorch", 0.0, 0.0),
            Stage("float32", 2.0, "onnx", 1e-6, 2e-7),
            Stage("int8", 3.0, "float32", 0.5, 0.05),
        ),
        artifacts=tuple(artifact(name, 400 if name == "float32" else 100) for name in names),
        float32_bytes=float32_bytes,
        versions={"python": "3.11"},
        command="python -m engine convert",
    )


def latency(medians: Mapping[str, float], spread: float = 0.0) -> Latency:
    entries = tuple(
        LatencySamples(name, (m * (1 - spread), m, m * (1 + spread))) for name, m in medians.items()
    )
    return Latency("a machine", 2, 1, "2026-01-02T03:04:05+00:00", entries)


def memory_use(peaks: Mapping[str, float]) -> dict[str, MemoryUse]:
    return {name: MemoryUse(peak, 2.0, "LiteRT 9, one thread") for name, peak in peaks.items()}


def operator_time(op: str, kernel: str, microseconds: float, index: int | None = 0) -> OperatorTime:
    return OperatorTime(index, op, kernel, microseconds)


def profiled(timed: Latency, times: Mapping[str, tuple[OperatorTime, ...]]) -> Latency:
    entries = (replace(entry, operators=times.get(entry.variant, ())) for entry in timed.entries)
    return replace(timed, entries=tuple(entries))


def comparison(logits: Mapping[str, np.ndarray], **options: object) -> Comparison:
    rows = len(next(iter(logits.values())))
    names = tuple(f"picture_{row}.jpg" for row in range(rows))
    every = {"original": LOGITS[:rows], **logits}
    return compare(run="run", reference_name="original", logits=every, pictures=names, **options)  # type: ignore[arg-type]
