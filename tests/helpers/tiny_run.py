"""A run whose models give their picture back: made by hand in milliseconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from onnx import TensorProto, helper

from engine.images.preprocess import PreprocessSpec
from engine.networks.source import ModelIdentity
from engine.runs.manifest import FILE_NAME
from engine.runs.run import ONNX_FILE, Run
from engine.tflite.artifact import artifact_of
from tests.helpers.factories import manifest
from tests.helpers.tiny_tflite import reshape_file

SIDE = 4
CLASSES = SIDE * SIDE * 3
STEP = 0.02
OLDER, NEWER = "older", "newer"


def tiny_run(folder: Path) -> Run:
    """Original, float32 and int8; the logits are the preprocessed picture, NHWC."""
    folder.mkdir(parents=True)
    node = helper.make_node("Flatten", ["x"], ["y"])
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "g",
        [value("x", TensorProto.FLOAT, [1, SIDE, SIDE, 3])],
        [value("y", TensorProto.FLOAT, [1, CLASSES])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    shape = (1, SIDE, SIDE, 3)
    reshape_file(folder / "float32.tflite", shape)
    reshape_file(folder / "int8.tflite", shape, dtype="int8", scale=STEP)
    artifacts = tuple(
        artifact_of(folder / f"{name}.tflite", variant=name, layout="NHWC")
        for name in ("float32", "int8")
    )
    made = replace(
        manifest(),
        model=ModelIdentity("tiny", "onnx", "file", "1" * 64, None, 10, CLASSES),
        preprocess=PreprocessSpec(height=SIDE, width=SIDE, resize="squash", resize_size=SIDE),
        labels=None,
        layout="NHWC",
        artifacts=artifacts,
        float32_bytes=artifacts[0].bytes,
    )
    (folder / FILE_NAME).write_bytes(made.to_json())
    return Run.open(folder)


def two_runs(home: Path) -> None:
    """The runs `OLDER` and `NEWER` in a store, of models named after them."""
    for name, day in ((OLDER, 1), (NEWER, 2)):
        run = tiny_run(home / "runs" / name)
        model = replace(run.manifest.model, name=f"the_{name}")
        dated = replace(run.manifest, model=model, created_at=f"2026-01-0{day}T00:00:00+00:00")
        (run.folder / FILE_NAME).write_bytes(dated.to_json())
