"""Small ONNX graphs through the lowering to TFLite, held against ONNX Runtime."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx.parser
import onnxruntime

from engine.conversion.savedmodel_from_onnx import savedmodel_from_onnx
from engine.conversion.tflite_from_savedmodel import tflite_from_savedmodel
from engine.networks.runners.tflite import TfliteRunner
from engine.quantization.recipes import recipe_named

PICTURES = np.random.default_rng(0).normal(size=(8, 8, 6, 3)).astype(np.float32)


def parse_network(
    body: str, constants: dict[str, np.ndarray] | None = None, opset: int = 13
) -> onnx.ModelProto:
    """Parse a graph from ``picture``, shape (1, 3, 8, 6), to ``logits`` of any shape."""
    model: onnx.ModelProto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]>\n'
        f"network (float[1, 3, 8, 6] picture) => (float[answers] logits)\n{{\n{body}\n}}"
    )
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name)
        for name, value in (constants or {}).items()
    )
    return model


def with_all_read(body: str) -> str:
    """Flatten and join the results of all lines as ``logits``."""
    results = re.findall(r"^\s*([\w, ]+) = \w+[<(]", body, re.MULTILINE)
    names = [name for result in results for name in result.replace(" ", "").split(",")]
    flat = [f"flat_{name} = Flatten<axis = 0>({name})" for name in names]
    read = ", ".join(f"flat_{name}" for name in names)
    return "\n".join([body, *flat, f"logits = Concat<axis = 1>({read})"])


def expected_answers(model: onnx.ModelProto) -> np.ndarray:
    """Run ONNX Runtime over the pictures, shape (8, classes)."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    inputs = PICTURES.transpose(0, 3, 1, 2)
    rows = [session.run(["logits"], {"picture": x[None]})[0].reshape(-1) for x in inputs]
    return np.stack(rows)


def answers_of(model: onnx.ModelProto, variant: str, folder: Path) -> np.ndarray:
    """Convert, and run the TFLite file over the pictures, shape (8, classes)."""
    saved, file = folder / "saved", folder / f"{variant}.tflite"
    if not saved.exists():
        savedmodel_from_onnx(model, saved, layout="NCHW", input_layout="NHWC", lowering="nhwc")
    file.write_bytes(
        tflite_from_savedmodel(
            saved,
            recipe_named(variant),
            batches=lambda: (picture[None] for picture in PICTURES),
        )
    )
    with TfliteRunner(file, layout="NHWC") as runner:
        return np.asarray(runner.infer(PICTURES)).reshape(len(PICTURES), -1)


def decibels(answers: np.ndarray, expected: np.ndarray) -> float:
    """Signal to quantization noise."""
    noise = np.square(answers - expected).mean()
    return float(10 * np.log10(np.square(expected).mean() / max(noise, 1e-30)))


def assert_answers(model: onnx.ModelProto, folder: Path, *, int8: float, int16x8: float) -> None:
    """Hold float32 to ONNX Runtime's answers, and integers to more than so many decibels."""
    expected = expected_answers(model)
    np.testing.assert_allclose(answers_of(model, "float32", folder), expected, rtol=1e-5, atol=1e-6)
    assert decibels(answers_of(model, "int8_float_io", folder), expected) > int8
    assert decibels(answers_of(model, "int16x8", folder), expected) > int16x8
