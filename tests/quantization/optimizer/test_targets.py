from __future__ import annotations

import ctypes
import subprocess
import sys

import numpy as np
import pytest

from engine.quantization.optimizer.sampling import Positions, Targets
from engine.tflite.graph import Graph
from engine.tflite.interpreter import Activations
from tests.helpers.tiny_chain import chain_of, inputs

PICTURES = 16


@pytest.mark.parametrize("held_numbers", [10**6, 1])
def test_rows_of_the_whole_model_are_those_of_its_operators(held_numbers: int) -> None:
    graph, start = Graph(chain_of((0.1, 0.1, 0.1)).float_file()), inputs(PICTURES)
    outputs = [op.output for op in graph.operators]
    positions = {
        tensor: Positions(
            PICTURES, 1, int(np.prod(graph.shape(tensor)[1:-1])), 3 * PICTURES, tensor
        )
        for tensor in outputs
    }
    targets = Targets(graph, start, positions, held_numbers)
    alone = Activations(graph, start)
    for op in graph.operators:
        alone.run(op)
        made, look = alone[op.output], positions[op.output]
        expected = look.of(made.reshape(PICTURES, -1, made.shape[-1])).T
        np.testing.assert_allclose(targets.take(op.output), expected, rtol=1e-6, atol=1e-6)


RESIDENT = """
import ctypes, psutil
from engine.core.system import keep_freed_memory

def resident():
    return psutil.Process().memory_info().rss / 1e6

seen = [resident()]
try:
    with keep_freed_memory():
        blocks = [ctypes.create_string_buffer(1 << 20) for _ in range(100)]
        del blocks
        seen.append(resident())
        1 / 0
except ZeroDivisionError:
    seen.append(resident())
print(*seen)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc")
def test_memory_is_kept_for_a_while_and_given_back_where_the_work_fails() -> None:
    said = subprocess.run([sys.executable, "-c", RESIDENT], capture_output=True, check=True).stdout
    before, kept, after = map(float, said.split())
    assert kept > before + 80
    assert after < before + 20
