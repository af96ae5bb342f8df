from __future__ import annotations

import numpy as np
import onnx.parser
import onnxruntime

from engine.conversion.onnx_patterns import clean_graph

# As torch writes pad(picture, (0, width - 1, 0, 0)) for pictures of any size.
PADDED_BY_ITS_SIZE = """
<ir_version: 8, opset_import: ["": 13]>
padded (float[1, 3, 5, 6] picture) => (float[1, 3, 5, 11] padded)
<int64 three = {3}, int64[1] first = {0}, int64[1] one = {1}, int64[6] nothing = {0, 0, 0, 0, 0, 0},
 int64[2] pairs = {-1, 2}, int64[1] last = {-1}, int64[1] beyond = {-9223372036854775807},
 int64[1] flat = {-1}>
{
  positive = Relu(picture)
  shape = Shape(positive)
  width = Gather(shape, three)
  wide = Unsqueeze(width, first)
  right = Sub(wide, one)
  asked = Concat<axis = 0>(first, right, nothing)
  rows = Reshape(asked, pairs)
  turned = Slice(rows, last, beyond, first, last)
  sides = Transpose<perm = [1, 0]>(turned)
  amounts = Reshape(sides, flat)
  padded = Pad(positive, amounts)
}
"""


def test_a_padding_that_depends_on_a_size_keeps_its_side() -> None:
    model = onnx.parser.parse_model(PADDED_BY_ITS_SIZE)
    picture = np.random.default_rng(0).normal(size=(1, 3, 5, 6)).astype(np.float32)
    tidy = clean_graph(model)
    assert [node.op_type for node in tidy.graph.node] == ["Relu", "Pad"]
    session = onnxruntime.InferenceSession(tidy.SerializeToString())
    (found,) = session.run(None, {"picture": picture})
    np.testing.assert_array_equal(
        found, np.pad(np.maximum(picture, 0), ((0, 0), (0, 0), (0, 0), (0, 5)))
    )


def test_a_graph_that_folding_changes_stays_as_it_was() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]>\n'
        "inverse (float[1, 3, 2, 2] picture) => (float[1, 3, 2, 2] share)\n"
        "<float one = {1.0}>\n"
        "{\n  count = Size(picture)\n  real = Cast<to = 1>(count)\n"
        "  inverse = Div(one, real)\n  share = Mul(picture, inverse)\n}"
    )
    tidy = clean_graph(model)
    session = onnxruntime.InferenceSession(tidy.SerializeToString())
    (share,) = session.run(None, {"picture": np.ones((1, 3, 2, 2), np.float32)})
    np.testing.assert_allclose(share, np.full((1, 3, 2, 2), 1 / 12), rtol=1e-6)


def test_folding_goes_on_where_answers_are_no_numbers() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]>\n'
        "unbounded (float[1, 3, 2, 2] picture) => (float[1, 3, 2, 2] roots)\n"
        "<float one = {1.0}>\n"
        "{\n  two = Add(one, one)\n  double = Mul(picture, two)\n  roots = Sqrt(double)\n}"
    )
    assert [node.op_type for node in clean_graph(model).graph.node] == ["Mul", "Sqrt"]


def test_a_resize_that_names_its_axes_keeps_no_graph_from_being_tidied() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]>\n'
        "resized (float[1, 3, 8, 6] picture) => (float[1, 216] both)\n"
        "<float[1] half = {0.5}, float zero = {0.0}>\n"
        "{\n  same = Add(picture, zero)\n  narrow = Resize<axes = [-1]>(same, , half)\n"
        "  first = Flatten(narrow)\n  second = Flatten(same)\n"
        "  both = Concat<axis = 1>(first, second)\n}"
    )
    kinds = [node.op_type for node in clean_graph(model).graph.node]
    assert sorted(kinds) == ["Concat", "Flatten", "Flatten", "Resize"]
