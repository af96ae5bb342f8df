from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.errors import ModelError
from engine.models.onnx_files import onnx_source, picture_input, read_onnx, with_fixed_input
from engine.requests import ModelChoice


def mean_model(
    shape: list[Any], *, opset: int = 13, domain: str = "", dtype: int = TensorProto.FLOAT
) -> onnx.ModelProto:
    """Channel means of a picture: three logits."""
    axes = [2, 3] if shape[1] == 3 else [1, 2]
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=0, domain=domain)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, [shape[0], 3])],
    )
    opsets = [helper.make_opsetid("", opset)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.parametrize(
    ("shape", "layout", "size"),
    [
        ([1, 3, 8, 10], "NCHW", (8, 10)),
        (["n", 3, 8, 10], "NCHW", (8, 10)),
        ([2, 8, 10, 3], "NHWC", (8, 10)),
        (["n", 3, "h", "w"], "NCHW", (224, 224)),
    ],
)
def test_the_input_is_understood(
    tmp_path: Path, shape: list[Any], layout: str, size: tuple[int, int]
) -> None:
    source = onnx_source(ModelChoice(onnx=str(saved(mean_model(shape), tmp_path))))
    assert source.layout == layout
    assert (source.preprocess.height, source.preprocess.width) == size
    assert source.identity.classes == 3


def test_open_dimensions_are_fixed() -> None:
    fixed = with_fixed_input(mean_model(["n", 3, "h", "w"]), 16, 20)
    assert picture_input(fixed, "m") == ("NCHW", 16, 20)
    assert fixed.graph.output[0].type.tensor_type.shape.dim[0].dim_value == 1


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (mean_model([1, 3, 8, 8], opset=18), "operator set 18"),
        (mean_model([1, 3, 8, 8], domain="my.ops"), r"my\.ops\.ReduceMean"),
        (mean_model([1, 4, 8, 8]), "inputs x"),
        (mean_model([1, 3, 8, 8], dtype=TensorProto.DOUBLE), "double"),
    ],
    ids=["opset", "custom operator", "channels", "type"],
)
def test_what_is_no_classifier_of_pictures_is_refused(
    tmp_path: Path, model: onnx.ModelProto, found: str
) -> None:
    with pytest.raises(ModelError, match=found):
        onnx_source(ModelChoice(onnx=str(saved(model, tmp_path))))


def test_weights_outside_the_file_are_refused(tmp_path: Path) -> None:
    model = mean_model([1, 3, 8, 8])
    weight = numpy_helper.from_array(np.zeros(2000, np.float32), "w")
    model.graph.initializer.append(weight)
    path = tmp_path / "m.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(ModelError, match="kept in another file"):
        read_onnx(path)


@pytest.mark.parametrize("content", [b"", b"random bytes", b"\x08\x08" * 50])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"Reading m\.onnx: got bytes that are no ONNX model"):
        read_onnx(tmp_path / "m.onnx")
