from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from engine.core.errors import ConversionError
from engine.core.types import FloatArray
from engine.quantization.activation_ranges import (
    ActivationRanges,
    CollectedRanges,
    MinMax,
    activations,
    observe_activations,
    pack_model,
    with_ranges,
)

PICTURES = [np.array([[-3, 1, 2, 0]], np.float32), np.array([[5, -1, 0, 0]], np.float32)]
BOUNDS = {"x": (-3, 5), "relu": (0, 5), "sum": (-3, 10)}


def model(custom: bytes | None = None) -> bytes:
    """``sum = relu(x) + x``, where a kernel may write the sum over ``relu``."""

    def operator(code: int, inputs: list[int], outputs: list[int]) -> Any:
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, inputs, outputs
        return made

    def tensor(name: str) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, [1, 4], 0, 0
        return made

    codes = []
    for builtin in (schema.BuiltinOperator.RELU, schema.BuiltinOperator.ADD):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version, code.customCode = 1, custom
        codes.append(code)
    graph = schema.SubGraphT()
    graph.tensors = [tensor(name) for name in BOUNDS]
    graph.inputs, graph.outputs = [0], [2]
    graph.operators = [operator(0, [0], [1]), operator(1, [1, 0], [2])]
    graph.operators[1].builtinOptionsType = schema.BuiltinOptions.AddOptions
    graph.operators[1].builtinOptions = schema.AddOptionsT()
    made = schema.ModelT()
    made.version, made.operatorCodes, made.subgraphs = 3, codes, [graph]
    made.buffers = [schema.BufferT()]
    return pack_model(made, 0)


class Batches:
    def __init__(self, *pictures: FloatArray) -> None:
        self.pictures = pictures or tuple(PICTURES)
        self.asked = 0

    def __call__(self) -> Iterator[FloatArray]:
        self.asked += 1
        return iter(self.pictures)


def test_ranges_over_all_pictures_are_those_computed_by_hand() -> None:
    found = CollectedRanges(Batches()).of(model())
    assert found is not None
    assert found.bounds == BOUNDS


def test_several_passes_find_the_same_and_show_each_value_once() -> None:
    batches, seen, shown = Batches(), MinMax(), []

    def observe(name: str, values: FloatArray) -> None:
        shown.append(name)
        seen(name, values)

    observe_activations(model(), batches, observe, pass_bytes=1)
    assert batches.asked == 2
    assert seen.ranges().bounds == BOUNDS
    assert sorted(shown) == sorted([*BOUNDS, *BOUNDS])


def test_recipes_that_start_from_the_same_model_share_one_collection() -> None:
    batches = Batches()
    collected = CollectedRanges(batches)
    assert collected.of(model()) == collected.of(model())
    assert batches.asked == 1


def test_a_model_that_cannot_be_served_says_why() -> None:
    batches = Batches()
    collected = CollectedRanges(batches)
    assert collected.of(model(custom=b"FlexErf")) is None
    assert collected.unsupported == "the model has operators outside TFLite's built-in set"
    assert batches.asked == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_an_error(value: float) -> None:
    overflow = np.array([[0, value, 0, 0]], np.float32)
    with pytest.raises(ConversionError, match="in the tensor x"):
        CollectedRanges(Batches(PICTURES[0], overflow)).of(model())


def test_ranges_are_written_at_every_activation() -> None:
    ranges = ActivationRanges({name: (low / 2, high / 2) for name, (low, high) in BOUNDS.items()})
    parsed = schema.ModelT.InitFromPackedBuf(with_ranges(model(), ranges), 0)
    written = {}
    for name, index in activations(parsed).items():
        quantization = parsed.subgraphs[0].tensors[index].quantization
        written[name] = (quantization.min[0], quantization.max[0])
    assert written == ranges.bounds


def test_no_activation_is_left_without_a_range() -> None:
    with pytest.raises(ValueError, match="no range for the activation sum"):
        with_ranges(model(), ActivationRanges({"x": (0, 1), "relu": (0, 1)}))
