"""What exporters write, brought into one form: each answers as the file that was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from engine.conversion.onnx_patterns import clean_graph
from engine.core.errors import ModelError
from engine.networks.onnx_files import onnx_source, picture_input, with_fixed_input
from engine.networks.onnx_reading import read_onnx
from engine.networks.onnx_tidying import operator_set
from engine.networks.source import ModelChoice

PICTURE = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
MEANS = [1.5, 5.5, 9.5]
"""Of the picture's channels."""


def read(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    tidy = read_onnx(path)
    path.write_bytes(tidy.SerializeToString())
    assert read_onnx(path) == tidy, "what was read is read again as it is"
    return tidy


def answer(model: onnx.ModelProto) -> list[float]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (value,) = session.run(None, {session.get_inputs()[0].name: PICTURE})
    answers: list[float] = value.ravel().tolist()
    return answers


def scaled(weight: float = 2.0) -> onnx.ModelProto:
    """Means of the channels times a weight."""
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]>\n'
        "g (float[1, 3, 2, 2] x) => (float[1, 3, 1, 1] y) <float[1] w = {0.0}>\n"
        "{ m = GlobalAveragePool(x)  y = Mul(m, w) }"
    )
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32([weight]), "w"))
    return model


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("version", [3, 4, 8, 13, 99])
def test_every_ir_version_is_read_with_weights_among_the_inputs_or_not(
    tmp_path: Path, version: int, listed: bool
) -> None:
    model = scaled()
    model.ir_version = version
    if listed:
        model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]))
    tidy = read(model, tmp_path)
    assert [value.name for value in tidy.graph.input] == ["x"]
    assert answer(tidy) == [2 * mean for mean in MEANS]


def test_operator_sets_that_onnx_runtime_left_behind_are_refused_where_it_does_not_run_them(
    tmp_path: Path,
) -> None:
    model = scaled()
    model.opset_import[0].version = 6
    with pytest.raises(ModelError, match=r"got operator set 6; expected 7 to .*version_converter"):
        read(model, tmp_path)
    model.graph.node[1].op_type = "Identity"
    del model.graph.node[1].input[1:]
    assert answer(read(model, tmp_path)) == MEANS


def test_nodes_out_of_order_are_sorted(tmp_path: Path) -> None:
    model = scaled()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    tidy = read(model, tmp_path)
    assert [node.op_type for node in tidy.graph.node] == ["GlobalAveragePool", "Mul"]
    assert answer(tidy) == [2 * mean for mean in MEANS]


def test_nodes_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    model = scaled()
    model.graph.node[0].input[0] = "y"
    with pytest.raises(ModelError, match=r"onnx\.checker refuses"):
        read(model, tmp_path)


def test_inputs_that_nothing_reads_are_dropped(tmp_path: Path) -> None:
    model = scaled()
    spare = helper.make_tensor_value_info("spare", TensorProto.FLOAT, [1, 3, 9, 9])
    model.graph.input.insert(0, spare)
    tidy = read(model, tmp_path)
    picture = picture_input(tidy, "m")
    assert (picture.layout, picture.height, picture.width) == ("NCHW", 2, 2)
    assert answer(tidy) == [2 * mean for mean in MEANS]


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_that_are_none_are_open(tmp_path: Path, size: int) -> None:
    model = scaled()
    for number in (0, 2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[number].dim_value = size
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = size
    fixed = with_fixed_input(read(model, tmp_path), 2, 2)
    assert answer(fixed) == [2 * mean for mean in MEANS]


@pytest.mark.parametrize("name", ["", "same", "n" * 5000, "层/0:é $%"])
def test_nodes_may_have_any_name(tmp_path: Path, name: str) -> None:
    model = scaled()
    for node in model.graph.node:
        node.name = name
    assert answer(read(model, tmp_path)) == [2 * mean for mean in MEANS]


def test_sparse_weights_become_dense(tmp_path: Path) -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]>\n'
        "g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y) { s = Add(x, a)  y = Add(s, b) }"
    )
    values = numpy_helper.from_array(np.array([5, 7], np.float32), "a")
    pairs = numpy_helper.from_array(np.array([[0, 1], [1, 0]]), "pairs")
    flat = numpy_helper.from_array(np.array([0, 3]), "flat")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, pairs, [2, 2]))
    constant = helper.make_sparse_tensor(values, flat, [2, 2])
    model.graph.node.insert(0, helper.make_node("Constant", [], ["b"], sparse_value=constant))
    tidy = read(model, tmp_path)
    total = PICTURE + np.array([[5, 5], [7, 7]], np.float32)
    assert answer(tidy) == total.ravel().tolist()
    assert not tidy.graph.sparse_initializer


