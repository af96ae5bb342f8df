from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.comparison.layers.analysis import count_macs
from engine.comparison.layers.pairing import pair_operators
from engine.tflite.graph import Graph, pack_model, parse_model
from tests.helpers.tiny_quantized import healthy


def graphs(exact: bytes, integer: bytes) -> tuple[Graph, Graph]:
    return Graph(exact), Graph(integer)


def shortened(file: bytes, without: int) -> bytes:
    """The file without one of its operators, whose reader reads what it read."""
    objects = parse_model(file)
    graph = objects.subgraphs[0]
    gone = graph.operators.pop(without)
    for operator in graph.operators:
        operator.inputs = [gone.inputs[0] if i == gone.outputs[0] else i for i in operator.inputs]
    return pack_model(objects, len(file))


def renamed(file: bytes, prefix: str) -> bytes:
    objects = parse_model(file)
    for tensor in objects.subgraphs[0].tensors:
        tensor.name = prefix + tensor.name.decode()
    return pack_model(objects, len(file))


def test_equal_lists_are_paired_in_order_whatever_the_names() -> None:
    network = healthy()
    found = pair_operators(*graphs(network.float_file(), renamed(network.int8_file(), "other/")))
    assert [(p.exact.index, p.integer.index) for p in found.pairs] == [(i, i) for i in range(4)]
    assert found.exact_only == found.integer_only == ()


def test_one_of_several_equal_operators_that_is_missing_is_found_by_its_name() -> None:
    network = healthy()
    found = pair_operators(*graphs(network.float_file(), shortened(network.int8_file(), 2)))
    # What read the missing one reads something else now, and is no counterpart any more.
    assert [pair.integer.name for pair in found.pairs] == ["t1", "t2"]
    assert [operator.name for operator in found.exact_only] == ["t3", "t4"]


def test_without_names_an_ambiguous_operator_is_not_guessed() -> None:
    network = healthy()
    shorter = shortened(renamed(network.int8_file(), "other/"), 2)
    found = pair_operators(*graphs(network.float_file(), shorter))
    assert [pair.integer.name for pair in found.pairs] == ["other/t1"]
    assert len(found.exact_only) == 3


def test_operators_with_other_weights_are_no_counterparts() -> None:
    network = healthy()
    weights = list(network.weights)
    weights[1], weights[2] = weights[2], weights[1]
    swapped = replace(network, weights=tuple(weights))
    found = pair_operators(*graphs(network.float_file(), swapped.int8_file()))
    assert {pair.integer.name for pair in found.pairs}.isdisjoint({"t2", "t3"})


def test_unmatched_operators_are_rows_without_figures() -> None:
    network = healthy()
    found = replace(network).errors()
    assert all(row["matched"] for row in found.rows())
    assert len(list(found.rows())) == 4


@pytest.mark.parametrize("kernel", [(3, 1, 1, 8), (5, 3, 3, 2)])
def test_multiply_accumulates_of_a_convolution(kernel: tuple[int, ...]) -> None:
    network = healthy(layers=1, channels=5)
    graph = Graph(network.float_file())
    operator = replace(graph.operators[0], constants={1: kernel})
    assert count_macs(graph, operator) == 4 * 4 * 5 * int(np.prod(kernel[1:]))
