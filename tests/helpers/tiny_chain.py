"""A chain of 1 × 1 convolutions with float32 edges, in float32 and int8, quantized by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.helpers.tiny_pair import Writer

SIDE = 2
IN_STEP = 1 / 64


@dataclass(frozen=True)
class Chain:
    """Convolutions one after the other.

    Attributes:
        weights: Shape (channels, channels), one a layer.
        steps: Step of each layer's output, in the integer model.
    """

    weights: tuple[np.ndarray, ...]
    steps: tuple[float, ...]

    def float_file(self) -> bytes:
        w = Writer()
        last = first = w.tensor("x", self._shape, "float32")
        for number, weights in enumerate(self.weights):
            kernel = w.tensor(f"k{number}", self._kernel, "float32", values=weights)
            bias = w.tensor(f"b{number}", (len(weights),), "float32", values=np.zeros(len(weights)))
            made = w.tensor(f"y{number}", self._shape, "float32")
            w.operator("CONV_2D", [last, kernel, bias], made, strideH=1, strideW=1)
            last = made
        return w.file([first], [last])

    def integer_file(self) -> bytes:
        w = Writer()
        first = w.tensor("x", self._shape, "float32")
        last = w.tensor("q", self._shape, "int8", steps=[IN_STEP])
        w.operator("QUANTIZE", [first], last)
        source = IN_STEP
        for number, (weights, step) in enumerate(zip(self.weights, self.steps, strict=True)):
            steps = np.abs(weights).max(axis=1) / 127
            integers = np.rint(weights / steps[:, None])
            kernel = w.tensor(f"k{number}", self._kernel, "int8", steps=steps, values=integers)
            zeros = np.zeros(len(weights))
            bias = w.tensor(
                f"b{number}", (len(weights),), "int32", steps=source * steps, values=zeros
            )
            made = w.tensor(f"y{number}", self._shape, "int8", steps=[step])
            w.operator("CONV_2D", [last, kernel, bias], made, strideH=1, strideW=1)
            last, source = made, step
        out = w.tensor("out", self._shape, "float32")
        w.operator("DEQUANTIZE", [last], out)
        return w.file([first], [out])

    def rounded(self, layer: int) -> np.ndarray:
        """A layer's weights as the integer model has them."""
        weights = self.weights[layer]
        steps = (np.abs(weights).max(axis=1) / 127).astype(np.float32)[:, None]
        return np.rint(weights / steps) * steps

    @property
    def _shape(self) -> tuple[int, ...]:
        return 1, SIDE, SIDE, len(self.weights[0])

    @property
    def _kernel(self) -> tuple[int, ...]:
        size = len(self.weights[0])
        return size, 1, 1, size


def chain_of(steps: tuple[float, ...], channels: int = 4) -> Chain:
    """Orthogonal layers, so that no channel fades away."""
    rng = np.random.default_rng(3)
    weights = [np.linalg.qr(rng.normal(size=(channels, channels)))[0] for _ in steps]
    return Chain(tuple(matrix.astype(np.float32) for matrix in weights), steps)


def inputs(count: int, channels: int = 4) -> np.ndarray:
    """On the grid of the integer model's input."""
    values = np.random.default_rng(4).uniform(-1, 1, (count, 1, SIDE, SIDE, channels))
    return (np.rint(values / IN_STEP) * IN_STEP).astype(np.float32)
