from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from engine.tflite.edits import new_operator, with_divisors_above_zero
from engine.tflite.graph import operator_names, pack_model, parse_model
from tests.helpers.tiny_tflite import tensor

STEPS = {"divided": 0.5, "divisor": 0.25, "quotient": 0.5}


def division(*, zero_point: int = -128) -> bytes:
    """An integer DIV of two inputs of three numbers."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], []
    model.buffers, graph.tensors = [schema.BufferT()], []
    for name, step in STEPS.items():
        graph.tensors.append(tensor(name, (3,), "int8", 0, step))
    graph.tensors[1].quantization.zeroPoint = [zero_point]
    options = schema.DivOptionsT()
    graph.operators = [new_operator(model, "DIV", [0, 1], 2, options, version=2)]
    graph.inputs, graph.outputs = [0, 1], [2]
    return pack_model(model, 1024)


def answer(model: bytes, divided: list[int], divisor: list[int]) -> list[int]:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    for place, values in enumerate((divided, divisor)):
        interpreter.set_tensor(place, np.array(values, np.int8))
    interpreter.invoke()
    (output,) = interpreter.get_output_details()
    found: list[int] = interpreter.get_tensor(output["index"]).tolist()
    return found


def test_a_divisor_that_rounds_to_zero_counts_as_one_step() -> None:
    plain, dark = division(), [-128, -127, -120]
    with pytest.raises(RuntimeError, match="div"):
        answer(plain, [2, 2, 2], dark)
    bounded = with_divisors_above_zero(plain)
    assert operator_names(parse_model(bounded)) == ["MAXIMUM", "DIV"]
    # 1 / 0.25, twice, and 1 / 2, in steps of 0.5.
    assert answer(bounded, [2, 2, 2], dark) == [8, 8, 1]
    assert answer(bounded, [2, 4, -6], [-120, -124, -116]) == answer(
        plain, [2, 4, -6], [-120, -124, -116]
    )


def test_divisors_of_both_signs_stay_as_they_are() -> None:
    model = division(zero_point=0)
    assert with_divisors_above_zero(model) is model
