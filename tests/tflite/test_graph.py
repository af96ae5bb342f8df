from __future__ import annotations

import numpy as np
import pytest

from engine.comparison.layers.pairing import pair_operators
from engine.core.errors import ConversionError
from engine.tflite.graph import Graph, plain_graph
from engine.tflite.grid import Grid
from engine.tflite.interpreter import Activations
from tests.helpers.tiny_pair import Writer, conv, float_file, integer_file, nonzero_file

LAYER = conv(np.random.default_rng(0), 3, 4)


def padded_file() -> bytes:
    """QUANTIZE → CONV_2D a → PAD → CONV_2D b → DEQUANTIZE; both layers share one buffer."""
    w = Writer()
    one = (1, 4, 4, 2)
    x = w.tensor("x", one, "float32")
    q = w.tensor("q", one, "int8", steps=[0.5])
    k = w.tensor("k", (2, 1, 1, 2), "int8", steps=[0.25, 0.5], values=np.array([1, 2, 3, 4]))
    shared = w.graph.tensors[k].buffer
    b = w.tensor("b", (2,), "int32", steps=[0.125, 0.25], values=np.array([8, 4]))
    a = w.tensor("a", one, "int8", steps=[0.5], zero=3)
    p = w.tensor("p", (4, 2), "int32", values=np.array([0, 0, 1, 1, 1, 1, 0, 0]))
    wide = w.tensor("wide", (1, 6, 6, 2), "int8", steps=[0.5], zero=3)
    k2 = w.tensor("k2", (2, 1, 1, 2), "int8", steps=[0.25, 0.5], buffer=shared)
    b2 = w.tensor("b2", (2,), "int32", steps=[0.125, 0.25], values=np.array([80, 40]))
    y = w.tensor("y", (1, 6, 6, 2), "int8", steps=[1.0])
    z = w.tensor("z", (1, 6, 6, 2), "float32")
    w.operator("QUANTIZE", [x], q)
    w.operator("CONV_2D", [q, k, b], a, strideH=1, strideW=1)
    w.operator("PAD", [a, p], wide)
    w.operator("CONV_2D", [wide, k2, b2], y, strideH=1, strideW=1)
    w.operator("DEQUANTIZE", [y], z)
    return w.file([x], [z])


def named(graph: Graph) -> dict[str, int]:
    return {graph.name(t): t for t in range(len(graph.tensors))}


def test_a_changed_scale_is_followed_by_padding_and_by_the_bias_behind_it() -> None:
    graph = Graph(padded_file())
    t = named(graph)
    graph.set_grid(t["a"], Grid(0.25, -7))
    again = Graph(graph.pack())
    assert again.grid(t["a"]) == again.grid(t["wide"]) == Grid(0.25, -7)
    # The bias keeps its real values 10 and 10: half the step, twice the number.
    np.testing.assert_array_equal(again.scales(t["b2"]), [0.0625, 0.125])
    np.testing.assert_array_equal(again.constant(t["b2"]), [160, 80])
    np.testing.assert_array_equal(again.constant(t["b"]), [8, 4])


def test_what_is_tied_and_free_to_move() -> None:
    graph = Graph(padded_file())
    t = named(graph)
    assert graph.find_tied(t["a"]) == {t["a"], t["wide"]}
    assert graph.find_tied(t["y"]) == {t["y"]}
    assert graph.may_move(t["a"])
    assert not graph.may_move(t["wide"]), "it is made by moving values"


def test_a_shared_buffer_is_cloned_before_it_is_written() -> None:
    graph = Graph(padded_file())
    t = named(graph)
    graph.set_constant(t["k"], np.array([9, 9, 9, 9]))
    again = Graph(graph.pack())
    np.testing.assert_array_equal(again.constant(t["k"]).ravel(), [9, 9, 9, 9])
    np.testing.assert_array_equal(again.constant(t["k2"]).ravel(), [1, 2, 3, 4])


def test_operators_are_paired_past_the_edges() -> None:
    quantized = Graph(integer_file(LAYER, out_step=0.1, out_zero=0))
    pairs = pair_operators(Graph(float_file(LAYER)), quantized).counterparts
    assert {index: op.opcode for index, op in pairs.items()} == {1: "CONV_2D"}


def test_an_operator_without_a_counterpart_is_left_out() -> None:
    pairs = pair_operators(Graph(float_file(LAYER)), Graph(padded_file())).counterparts
    assert pairs == {}


def test_several_inputs_are_refused() -> None:
    w = Writer()
    x, y = (w.tensor(name, (1, 2), "float32") for name in "xy")
    z = w.tensor("z", (1, 2), "float32")
    w.operator("ADD", [x, y], z)
    with pytest.raises(ConversionError, match="2 inputs and 1 outputs"):
        plain_graph(w.file([x, y], [z]))


def test_shapes_that_follow_from_the_picture_are_refused() -> None:
    graph = Graph(nonzero_file(integer=True))
    activations = Activations(graph, np.array([[[8, 0, 4, 16]]], np.int8))
    activations.run(graph.operators[0])
    with pytest.raises(ConversionError, match=r"follows from the picture in WHERE \(\[3, 2\]"):
        activations.run(graph.operators[1])
