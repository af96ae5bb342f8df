from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper, parser

from engine.core.errors import ModelError
from engine.networks.onnx_reading import read_onnx


def with_operator(name: str, domain: str, opset: int = 17) -> onnx.ModelProto:
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]>\n'
        "g (float[1, 3, 2, 2] x) => (float[1, 3, 1, 1] y) { r = Relu(x)  y = GlobalAveragePool(r) }"
    )
    model.graph.node[0].op_type, model.graph.node[0].domain = name, domain
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    return model


BEFORE_THE_OPTIMIZER = "from before that optimizer.*ORT_ENABLE_BASIC"
THE_FLOAT_FILE = "quantized already .*the float file that it was made from"


@pytest.mark.parametrize(
    ("domain", "name", "words"),
    [
        ("com.microsoft", "FusedConv", BEFORE_THE_OPTIMIZER),
        ("com.microsoft", "BiasGelu", BEFORE_THE_OPTIMIZER),
        ("com.microsoft", "SkipLayerNormalization", BEFORE_THE_OPTIMIZER),
        ("com.microsoft", "Attention", BEFORE_THE_OPTIMIZER),
        ("com.microsoft.nchwc", "Conv", BEFORE_THE_OPTIMIZER),
        ("com.ms.internal.nhwc", "Conv", BEFORE_THE_OPTIMIZER),
        ("", "SimplifiedLayerNormalization", BEFORE_THE_OPTIMIZER),
        ("com.microsoft", "QGemm", THE_FLOAT_FILE),
        ("com.microsoft", "QLinearGlobalAveragePool", THE_FLOAT_FILE),
        ("com.microsoft", "MatMulNBits", THE_FLOAT_FILE),
        ("com.microsoft", "DynamicQuantizeMatMul", THE_FLOAT_FILE),
        ("qonnx.custom_op.general", "Quant", THE_FLOAT_FILE),
        ("org.openvinotoolkit", "FakeQuantize", THE_FLOAT_FILE),
        ("", "QLinearConv", THE_FLOAT_FILE),
        ("", "DynamicQuantizeLinear", THE_FLOAT_FILE),
        ("", "ConvInteger", THE_FLOAT_FILE),
        ("ai.onnx.contrib", "DecodeImage", r"ai\.onnx\.contrib\.DecodeImage.*preparation"),
        ("ai.onnx.ml", "Normalizer", r"outside ONNX's own set: ai\.onnx\.ml\.Normalizer"),
        ("mine", "Relu", r"outside ONNX's own set: mine\.Relu"),
        ("", "Swoosh", "that operator set 17 does not have: Swoosh"),
        ("", "Gelu", "set 17 does not have: Gelu; expected operator set 20 or a newer one"),
    ],
)
def test_operators_that_are_not_onnx_are_refused_with_a_way_out(
    tmp_path: Path, domain: str, name: str, words: str
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(with_operator(name, domain).SerializeToString())
    with pytest.raises(ModelError, match=words):
        read_onnx(path)


def test_layer_norm_before_onnx_had_it_is_of_the_optimizer(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(with_operator("LayerNormalization", "", 13).SerializeToString())
    with pytest.raises(ModelError, match=BEFORE_THE_OPTIMIZER):
        read_onnx(path)


def test_both_names_of_the_domain_are_onnx(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(with_operator("Relu", "ai.onnx").SerializeToString())
    assert {node.domain for node in read_onnx(path).graph.node} == {""}
