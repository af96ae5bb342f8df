"""Newer operator sets: which older form serves, and the same operators from every exporter."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import onnxruntime
import pytest
import torch
from torch import nn

from engine.conversion.operator_sets import older_form, with_functions_inlined
from engine.conversion.savedmodel_from_onnx import savedmodel_from_onnx
from engine.conversion.tflite_from_savedmodel import tflite_from_savedmodel
from engine.networks.runners.tflite import TfliteRunner
from engine.quantization.recipes import FLOAT32
from engine.tflite.artifact import artifact_of

SIZE = 12


@pytest.mark.parametrize(
    ("kind", "since", "forms", "attributes", "inputs", "form"),
    [
        ("Sin", 22, [7], {}, ["x"], 7),
        ("Sin", 7, [7], {}, ["x"], 7),
        ("Relu", 14, [1, 6, 13, 14], {}, ["x"], 14),
        ("ReduceMean", 18, [1, 11, 13], {"keepdims": 0}, ["x"], 13),
        ("ReduceMean", 18, [1, 11, 13], {"noop_with_empty_axes": 0}, ["x", ""], 13),
        ("ReduceMean", 18, [1, 11, 13], {}, ["x", "axes"], None),
        ("ReduceMean", 18, [1, 11, 13], {"noop_with_empty_axes": 1}, ["x"], None),
        ("Squeeze", 13, [1, 11], {}, ["x"], 11),
        ("Squeeze", 13, [1, 11], {}, ["x", "axes"], None),
        ("Split", 18, [2, 11, 13], {"num_outputs": 2}, ["x"], None),
        ("Pad", 19, [2, 11, 13], {"mode": "edge"}, ["x", "pads"], 13),
        ("Pad", 19, [2, 11, 13], {"mode": "wrap"}, ["x", "pads"], None),
        ("Pad", 19, [2, 11, 13], {}, ["x", "pads", "", "axes"], None),
        ("AveragePool", 22, [7, 10, 11], {"kernel_shape": [2]}, ["x"], 11),
        ("AveragePool", 22, [7, 10, 11], {"kernel_shape": [2], "dilations": [2]}, ["x"], None),
        ("Cast", 24, [9, 13], {"to": 1, "saturate": 0}, ["x"], 13),
        ("Softmax", 13, [1, 11], {}, ["x"], None),
        ("Softmax", 13, [1, 11], {"axis": 1}, ["x"], None),
        ("ScatterND", 18, [11, 13], {"reduction": "none"}, ["x", "i", "u"], 13),
        ("ScatterND", 18, [11, 13], {"reduction": "add"}, ["x", "i", "u"], None),
        ("Gelu", 20, [], {}, ["x"], None),
    ],
)
def test_the_older_form_of_a_node(
    kind: str,
    since: int,
    forms: list[int],
    attributes: dict[str, Any],
    inputs: list[str],
    form: int | None,
) -> None:
    assert (
        older_form(kind, since, forms, attributes=attributes, inputs=inputs, outputs=["y"]) == form
    )


def test_a_result_that_an_older_form_lacks() -> None:
    given: Any = {"attributes": {}, "inputs": ["x"]}
    assert older_form("MaxPool", 8, [1], outputs=["y", ""], **given) == 1
    assert older_form("MaxPool", 8, [1], outputs=["y", "indices"], **given) is None


@pytest.mark.parametrize(
    "attended",
    [
        "Attention(x, x, x, , , , shown)",
        "Attention<is_causal = 1>(x, x, x, , , , shown)",
        "Attention(x, x, x, few, , , shown)",
    ],
)
def test_a_function_is_inlined_where_an_input_is_left_out(attended: str) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 24]>\n'
        "g (float[1, 2, 5, 4] x) => (float[1, 2, 5, 4] y)\n"
        f"<int64[1] shown = {{3}}> {{ y = {attended} }}"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.tri(5, dtype=bool), "few"))
    inlined = with_functions_inlined(model, frozenset({"Softmax"}))
    assert "Attention" not in {node.op_type for node in inlined.graph.node}
    assert all(value.name for value in inlined.graph.value_info)
    x = np.random.default_rng(0).normal(size=(1, 2, 5, 4)).astype(np.float32)
    (answer,), (expected,) = (
        onnxruntime.InferenceSession(form.SerializeToString()).run(None, {"x": x})
        for form in (inlined, model)
    )
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)


def test_functions_that_no_handler_has_are_inlined() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 20]>
network (float[1, 3, 8, 6] x) => (float[1, 3, 8, 6] y) {
  a = Mish(x)
  y = Gelu(a)
}""")
    inlined = with_functions_inlined(model, frozenset({"Gelu", "Softplus"}))
    kinds = {node.op_type for node in inlined.graph.node}
    assert kinds == {"Softplus", "Tanh", "Mul", "Gelu"}
    assert with_functions_inlined(model, frozenset({"Gelu", "Mish"})) is model


