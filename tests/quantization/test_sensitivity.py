from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from engine.quantization.sensitivity import Noise, Wiring, float_steps


@dataclass
class Op:
    index: int
    opcode: str
    inputs: list[int]
    outputs: list[int]


class Wires:
    """Operators by name, input tensors and output tensor; tensors are named by numbers."""

    def __init__(self, *operators: tuple[str, list[int], int]) -> None:
        self.operators = [
            Op(place, name, inputs, [output])
            for place, (name, inputs, output) in enumerate(operators)
        ]
        self.producer = {op.outputs[0]: op for op in self.operators}

    def consumers(self, tensor: int) -> list[Op]:
        return [op for op in self.operators if tensor in op.inputs]


def wiring(*operators: tuple[str, list[int], int]) -> Wiring:
    graph: Any = Wires(*operators)
    return Wiring(graph, [op.index for op in graph.operators if "QUANTIZE" not in op.opcode])


LINE = wiring(
    ("QUANTIZE", [0], 1),
    ("CONV_2D", [1], 2),
    ("CONV_2D", [2], 3),
    ("PAD", [3], 4),
    ("CONV_2D", [4], 5),
    ("DEQUANTIZE", [5], 6),
)
BLOCK = wiring(
    ("CONV_2D", [0], 1),
    ("CONV_2D", [1], 2),
    ("ADD", [1, 2], 3),
    ("CONV_2D", [3], 4),
    ("DEQUANTIZE", [4], 5),
)


def test_what_lies_between_joins_only_where_it_spares_a_rounding() -> None:
    assert LINE.float_operators({1, 4}) == {1, 4}
    # The PAD reads what layer 2 makes, and is all that does.
    assert LINE.float_operators({2, 4}) == {2, 3, 4}
    assert LINE.float_operators({2}) == {2, 3}


def test_a_sum_joins_when_all_that_read_its_input_do() -> None:
    assert BLOCK.float_operators({0}) == {0}
    assert BLOCK.float_operators({0, 1}) == {0, 1, 2}


def test_an_edge_behind_the_last_layer_spares_its_rounding() -> None:
    assert LINE.is_unrounded(4, {4})
    assert not LINE.is_unrounded(1, {1})


def test_layers_that_win_together_are_taken_together() -> None:
    noise = [Noise(1, 6.0, 0.1), Noise(2, 0.0, 0.1), Noise(3, 0.0, 0.0), Noise(4, 0.0, 2.0)]
    steps = float_steps(LINE, noise)
    # Alone, layers 1 and 2 win .1 each; together 6.2, which is 3.1 a layer.
    assert [step.layers for step in steps] == [(1, 2), (4,)]
    assert [step.left for step in steps] == pytest.approx([2.0, 0.0])


def test_the_next_step_knows_what_was_taken_before() -> None:
    noise = [Noise(1, 3.0, 5.0), Noise(2, 0.0, 0.0), Noise(3, 0.0, 0.0), Noise(4, 0.0, 1.0)]
    steps = float_steps(LINE, noise)
    # Layer 2 has no noise of its own, but with layer 1 in float32 it spares 3.
    assert [step.layers for step in steps] == [(1,), (2,), (4,)]
    assert [step.left for step in steps] == pytest.approx([4.0, 1.0, 0.0])
