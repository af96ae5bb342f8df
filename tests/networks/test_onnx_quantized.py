"""QDQ files: their float graph, with answers known by hand and from ONNX Runtime's quantizer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from engine.core.errors import ModelError
from engine.networks.onnx_reading import OnnxReading, onnx_reading

Weights = dict[str, onnx.TensorProto]


def reading(text: str, folder: Path, opset: int = 13, **weights: onnx.TensorProto) -> OnnxReading:
    opsets = f'["": {opset}, "com.microsoft": 1]'
    model = parser.parse_model(f"<ir_version: 10, opset_import: {opsets}>\n{text}")
    for name, tensor in weights.items():
        tensor.name = name
        model.graph.initializer.append(tensor)
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return onnx_reading(path)


def array(values: object, dtype: str = "float32") -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype))


def answer(model: onnx.ModelProto, picture: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (value,) = session.run(None, {session.get_inputs()[0].name: picture})
    return np.asarray(value)


WEIGHT = "g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y) { d = DQ  y = Add(x, d) }"
INT4 = helper.make_tensor("", TensorProto.INT4, [1, 1, 1, 4], [-8, 7, 1, 0])


@pytest.mark.parametrize(
    ("node", "opset", "weights", "expected"),
    [
        (
            "DequantizeLinear(q, s, z)",
            10,
            {"q": array([[130, 0]], "uint8"), "s": array(0.5), "z": array(128, "uint8")},
            [[1, -64]],
        ),
        (
            "DequantizeLinear<axis = 0>(q, s)",
            13,
            {"q": array([[[10]], [[-20]], [[30]]], "int8"), "s": array([0.5, 2, 1])},
            [[[5]], [[-40]], [[30]]],
        ),
        (
            "DequantizeLinear<axis = -1>(q, s, z)",
            13,
            {
                "q": array([[1, 2]], "int32"),
                "s": array([0.5, 3]),
                "z": array([0, 0], "int32"),
            },
            [[0.5, 6]],
        ),
        ("DequantizeLinear(q, s)", 21, {"q": INT4, "s": array(0.25)}, [[[[-2, 1.75, 0.25, 0]]]]),
        (
            "DequantizeLinear<axis = 1, block_size = 2>(q, s)",
            21,
            {"q": array([[1, 2, 3]], "int8"), "s": array([[0.5, 10]])},
            [[0.5, 1, 30]],
        ),
    ],
    ids=["tensor", "axis", "last axis", "4 bits", "blocks"],
)
def test_weights_become_what_their_integers_stand_for(
    tmp_path: Path, node: str, opset: int, weights: Weights, expected: object
) -> None:
    result = reading(WEIGHT.replace("DQ", node), tmp_path, opset, **weights)
    (weight,) = result.model.graph.initializer
    assert numpy_helper.to_array(weight).tolist() == expected
    assert [n.op_type for n in result.model.graph.node] == ["Add"]
    assert result.notes[0] == (
        "The file is quantized already (0 QuantizeLinear, 1 DequantizeLinear): its float graph was "
        "taken, and its scales were left out."
    )
    assert result.tolerance is None


ACTIVATION = """
g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y)
{ a = Mul(x, k)  q = QuantizeLinear(a, s, z)  t = MaxPool<kernel_shape = [1, 1]>(q)
  y = DequantizeLinear(t, s, z) }
