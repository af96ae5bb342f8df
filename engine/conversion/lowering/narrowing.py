"""A slice of a result, computed from slices of what it was computed from.

A vision transformer answers from its class token alone, but its last block computes all 197 tokens
and throws 196 away. The stock handlers slice at the end. Ours move a slice that keeps little of an
axis towards the start, through every operator that works on places of that axis by themselves, so
that the rest is never computed. The slice stops where a tensor is needed whole anyway, as the keys
and values of attention are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine.conversion.lowering.layout import constant, operation

SMALLEST_GAIN = 8
# Operators: a block of a transformer has about 30, and Python recurses over them.
FARTHEST = 100
_UNARY = {
    "Relu",
    "Relu6",
    "Erf",
    "Erfc",
    "Tanh",
    "Sigmoid",
    "Rsqrt",
    "Sqrt",
    "Exp",
    "Neg",
    "Square",
}
_ACTIVATIONS = {"Relu", "Relu6"}
_BINARY = {"AddV2", "Sub", "Mul", "RealDiv", "Maximum", "Minimum", "SquaredDifference"}


def narrow_axis(x: Any, axis: int, start: int, stop: int) -> Any:
    """Slice one axis of a static tensor from ``start`` to before ``stop``.

    Returns:
        The slice; computed from slices where it keeps at most an eighth of the axis.
    """
    if stop - start == x.shape[axis]:
        return x
    if (stop - start) * SMALLEST_GAIN > x.shape[axis]:
        return _cut(x, axis, start, stop)
    scout = _Narrowing(start, stop, frozenset())
    scout.narrow(x, axis, _leave)
    whole = frozenset(_above(scout.whole))
    return _Narrowing(start, stop, whole).narrow(x, axis, _apply)


def _cut(x: Any, axis: int, start: int, stop: int) -> Any:
    cuts = [slice(None)] * x.shape.rank
    cuts[axis] = slice(start, stop)
    return x[tuple(cuts)]


def _leave(kind: str, inputs: list[Any], made_by: Any) -> Any:
    """Build nothing: for a first walk that only asks what is needed whole."""
    del kind, inputs
    return made_by.outputs[0]


def _above(tensors: list[Any]) -> set[str]:
    """Name the operations that tensors come from, to the start of the graph."""
    names: set[str] = set()
    waiting = [made_by for made_by in map(operation, tensors) if made_by is not None]
    while waiting:
        made_by = waiting.pop()
        if made_by.name not in names:
            names.add(made_by.name)
            waiting += [value.op for value in made_by.inputs]
    return names


Build = Callable[[str, list[Any], Any], Any]


def _apply(kind: str, inputs: list[Any], made_by: Any) -> Any:
    import tensorflow as tf

    if kind == "Softmax":
        return tf.nn.softmax(inputs[0])
    if kind == "Mean":
        return tf.reduce_mean(inputs[0], constant(inputs[1]), made_by.get_attr("keep_dims"))
    if kind == "BiasAdd":
        return tf.nn.bias_add(*inputs)
    if kind == "MatMul":
        return tf.matmul(*inputs, transpose_b=made_by.get_attr("transpose_b"))
    if kind == "BatchMatMulV2":
        return tf.matmul(*inputs, transpose_b=made_by.get_attr("adj_y"))
    if kind == "Transpose":
        return tf.transpose(inputs[0], constant(inputs[1]))
    if kind == "ConcatV2":
        return tf.concat(inputs[:-1], constant(inputs[-1]))
    compute = getattr(tf.raw_ops, kind)
    if kind in _ACTIVATIONS:
        return compute(features=inputs[0])
    return compute(x=inputs[0]) if kind in _UNARY else compute(x=inputs[0], y=inputs[1])


class _Narrowing:
    """One walk from a slice towards the start.

    Args:
        start: First place kept.
        stop: Place behind the last one kept.
        stops: Names of operations whose results are needed whole anyway.
    """

    def __init__(self, start: int, stop: int, stops: frozenset[str]) -> None:
        self._start, self._stop = start, stop
        self._stops = stops
        self._by_tensor: dict[tuple[Any, int], Any] = {}
        self._depth = 0
        self.whole: list[Any] = []

    def narrow(self, x: Any, axis: int, build: Build) -> Any:
        key = (x.ref(), axis)
        if key not in self._by_tensor:
            self._depth += 1
            far = self._depth > FARTHEST
            self._by_tensor[key] = (
                _cut(x, axis, self._start, self._stop) if far else self._narrow(x, axis, build)
            )
            self._depth -= 1
        return self._by_tensor[key]

    def _narrow(self, x: Any, axis: int, build: Build) -> Any:
        made_by = operation(x)
        if made_by is None or made_by.name in self._stops:
            return _cut(x, axis, self._start, self._stop)
        kind, inputs = made_by.type, list(made_by.inputs)
        if kind == "Reshape":
            return self._through_reshape(x, axis, inputs[0], build)
        if kind == "Pack" and axis == made_by.get_attr("axis") % x.shape.rank:
            return self._through_pack(x, axis, inputs, build)
        axes = self._axes(made_by, axis)
        if axes is None:
            return _cut(x, axis, self._start, self._stop)
        parts = []
        for value, there in zip(inputs, axes, strict=True):
            if there is None:
                self.whole.append(value)
                parts.append(value)
            else:
                parts.append(self.narrow(value, there, build))
        return build(kind, parts, made_by)

    def _axes(self, made_by: Any, axis: int) -> list[int | None] | None:
        """Find the axis to slice of each input, None where it is needed whole; None: no way."""
        kind, inputs = made_by.type, made_by.inputs
        rank = made_by.outputs[0].shape.rank
        if kind in _UNARY:
            return [axis]
        if kind in _BINARY:
            axes: list[int | None] = []
            for value in inputs:
                there = axis - (rank - value.shape.rank)
                wide = there >= 0 and value.shape[there] == made_by.outputs[0].shape[axis]
                axes.append(there if wide else None)
            return axes
        if kind == "Softmax":
            return [axis] if axis != rank - 1 else None
        if kind == "BiasAdd":
            return [axis, None] if axis != rank - 1 else None
        if kind == "MatMul":
            plain = not made_by.get_attr("transpose_a")
            return [0, None] if axis == 0 and plain else None
        if kind == "BatchMatMulV2":
            plain = not made_by.get_attr("adj_x") and inputs[0].shape.rank == rank
            return [axis, None] if axis == rank - 2 and plain else None
        if kind == "Mean":
            over = constant(inputs[1])
            if over is None or not made_by.get_attr("keep_dims"):
                return None
            return None if axis in over.reshape(-1) % rank else [axis, None]
        if kind == "Transpose":
            order = constant(inputs[1])
            return None if order is None else [int(order[axis]), None]
        if kind == "ConcatV2":
            along = constant(inputs[-1])
            if along is None or int(along) % rank == axis:
                return None
            return [*[axis] * (len(inputs) - 1), None]
        return None

    def _through_pack(self, x: Any, axis: int, inputs: list[Any], build: Build) -> Any:
        import tensorflow as tf

        chosen = inputs[self._start : self._stop]
        self.whole += chosen
        return x if build is _leave else tf.stack(chosen, axis)

    def _through_reshape(self, x: Any, axis: int, source: Any, build: Build) -> Any:
        import tensorflow as tf

        sizes, before = x.shape.as_list(), source.shape.as_list()
        left = math.prod(sizes[:axis])
        there = next(
            (
                position
                for position, size in enumerate(before)
                if size == sizes[axis] and math.prod(before[:position]) == left
            ),
            None,
        )
        if there is None:
            return _cut(x, axis, self._start, self._stop)
        part = self.narrow(source, there, build)
        if build is _leave:
            return x
        return tf.reshape(part, [*sizes[:axis], self._stop - self._start, *sizes[axis + 1 :]])
