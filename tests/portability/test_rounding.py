"""Why a microcontroller's last layer can differ from the host's: two rules of rounding.

TFLite Micro rescales an accumulator of FULLY_CONNECTED in fixed point
(`MultiplyByQuantizedMultiplier` of ``tensorflow/lite/kernels/internal/common.cc``): one of 32 bits
is rounded twice, one of 64 bits meets a multiplier that is cut to 16 bits. LiteRT multiplies it by
a double and rounds once (``tflite/kernels/internal/reference/integer_ops/fully_connected.h``).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from engine.tflite.graph import pack_model
from tests.helpers.tiny_quantized import INT8, INT32, Builder

runtime = pytest.importorskip("tflite_micro", reason="tflite-micro is not installed").runtime
INT16, INT64 = 7, 4
INPUTS, OUTPUTS = 64, 3000
RNG = np.random.default_rng(7)
SCALES = RNG.uniform(0.001, 0.003, OUTPUTS).astype(np.float32)
IN_SCALE, OUT_SCALE = np.float32(0.02), np.float32(0.11)
WEIGHTS = RNG.integers(-127, 128, (OUTPUTS, INPUTS)).astype(np.int8)


def fixed_point(real: float) -> tuple[int, int]:
    """Multiplier with 31 bits behind the point, and the shift to the left: `QuantizeMultiplier`."""
    fraction, shift = math.frexp(real)
    return math.floor(fraction * (1 << 31) + 0.5), shift


def rounded_twice(accumulator: int, real: float) -> int:
    """Round after the multiplier's 31 bits, then after the shift, half away from zero."""
    multiplier, shift = fixed_point(real)
    high = (accumulator * (1 << max(shift, 0)) * multiplier + (1 << 30)) >> 31
    right = max(-shift, 0)
    below = high & ((1 << right) - 1)
    return (high >> right) + (below > (((1 << right) - 1) >> 1) + (high < 0))


def cut_to_16_bits(accumulator: int, real: float) -> int:
    """Round once, with a multiplier of 16 bits."""
    multiplier, shift = fixed_point(real)
    cut = (multiplier + (1 << 15)) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    return (accumulator * cut + (1 << (14 - shift))) >> (15 - shift)


def rounded_once(accumulator: int, real: float) -> int:
    """Round the exact product, half away from zero."""
    product = accumulator * real
    return int(math.copysign(math.floor(abs(product) + 0.5), product))


def fully_connected(dtype: int, bias: np.ndarray, out_scale: float) -> bytes:
    build = Builder()
    build.activation("x", (1, INPUTS), dtype, IN_SCALE)
    kernel = build.constant("w", WEIGHTS, INT8, SCALES)
    added = build.constant("b", bias, INT32 if dtype == INT8 else INT64, SCALES * IN_SCALE)
    out = build.activation("y", (1, OUTPUTS), dtype, out_scale)
    build.operator(
        schema.BuiltinOperator.FULLY_CONNECTED,
        [0, kernel, added],
        [out],
        schema.BuiltinOptions.FullyConnectedOptions,
        schema.FullyConnectedOptionsT(),
    )
    build.graph.inputs, build.graph.outputs = [0], [out]
    build.model.version, build.model.subgraphs = 3, [build.graph]
    return pack_model(build.model, 0)


def on_the_host(content: bytes, values: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])


def on_a_microcontroller(content: bytes, values: np.ndarray) -> np.ndarray:
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=1 << 20)
    interpreter.set_input(values, 0)
    interpreter.invoke()
    return np.array(interpreter.get_output(0)[0])


@pytest.mark.parametrize(
    ("dtype", "kind", "rule"),
    [(INT8, np.int8, rounded_twice), (INT16, np.int16, cut_to_16_bits)],
)
def test_both_answers_follow_from_their_rules(
    dtype: int, kind: type[np.integer], rule: Callable[[int, float], int]
) -> None:
    limits = np.iinfo(kind)
    values = RNG.integers(limits.min // 2, limits.max // 2, (1, INPUTS)).astype(kind)
    wide = np.int32 if dtype == INT8 else np.int64
    bias = RNG.integers(-500, 500, OUTPUTS).astype(wide)
    out_scale = np.float32(OUT_SCALE if dtype == INT8 else OUT_SCALE / 4)
    content = fully_connected(dtype, bias, float(out_scale))
    accumulators = WEIGHTS.astype(np.int64) @ values[0].astype(np.int64) + bias
    reals = np.float64(IN_SCALE) * SCALES.astype(np.float64) / np.float64(out_scale)

    def expected(by: Callable[[int, float], int]) -> np.ndarray:
        answers = [by(int(a), float(r)) for a, r in zip(accumulators, reals, strict=True)]
        return np.clip(answers, limits.min, limits.max)

    host, device = on_the_host(content, values), on_a_microcontroller(content, values)
    np.testing.assert_array_equal(host, expected(rounded_once))
    np.testing.assert_array_equal(device, expected(rule))
    # A proof of nothing where both rules give the same.
    assert 0 < (host != device).sum() < OUTPUTS
    assert np.abs(host.astype(int) - device.astype(int)).max() == 1
