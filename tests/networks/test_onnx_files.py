from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.core.errors import ModelError
from engine.core.file_types import demand_onnx
from engine.networks.onnx_files import (
    onnx_source,
    picture_input,
    with_fixed_input,
)
from engine.networks.onnx_reading import read_onnx
from engine.networks.runners.onnx import OnnxRunner
from engine.networks.source import ModelChoice


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


@pytest.mark.parametrize(
    ("shape", "start", "layout", "channels"),
    [
        ([1, 1, 28, 28], "", "NCHW", 1),
        ([1, 28, 28, 1], "", "NHWC", 1),
        ([1, 4, 8, 8], "", "NCHW", 4),
        (["n", "h", "w", 4], "", "NHWC", 4),
        # Both orders fit: the operators decide, then three channels, then ONNX's own order.
        ([1, 3, 224, 3], "", "NCHW", 3),
        ([1, 3, 224, 3], "Transpose 0 3 1 2", "NHWC", 3),
        ([1, 4, 4, 3], "", "NHWC", 3),
        ([1, 4, 4, 3], "MaxPool", "NCHW", 4),
        ([1, 1, 4, 4], "", "NCHW", 1),
        ([1, 3, 3, 4], "Div Transpose 0 2 3 1", "NCHW", 3),
    ],
)
def test_layout_and_channels(shape: list[Any], start: str, layout: str, channels: int) -> None:
    turn = start.partition("Transpose ")[2]
    nodes = []
    for name in re.findall("[A-Z][a-zA-Z]+", start):
        options = {"perm": [int(axis) for axis in turn.split()]} if name == "Transpose" else {}
        options |= {"kernel_shape": [1, 1]} if name == "MaxPool" else {}
        last = f"v{len(nodes)}" if nodes else "x"
        nodes.append(helper.make_node(name, [last], [f"v{len(nodes) + 1}"], **options))
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    model = helper.make_model(helper.make_graph(nodes, "g", [value], []))
    found = picture_input(model, "m")
    assert (found.layout, found.channels) == (layout, channels)
    both = shape[1] in {1, 3, 4} and shape[3] in {1, 3, 4}
    assert (f"is read as {layout}" in found.note) is both


OPEN_CHANNELS = """<ir_version: 10, opset_import: ["": 20]>
network (float[n, c, h, w] pixels) => (float[n, 4] logits)
<float[4, 1, 2, 2] weights = {%s}, float two = {2}> {
  sizes = Shape(pixels)
  halves = Div(pixels, two)
  %s
  x = Conv<group = %d>(turned, weights)
  maximum = GlobalMaxPool(x)
  logits = Flatten(maximum)
}"""


@pytest.mark.parametrize(("groups", "channels"), [(1, 1), (4, 4)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_open_channels_are_those_of_the_first_convolution(
    tmp_path: Path, layout: str, groups: int, channels: int
) -> None:
    nchw = layout == "NCHW"
    turned = "turned = " + ("Identity" if nchw else "Transpose<perm = [0, 3, 1, 2]>") + "(halves)"
    weights = ", ".join(["1"] * 16)
    model = onnx.parser.parse_model(OPEN_CHANNELS % (weights, turned, groups))
    source = onnx_source(ModelChoice(onnx=str(saved(model, tmp_path))), input_size=8)
    assert (source.layout, source.preprocess.channels) == (layout, channels)
    assert source.output_shape == (1, 4)


def test_open_dimensions_are_fixed() -> None:
    fixed = with_fixed_input(mean_model(["n", 3, "h", "w"]), 16, 20)
    picture = picture_input(fixed, "m")
    assert (picture.layout, picture.height, picture.width) == ("NCHW", 16, 20)
    assert fixed.graph.output[0].type.tensor_type.shape.dim[0].dim_value == 1


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (mean_model([1, 3, 8, 8], opset=99), "operator set 99"),
        (mean_model([1, 3, 8, 8], domain="my.ops"), r"my\.ops\.ReduceMean"),
        (mean_model([1, 5, 8, 8]), "inputs x"),
        (mean_model([1, 3, 8, 8], dtype=TensorProto.INT32), "int32"),
    ],
    ids=["opset", "custom operator", "channels", "type"],
)
def test_what_is_no_classifier_of_pictures_is_refused(
    tmp_path: Path, model: onnx.ModelProto, found: str
) -> None:
    with pytest.raises(ModelError, match=found):
        onnx_source(ModelChoice(onnx=str(saved(model, tmp_path))))


