"""Which operators XNNPACK takes, and how much memory LiteRT's activations share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from engine.core.errors import ConversionError
from engine.portability import cpu
from engine.tflite.profiler import ProfiledModel
from tests.helpers.app_test import ROOT
from tests.helpers.tiny_quantized import INT8, Builder, healthy
from tests.portability.test_targets import asked

SIDES = (1, 4, 4, 8)


def with_uint8_input() -> bytes:
    """Turn uint8 into int8, which XNNPACK leaves to LiteRT, then an int8 convolution."""
    build = Builder()
    build.activation("t0", SIDES, schema.TensorType.UINT8, 0.1, 128)
    integers = build.activation("t1", SIDES, INT8, 0.1)
    build.operator(schema.BuiltinOperator.QUANTIZE, [0], [integers])
    scales = np.full(8, 0.01)
    kernel = np.arange(64).reshape(8, 1, 1, 8).astype(np.int8)
    bias = np.zeros(8, np.int32)
    build.convolution(2, kernel, bias, INT8, (0.1, 0), scales, scales * 0.1)
    return build.file()


@pytest.mark.parametrize(
    ("content", "input_bytes", "plain", "sentence", "arenas"),
    [
        # Input and output; without XNNPACK the activation between them, too.
        (
            healthy(layers=2, channels=8, pictures=2).int8_file(),
            48,
            [],
            "XNNPACK takes every operator.",
            [48 + 128, 48 + 128 + 128],
        ),
        # XNNPACK reads what QUANTIZE wrote: all three are LiteRT's.
        (
            with_uint8_input(),
            128,
            ["QUANTIZE"],
            "XNNPACK takes 1 of 2 operators; LiteRT's own kernels run the rest.",
            [3 * 128, 3 * 128],
        ),
    ],
    ids=["int8", "uint8_input"],
)
def test_operators_that_xnnpack_leaves_are_those_of_the_profiler(
    content: bytes,
    input_bytes: int,
    plain: list[str],
    sentence: str,
    arenas: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    question = asked(tmp_path, content)
    answer = cpu.ask_litert(question)
    assert answer.support == "whole", answer.reason
    assert ([operator.opcode for operator in answer.plain], answer.reason) == (plain, sentence)
    with ProfiledModel(question.file) as model:
        events = model.call(bytes(input_bytes))
    assert [event.name for event in events if not event.delegated] == plain
    assert [figure.value for figure in answer.figures if figure.part] == arenas
    assert answer.memory is not None
    assert answer.memory.name == "peak_memory"


def test_a_process_that_cannot_start_is_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = asked(tmp_path, with_uint8_input())
    monkeypatch.setattr(cpu, "__name__", "engine.portability.absent")
    with pytest.raises(ConversionError, match="the end of the process with code 1"):
        cpu.ask_litert(question)