FUNCTIONS = {
    "defaults": """<ir_version: 8, opset_import: ["": 17]>
network (int32 x) => (float[n] y) {
  y = HannWindow(x)
}""",
    "inputs left out": """<ir_version: 10, opset_import: ["": 23]>
network (float[1, 2, 4, 8] x) => (float[1, 2, 4, 8] y, float[1, 2, 5, 8] k, float[1, 2, 5, 8] v)
<float[1, 2, 1, 8] past> {
  y, k, v = Attention(x, x, x, , past, past)
}""",
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions_are_inlined_with(kind: str) -> None:
    model = onnx.parser.parse_model(FUNCTIONS[kind])
    values = np.random.default_rng(0).normal(size=(1, 2, 4, 8)).astype(np.float32)
    if kind == "defaults":
        values = np.array(5, np.int32)
    model.graph.initializer.add().CopyFrom(
        onnx.numpy_helper.from_array(np.ones((1, 2, 1, 8), np.float32), "past")
    )
    inlined = with_functions_inlined(onnx.shape_inference.infer_shapes(model), frozenset())
    assert len(inlined.graph.node) > 1
    expected, answers = (
        onnxruntime.InferenceSession(m.SerializeToString()).run(["y"], {"x": values})
        for m in (model, inlined)
    )
    np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-6)


class Small(nn.Module):
    """What exporters write in another form from operator set to operator set."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.batch_norm = nn.BatchNorm2d(8)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.layer_norm, self.token_norm = nn.LayerNorm(8), nn.LayerNorm(8)
        self.wide, self.narrow = nn.Linear(8, 16), nn.Linear(16, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 5)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        x = nn.functional.hardswish(self.batch_norm(self.stem(picture)))
        gate = self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu())
        x = x * nn.functional.hardsigmoid(gate)
        x = self.layer_norm(x.permute(0, 2, 3, 1))
        x = x + self.narrow(nn.functional.gelu(self.wide(x)))
        first, second = x.permute(0, 3, 1, 2).split([3, 5], 1)
        x = nn.functional.pad(torch.cat([second, first], 1), (0, 1, 0, 1))
        tokens = nn.functional.max_pool2d(x, 3).flatten(2).transpose(1, 2)
        tokens = self.token_norm(tokens)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        x = self.pool(tokens.transpose(1, 2).reshape(1, 8, 4, 4))
        answers: torch.Tensor = self.head(torch.flatten(x, 1))
        return answers


def exported(network: nn.Module, opset: int, file: Path) -> onnx.ModelProto:
    """Export by the TorchScript exporter up to operator set 17, else by the newer one."""
    given: dict[str, Any] = {"dynamo": False} if opset <= 17 else {"external_data": False}
    picture = torch.zeros(1, 3, SIZE, SIZE)
    torch.onnx.export(network, (picture,), file, opset_version=opset, **given)
    return onnx.load(file)


def operators_of(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """Convert, hold the answers against ONNX Runtime's, and count the operators."""
    folder.mkdir()
    savedmodel_from_onnx(
        model, folder / "saved", layout="NCHW", input_layout="NHWC", lowering="nhwc"
    )
    file = folder / "m.tflite"
    file.write_bytes(tflite_from_savedmodel(folder / "saved", FLOAT32))
    picture = np.random.default_rng(0).normal(size=(1, SIZE, SIZE, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (given,) = session.get_inputs()
    (expected,) = session.run(None, {given.name: picture.transpose(0, 3, 1, 2)})
    with TfliteRunner(file, layout="NHWC") as runner:
        np.testing.assert_allclose(runner.infer(picture), expected, rtol=1e-4, atol=1e-5)
    return Counter(artifact_of(file, variant="float32", layout="NHWC").operators)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    network = Small().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.1, 0.3)
    # Of equal weights the newer exporter stores one.
    network.token_norm.load_state_dict(network.layer_norm.state_dict())
    return network


@pytest.fixture(scope="module")
def older_operators(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    folder = tmp_path_factory.mktemp("older")
    with warnings.catch_warnings():  # the exporters' own
        warnings.simplefilter("ignore")
        model = exported(network, 14, folder / "14.onnx")
    return operators_of(model, folder / "older")


@pytest.mark.slow
@pytest.mark.parametrize("opset", [20, 18, 21, 23, 24])
@pytest.mark.filterwarnings("ignore")  # the exporters' own
def test_every_exporter_gives_the_same_operators(
    opset: int, network: nn.Module, older_operators: Counter[str], tmp_path: Path
) -> None:
    newer = exported(network, opset, tmp_path / f"{opset}.onnx")
    assert operators_of(newer, tmp_path / "newer") == older_operators


FORMS = f"""<ir_version: 10, opset_import: ["": 24]>
network (float[1, 3, {SIZE}, {SIZE}] picture) => (float[1, 8] logits) {{
  x = Concat<axis = 1>(picture, picture, one)
  a = ReduceMean<noop_with_empty_axes = 1>(x)
  b = ReduceSumSquare<noop_with_empty_axes = 1>(a)
  n = GroupNormalization<num_groups = 2>(b, scales, scales)
  r = RMSNormalization<axis = -2>(n, weights)
  w = Where(never, a, r)
  first, second, third = Split<axis = 1, num_outputs = 3>(w)
  m = Mish(third)
  c = Concat<axis = 1>(first, m, second)
  p = Pad(c, pads, , sides)
  logits = ReduceMean<keepdims = 0>(p, rows)
}}"""


@pytest.mark.slow
def test_newer_forms_of_one_graph(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(FORMS)
    constants = {
        "one": np.ones((1, 2, SIZE, SIZE), np.float32),
        "scales": np.linspace(0.5, 2, 8, dtype=np.float32),
        "weights": np.linspace(0.5, 2, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE),
        "never": np.zeros((1, 1, 1, 1), bool),
        "pads": np.array([1, 2]),
        "sides": np.array([-1]),
        "rows": np.array([2, 3]),
    }
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    operators = operators_of(onnx.shape_inference.infer_shapes(model), tmp_path / "newer")
    assert not {"SELECT_V2", "DIV", "SQRT"} & set(operators)