WITHOUT_WEIGHTS = """<ir_version: 10, opset_import: ["": 20]>
network (float[1, 3, 8, 8] picture%s) => (float[1, 4] logits) {
  x = Conv(picture, weights, biases)
  logits = ReduceMean<keepdims = 0>(x, rows)
}"""


@pytest.mark.parametrize(
    ("inputs", "got"),
    [
        ("", r"values which it does not hold \(biases, rows, weights\)"),
        (", float[4, 3, 3, 3] weights, float[4] biases, int64[2] rows", "inputs picture .*; rows"),
    ],
)
def test_a_graph_without_its_weights_is_refused(tmp_path: Path, inputs: str, got: str) -> None:
    model = onnx.parser.parse_model(WITHOUT_WEIGHTS % inputs)
    with pytest.raises(ModelError, match=rf"{got}.* without export_params=False"):
        onnx_source(ModelChoice(onnx=str(saved(model, tmp_path))))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"random bytes", "bytes that are not an ONNX model"),
        (b"\x08\x08" * 50, "bytes that are not an ONNX model"),
        (b"\x20\x00\x00\x00TFL3", "a TFLite file"),
        (b"\x80\x02K\x01.", "a Python pickle"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=rf"Reading m\.onnx: got {found}"):
        read_onnx(tmp_path / "m.onnx")


def test_a_file_that_was_cut_short_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    whole = mean_model([1, 3, 8, 8]).SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(whole)
    demand_onnx(path)
    for content in (whole[:-1], whole + b"\x3a", b"a: text\n" * 20, b"\x08\x08"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not an ONNX model, or only a part of one"):
            demand_onnx(path)


def hidden_tensor(place: str) -> onnx.ModelProto:
    """A model with a tensor in another file, at a place that a look at initializers misses."""
    model = mean_model([1, 3, 8, 8])
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="/etc/hostname")
    constant = helper.make_node("Constant", [], ["c"], value=outside)
    if place == "attribute":
        model.graph.node.append(constant)
    elif place == "subgraph":
        inner = helper.make_graph([constant], "inner", [], [])
        model.graph.node.append(
            helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner)
        )
    elif place == "initializer of a subgraph":
        inner = helper.make_graph([], "inner", [], [], [outside])
        model.graph.node.append(
            helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner)
        )
    elif place == "sparse":
        model.graph.sparse_initializer.add().values.CopyFrom(outside)
    else:
        model.functions.add(name="f", domain="d").node.append(constant)
    return model


@pytest.mark.parametrize(
    "place", ["attribute", "subgraph", "initializer of a subgraph", "sparse", "function"]
)
def test_tensors_outside_are_found_wherever_they_hide(tmp_path: Path, place: str) -> None:
    with pytest.raises(ModelError, match=r"kept in another file \('/etc/hostname'\)"):
        read_onnx(saved(hidden_tensor(place), tmp_path))


def test_custom_operators_are_named_wherever_they_hide(tmp_path: Path) -> None:
    model = mean_model([1, 3, 8, 8])
    inner = helper.make_graph([helper.make_node("Evil", [], ["c"], domain="my.ops")], "i", [], [])
    model.graph.node.append(
        helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner)
    )
    with pytest.raises(ModelError, match=r"my\.ops\.Evil"):
        read_onnx(saved(model, tmp_path))


def test_a_file_above_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "m.onnx").open("wb") as file:
        file.truncate(2**31 + 4)
    with pytest.raises(ModelError, match=r"m\.onnx: got 537 million parameters, 2\.15 GB"):
        read_onnx(tmp_path / "m.onnx")