def test_a_sparse_weight_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    model = scaled()
    values = numpy_helper.from_array(np.array([5], np.float32), "huge")
    places = numpy_helper.from_array(np.array([1]), "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2**40, 9]))
    with pytest.raises(ModelError, match=r"a sparse weight of dimensions \[1099511627776, 9\]"):
        read(model, tmp_path)


CONSTANTS = """
<ir_version: 8, opset_import: ["": 13]>
g (float[1, 3, 2, 2] x) => (float[1, 3, 1, 1] y)
{
  m = GlobalAveragePool(x)
  scalar = Constant<value_float = 3.0>()
  vector = Constant<value_floats = [1.0, 2.0, 3.0]>()
  shape = Constant<value_ints = [1, 3, 1, 1]>()
  column = Reshape(vector, shape)
  times = Mul(m, scalar)
  y = Add(times, column)
}
"""


def test_constants_may_be_nodes_of_any_form(tmp_path: Path) -> None:
    tidy = read(parser.parse_model(CONSTANTS), tmp_path)
    assert answer(tidy) == [3 * mean + number for number, mean in enumerate(MEANS, 1)]


@pytest.mark.slow
def test_the_mask_of_a_dropout_is_all_true(tmp_path: Path) -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]>\n'
        "g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y)\n"
        "{ d, mask = Dropout(x)  m = Cast<to = 1>(mask)  y = Add(d, m) }"
    )
    tidy = read(model, tmp_path)
    assert answer(tidy) == (PICTURE + 1).ravel().tolist()
    assert [node.op_type for node in clean_graph(tidy).graph.node] == ["Add"]


def test_the_mask_of_a_dropout_may_be_an_output(tmp_path: Path) -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]>\n'
        "g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y, bool[1, 3, 2, 2] mask)\n"
        "{ y, mask = Dropout(x) }"
    )
    session = onnxruntime.InferenceSession(read(model, tmp_path).SerializeToString())
    (mask,) = session.run(["mask"], {"x": PICTURE})
    assert mask.all()


def test_attributes_that_list_nothing_are_dropped(tmp_path: Path) -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]>\n'
        "g (float[1, 3, 2, 2] x) => (float[1, 1, 1, 1] y) { y = ReduceMean(x) }"
    )
    model.graph.node[0].attribute.append(
        helper.make_attribute("axes", [], attr_type=onnx.AttributeProto.INTS)
    )
    tidy = read(model, tmp_path)
    assert not tidy.graph.node[0].attribute
    assert answer(tidy) == [5.5]


@pytest.mark.parametrize("opset", [18, 20])
def test_a_group_norm_whose_factors_are_one_a_group(tmp_path: Path, opset: int) -> None:
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]>\n'
        "g (float[1, 3, 2, 2] x) => (float[1, 6, 2, 2] y)\n"
        "<float[2] scale = {1, 2}, float[2] shift = {0, 1}>\n"
        "{ pair = Concat<axis = 1>(x, x)\n"
        "y = GroupNormalization<num_groups = 2, epsilon = 0.0>(pair, scale, shift) }"
    )
    tidy = read(model, tmp_path)
    norm = ((PICTURE - 5.5) / np.sqrt(143 / 12)).ravel()
    np.testing.assert_allclose(answer(tidy), [*norm, *(2 * norm + 1)], rtol=1e-6, atol=1e-6)


FUNCTIONS = """
<ir_version: 8, opset_import: ["": 17, "own": 1]>
g (float[1, 3, 2, 2] x) => (float[1, 3, 1, 1] y) { m = GlobalAveragePool(x)  y = own.Twice(m) }
<opset_import: ["": 17, "own": 1], domain: "own">
Twice (a) => (b) { c = own.Same(a)  b = Add(c, c) }
<opset_import: ["": INNER], domain: "own"> Same (a) => (b) { b = BODY }
"""


@pytest.mark.parametrize("inner", ["13", "17", "18"])
def test_functions_of_the_file_are_written_out(tmp_path: Path, inner: str) -> None:
    text = FUNCTIONS.replace("INNER", inner).replace("BODY", "Relu(a)")
    tidy = read(parser.parse_model(text), tmp_path)
    assert [node.op_type for node in tidy.graph.node] == ["GlobalAveragePool", "Relu", "Add"]
    assert not tidy.functions
    assert operator_set(tidy) == 17
    assert answer(tidy) == [2 * mean for mean in MEANS]


def test_a_model_of_functions_alone_takes_their_operator_set(tmp_path: Path) -> None:
    model = parser.parse_model(FUNCTIONS.replace("INNER", "17").replace("BODY", "Relu(a)"))
    model.opset_import.remove(model.opset_import[0])
    model.graph.node.remove(model.graph.node[0])
    model.graph.node[0].input[0] = "x"
    tidy = read(model, tmp_path)
    assert operator_set(tidy) == 17
    assert answer(tidy) == (2 * PICTURE).ravel().tolist()


