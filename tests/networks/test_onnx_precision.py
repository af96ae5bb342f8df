"""float16, bfloat16 and double, computed in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from engine.core.errors import ModelError
from engine.networks.onnx_contents import tensors_of
from engine.networks.onnx_reading import OnnxReading, onnx_reading

PICTURE = np.linspace(-3, 4, 12, dtype=np.float32).reshape(1, 3, 2, 2)

INSIDE = """
<ir_version: 8, opset_import: ["": 17]>
g (EDGE[1, 3, 2, 2] x) => (EDGE[1, 3, 1, 1] y) <float[1] w = {1.5}>
{
  inner = Cast<to = NUMBER>(x)
  ones = ConstantOfShape<value = float[1] {1.0}>(shape)
  shape = Constant<value_ints = [1, 3, 2, 2]>()
  c = Constant<value = float[1] {0.25}>()
  moved = Add(inner, ones)
  right = Cast<to = 9>(c)
  branch = If(right)
    <then_branch = t () => (TYPE[1, 3, 2, 2] a) { a = Mul(moved, w) },
     else_branch = e () => (TYPE[1, 3, 2, 2] b) { b = Identity(moved) }>
  added = Add(branch, c)
  mean = GlobalAveragePool(added)
  y = Cast<to = OUTER>(mean)
}
"""
WORDS = {"float16": 10, "double": 11, "bfloat16": 16, "float": 1}


def reading(folder: Path, kind: str, edge: str) -> OnnxReading:
    text = INSIDE.replace("NUMBER", str(WORDS[kind])).replace("OUTER", str(WORDS[edge]))
    model = parser.parse_model(text.replace("TYPE", kind).replace("EDGE", edge))
    for tensor in tensors_of(model):
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(helper.make_tensor(tensor.name, WORDS[kind], values.shape, values))
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return onnx_reading(folder / "m.onnx")


def answer(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (value,) = session.run(None, {"x": PICTURE})
    return np.asarray(value)


@pytest.mark.parametrize("edge", ["float", "same"])
@pytest.mark.parametrize(
    ("kind", "tolerance"), [("float16", 1 / 16), ("double", 1 / 1024), ("bfloat16", 1 / 2)]
)
def test_other_floats_are_computed_in_float32(
    tmp_path: Path, kind: str, tolerance: float, edge: str
) -> None:
    result = reading(tmp_path, kind, kind if edge == "same" else edge)
    expected = ((PICTURE + 1) * 1.5 + 0.25).mean(axis=(2, 3), keepdims=True)
    computed, *unchecked = result.notes
    assert computed == f"The file computes in {kind}; here it is computed in float32."
    if result.given is None:
        assert kind != "float16", "ONNX Runtime has it"
        assert unchecked == [
            "ONNX Runtime does not run the file as it is: nothing was compared with it."
        ]
    else:
        assert (unchecked, result.tolerance) == ([], tolerance)
        np.testing.assert_allclose(answer(result.given), expected, rtol=4e-3)
    np.testing.assert_allclose(answer(result.model), expected, rtol=1e-6)
    text = str(result.model)
    assert not any(word in text for word in ("FLOAT16", "DOUBLE"))
    types = {t.data_type for t in result.model.graph.initializer}
    assert not types & {10, 11, 16}


def test_a_file_in_float32_is_left_as_it_is(tmp_path: Path) -> None:
    result = reading(tmp_path, "float", "float")
    assert (result.given, result.tolerance, result.notes) == (None, 2**-10, ())


def test_doubles_beyond_float32_stay_finite_and_those_too_small_for_it_above_zero(
    tmp_path: Path,
) -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]>\n'
        "g (double[1, 3, 2, 2] x) => (double[1, 3, 2, 2] y) { y = Max(x, w) }"
    )
    numbers = np.array([[np.finfo(np.float64).min, -np.inf], [-1e-300, 0]])
    model.graph.initializer.append(numpy_helper.from_array(numbers, "w"))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    (tensor,) = onnx_reading(tmp_path / "m.onnx").model.graph.initializer
    limits = np.finfo(np.float32)
    assert numpy_helper.to_array(tensor).tolist() == [[limits.min, -np.inf], [-limits.tiny, 0]]


def test_floats_of_eight_bits_are_refused(tmp_path: Path) -> None:
    model = parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]>\n'
        "g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y)\n"
        f"{{ low = Cast<to = {TensorProto.FLOAT8E4M3FN}>(x)  y = Cast<to = 1>(low) }}"
    )
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="floats of 8 bits"):
        onnx_reading(tmp_path / "m.onnx")