"""
PICTURE = np.array([-3, 0.26, 2, 9] * 3, np.float32).reshape(1, 3, 2, 2)


@pytest.mark.parametrize("opset", [10, 13])
@pytest.mark.parametrize(
    ("scale", "zero", "expected"),
    [
        (1 / 16, array(128, "uint8"), [-3, 0.26, 2, 9]),
        (1 / 16, array(0, "uint8"), [0, 0.26, 2, 9]),
        (1 / 16, array(-128, "int8"), [0, 0.26, 2, 9]),
        (6 / 255, array(-128, "int8"), [0, 0.26, 2, 6]),
    ],
    ids=["two signs", "Relu", "Relu, int8", "ReLU6"],
)
def test_activations_are_not_rounded_and_keep_a_relu_that_the_grid_stood_for(
    tmp_path: Path, opset: int, scale: float, zero: onnx.TensorProto, expected: list[float]
) -> None:
    constants = {"k": array(1.0), "s": array(scale), "z": zero}
    result = reading(ACTIVATION, tmp_path, opset, **constants)
    values = answer(result.model, PICTURE)
    np.testing.assert_allclose(values.reshape(3, 4), [expected] * 3, rtol=1e-6)


def test_both_may_be_of_the_runtimes_own_domain(tmp_path: Path) -> None:
    text = ACTIVATION.replace("= Quant", "= com.microsoft.Quant")
    text = text.replace("= DequantizeLinear", "= com.microsoft.DequantizeLinear")
    constants = {"k": array(1.0), "s": array(1 / 64), "z": array(0, "int16")}
    result = reading(text, tmp_path, **constants)
    assert {node.domain for node in result.model.graph.node} == {""}
    np.testing.assert_array_equal(answer(result.model, PICTURE), PICTURE)


def test_a_graph_without_an_end_is_refused(tmp_path: Path) -> None:
    text = (
        "g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y)\n"
        "{ a = Identity(b)  b = Identity(a)  d = DequantizeLinear(a, s)  y = Add(x, d) }"
    )
    with pytest.raises(ModelError, match=r"onnx\.checker refuses"):
        reading(text, tmp_path, s=array(1.0))


def test_integers_that_come_in_are_made_real(tmp_path: Path) -> None:
    text = (
        "g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y)\n"
        "{ w = Cast<to = 3>(x)  y = DequantizeLinear(w, s, z) }"
    )
    result = reading(text, tmp_path, s=array(0.5), z=array(2, "int8"))
    values = answer(result.model, PICTURE)
    assert values.reshape(3, 4)[0].tolist() == [-2.5, -1, 0, 3.5]


def test_weights_that_are_turned_before_they_are_scaled_keep_their_axis(tmp_path: Path) -> None:
    text = (
        "g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y)\n"
        "{ t = Transpose<perm = [1, 0, 2, 3]>(q)  d = DequantizeLinear<axis = 1>(t, s)\n"
        "  y = Mul(x, d) }"
    )
    weight = array([[[[1]]], [[[2]]], [[[3]]]], "int8")
    result = reading(text, tmp_path, q=weight, s=array([1, 10, 100]))
    values = answer(result.model, np.ones((1, 3, 2, 2), np.float32))
    assert values[0, :, 0, 0].tolist() == [1, 20, 300]


class Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Noise to calibrate with."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self._rest: Iterator[dict[str, np.ndarray]] = iter(
            [{"x": rng.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(4)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rest, None)


def float_network() -> onnx.ModelProto:
    """Two convolutions with a Relu between, and a residual."""
    rng = np.random.default_rng(5)
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]>\n'
        "g (float[1, 3, 8, 8] x) => (float[1, 4] y)\n"
        "{ c = Conv<pads = [1, 1, 1, 1]>(x, k, b)  r = Relu(c)\n"
        "  d = Conv<pads = [1, 1, 1, 1]>(r, l, b)  a = Add(d, r)  s = Relu(a)\n"
        "  g = GlobalAveragePool(s)  y = Flatten(g) }"
    )
    for name, shape in {"k": (4, 3, 3, 3), "l": (4, 4, 3, 3), "b": (4,)}.items():
        values = rng.normal(0, 0.5, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8, QuantType.QUInt16])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_file_of_the_quantizer_answers_as_the_float_file(
    tmp_path: Path, activations: QuantType, per_channel: bool
) -> None:
    model, quantized = float_network(), tmp_path / "q.onnx"
    quantize_static(
        model,
        quantized,
        Pictures(),
        quant_format=QuantFormat.QDQ,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )
    assert [n.op_type for n in onnx.load(quantized).graph.node].count("Relu") == 0
    result = onnx_reading(quantized).model
    assert [n.op_type for n in result.graph.node].count("Relu") == 2
    picture = np.random.default_rng(9).normal(size=(1, 3, 8, 8)).astype(np.float32)
    expected = answer(model, picture)
    assert np.abs(answer(result, picture) - expected).max() < 0.02 * np.abs(expected).max()