def test_a_function_of_other_operators_is_refused(tmp_path: Path) -> None:
    text = FUNCTIONS.replace("INNER", "18").replace("BODY", "ReduceMean(a)")
    with pytest.raises(ModelError, match=r"outside ONNX's own set: own\.Same"):
        read(parser.parse_model(text), tmp_path)


def test_functions_without_end_are_refused(tmp_path: Path) -> None:
    text = FUNCTIONS.replace("INNER", '17, "own": 1').replace("BODY", "own.Twice(a)")
    with pytest.raises(ModelError, match="functions that call themselves"):
        read(parser.parse_model(text), tmp_path)
    model = parser.parse_model(FUNCTIONS.replace("INNER", "17").replace("BODY", "Relu(a)"))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for number in range(9):
        called = "Same" if number == 0 else f"F{number - 1}"
        node = helper.make_node(called, ["a"], ["b"], domain="own")
        body = [helper.make_node(called, ["a"], [f"c{n}"], domain="own") for n in range(9)]
        model.functions.append(
            helper.make_function("own", f"F{number}", ["a"], ["b"], [*body, node], opsets)
        )
    model.graph.node[1].op_type = "F8"
    with pytest.raises(ModelError, match=r"functions of 1,000,000,001 operators"):
        read(model, tmp_path)


NO_SHAPE = """
<ir_version: 8, opset_import: ["": 13]>
g (float[1, 3, 2, 2] x) => (float[a, b] y) <int64 two = {2}>
{
  m = GlobalAveragePool(x)
  f = Flatten(m)
  s = Shape(f)
  real = Cast<to = 1>(s)
  whole = Cast<to = 7>(real)
  y = Reshape(f, whole)
}
"""


@pytest.mark.parametrize("declared", ["shape", "type", "name"])
def test_an_output_whose_shape_cannot_be_inferred_gets_that_of_a_run(
    tmp_path: Path, declared: str
) -> None:
    path = tmp_path / "m.onnx"
    model = parser.parse_model(NO_SHAPE)
    if declared == "type":
        model.graph.output[0].type.tensor_type.ClearField("shape")
    elif declared == "name":
        model.graph.output[0].ClearField("type")
    model.graph.name = ""
    path.write_bytes(model.SerializeToString())
    source = onnx_source(ModelChoice(onnx=str(path)))
    assert source.output_shape == (1, 3)
    fixed = with_fixed_input(read_onnx(path), 2, 2, source.output, source.output_shape)
    dims = fixed.graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [1, 3]
    onnx.checker.check_model(fixed)


@pytest.mark.parametrize(("version", "outputs"), [(13, 5), (15, 1)])
def test_standardized_weights_are_no_training_mode(
    tmp_path: Path, version: int, outputs: int
) -> None:
    """Kernels 1 + 3 i: the mean is taken off, the deviation divided out, 2 times it, and 1 more."""
    mode = "training_mode = 1, " if version > 13 else ""
    names = ["y", "m", "v", "sm", "sv"][:outputs]
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": {version}]>
        g (float[1, 3, 2, 2] input) => (float[1, 1, 2, 2] logits)
        <float[1, 3, 1, 1] w = {{1, 4, 7}}, int64[3] flat = {{1, 1, -1}},
         int64[4] kernel = {{1, 3, 1, 1}},
         float[1] s = {{2}}, float[1] b = {{1}}, float[1] zero = {{0}}, float[1] one = {{1}}>
        {{
            x = Reshape(w, flat)
            {", ".join(names)} = BatchNormalization <{mode}epsilon = 0.0> (x, s, b, zero, one)
            k = Reshape(y, kernel)
            logits = Conv(input, k)
        }}"""
    )
    deviation = np.sqrt(6)
    kernel = np.array([-3, 0, 3]) / deviation * 2 + 1
    expected = (PICTURE * kernel[:, None, None]).sum((0, 1)).ravel()
    tidy = read(model, tmp_path)
    assert "BatchNormalization" not in {node.op_type for node in tidy.graph.node}
    np.testing.assert_allclose(answer(tidy), expected, rtol=1e-5)
    of_picture = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 15]>
        g (float[1, 3, 2, 2] input) => (float[1, 3, 2, 2] logits)
        <float[3] s = {1, 1, 1}> {
            logits = BatchNormalization <training_mode = 1> (input, s, s, s, s)
        }"""
    )
    with pytest.raises(ModelError, match="training mode"):
        read(of_picture, tmp_path)
