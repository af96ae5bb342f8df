from __future__ import annotations

from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from engine.quantization.activation_ranges import ActivationRanges, pack_model, with_shared_ranges

KINDS = ("RELU", "STRIDED_SLICE", "CONCATENATION")
NAMES = ("x", "one", "two", "part", "joined", "end")


def model(*operators: tuple[str, list[str], str]) -> bytes:
    """A graph of operators given as kind, names of inputs, name of the result."""
    graph, made = schema.SubGraphT(), schema.ModelT()
    graph.tensors = []
    for name in NAMES:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [1, 4], 0, 0
        graph.tensors.append(tensor)
    codes: list[Any] = []
    for kind in KINDS:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
        codes.append(code)
    graph.operators = []
    for kind, inputs, output in operators:
        operator = schema.OperatorT()
        operator.opcodeIndex = KINDS.index(kind)
        operator.inputs = [NAMES.index(name) for name in inputs]
        operator.outputs = [NAMES.index(output)]
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [0], [NAMES.index("end")]
    made.version, made.operatorCodes, made.subgraphs = 3, codes, [graph]
    made.buffers = [schema.BufferT()]
    return pack_model(made, 0)


def shared(*operators: tuple[str, list[str], str], **bounds: tuple[float, float]) -> dict[str, Any]:
    given = dict.fromkeys(NAMES, (0.0, 1.0)) | bounds
    return dict(with_shared_ranges(model(*operators), ActivationRanges(given)).bounds)


ONE_AND_TWO = (("RELU", ["x"], "one"), ("RELU", ["x"], "two"))
JOINED = (
    *ONE_AND_TWO,
    ("STRIDED_SLICE", ["one"], "part"),
    ("CONCATENATION", ["part", "two"], "joined"),
    ("RELU", ["joined"], "end"),
)


def test_parts_of_a_concatenation_get_its_range() -> None:
    found = shared(*JOINED, one=(0, 3), part=(0, 2), two=(-1, 1), joined=(-1, 2), end=(0, 9))
    assert {found[name] for name in ("one", "part", "two", "joined")} == {(-1, 3)}
    assert found["end"] == (0, 9)
    assert found["x"] == (0, 1)


def test_a_part_that_is_read_elsewhere_keeps_its_own() -> None:
    found = shared(*JOINED, ("RELU", ["two"], "end"), two=(-1, 1), joined=(-1, 2))
    assert found["two"] == (-1, 1)
    assert found["joined"] == (-1, 2)


@pytest.mark.parametrize(("widest", "common"), [(4.0, (0, 4.0)), (4.1, (0, 2.0))])
def test_a_common_range_that_would_cost_a_bit_is_left(
    widest: float, common: tuple[float, float]
) -> None:
    found = shared(*JOINED, one=(0, widest), part=(0, 2), two=(0, 2), joined=(0, 2))
    assert found["joined"] == common