def between(nodes: list[onnx.NodeProto], opset: int = 15, **constants: Any) -> onnx.ModelProto:
    """x → nodes → the mean of h, one value a channel."""
    tail = helper.make_node("ReduceMean", ["h"], ["y"], axes=[2, 3], keepdims=0)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [*nodes, tail],
        "g",
        [value("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [value("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(np.array(c), name) for name, c in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def normalized(outputs: list[str], **attributes: int) -> onnx.NodeProto:
    return helper.make_node("BatchNormalization", ["x", *"sbmv"], outputs, **attributes)


ONES = dict.fromkeys("sbmv", np.ones(3, np.float32))
TRUE = numpy_helper.from_array(np.array(True))
HALF = np.float32(0.5)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (between([normalized(["h", "m2", "v2"], training_mode=1)], **ONES), "training mode: Batch"),
        (between([normalized(["h", "m2", "v2", "m3", "v3"])], 13, **ONES), "training mode: Batch"),
        (
            between([helper.make_node("Dropout", ["x", "r", "t"], ["h"])], r=HALF, t=True),
            r"training mode: Dropout \(h\).*model\.eval",
        ),
        (
            between(
                [
                    helper.make_node("Constant", [], ["t"], value=TRUE),
                    helper.make_node("Dropout", ["x", "r", "t"], ["h"], name="drop"),
                ],
                r=HALF,
            ),
            r"training mode: Dropout \(drop\)",
        ),
        (
            between(
                [
                    helper.make_node("RandomNormalLike", ["x"], ["n"], name="noise"),
                    helper.make_node("Add", ["x", "n"], ["h"]),
                ]
            ),
            r"drawn inside the graph: RandomNormalLike \(noise\)",
        ),
    ],
)
def test_a_model_that_does_not_repeat_its_answers_is_refused(
    tmp_path: Path, model: onnx.ModelProto, found: str
) -> None:
    with pytest.raises(ModelError, match=found):
        read_onnx(saved(model, tmp_path))


@pytest.mark.parametrize(
    "model",
    [
        between([normalized(["h"])], **ONES),
        between([normalized(["h"], training_mode=0)], **ONES),
        between([helper.make_node("Dropout", ["x"], ["h", "mask"])]),
        between([helper.make_node("Dropout", ["x", "r", "t"], ["h"])], r=HALF, t=False),
    ],
)
def test_a_model_exported_for_inference_is_read(tmp_path: Path, model: onnx.ModelProto) -> None:
    assert read_onnx(saved(model, tmp_path)).graph.node[-1].op_type == "ReduceMean"


def test_the_weights_of_a_file_are_named(tmp_path: Path) -> None:
    file = saved(between([normalized(["h"])], **ONES), tmp_path)
    source = onnx_source(ModelChoice(onnx=str(file)))
    assert [name for name, _ in source.weights()] == ["s", "b", "m", "v"]


def test_parts_of_a_sequence_that_differ_in_size_are_run(tmp_path: Path) -> None:
    # As torch.export writes x.chunk(2, 2): the last part is shorter.
    node = helper.make_node
    nodes = [
        node("SplitToSequence", ["x", "three"], ["parts"], axis=2),
        node("SequenceAt", ["parts", "first"], ["a"]),
        node("SequenceAt", ["parts", "second"], ["b"]),
        node("ReduceMax", ["a"], ["m"], axes=[2, 3], keepdims=0),
        node("ReduceMax", ["b"], ["n"], axes=[2, 3], keepdims=0),
        node("Sub", ["m", "n"], ["y"]),
    ]
    model = mean_model([1, 3, 5, 4])
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for name, value in (("three", 3), ("first", 0), ("second", 1)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    picture = np.random.default_rng(0).normal(size=(1, 5, 4, 3)).astype(np.float32)
    fixed = with_fixed_input(read_onnx(saved(model, tmp_path)), 5, 4)
    with OnnxRunner(fixed.SerializeToString(), layout="NCHW") as runner:
        logits = runner.infer(picture)
    parts = [picture[:, :3].max((1, 2)), picture[:, 3:].max((1, 2))]
    np.testing.assert_allclose(logits, parts[0] - parts[1], rtol=1e-6)
