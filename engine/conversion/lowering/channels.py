"""Channels that were only moved about: concatenated, sliced and shuffled.

A channel shuffle is a fixed permutation. The stock handlers write it as two reshapes and a
transpose, which copy the whole tensor each time. Ours ask where each channel comes from: a
convolution takes its channels in any order, when its weights are put in that order, so it reads
slices of what was computed before, and the shuffles between are never done.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.conversion.lowering.layout import constant, is_static, operation

# Slices cost about the same whether narrow or wide: a scattered shuffle is cheaper done as it is.
MOST_SLICES = 16


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the channels of a tensor come from.

    Attributes:
        sources: Tensors that compute something.
        source: For each channel, the place in ``sources``.
        channel: For each channel, the channel of that source.
        shuffled: Whether a permutation lies between.
    """

    sources: tuple[Any, ...]
    source: np.ndarray
    channel: np.ndarray
    shuffled: bool

    def pick(self, places: Any, *, shuffled: bool = False) -> Origin:
        """Give the origin of some of the channels, in another order."""
        return Origin(
            self.sources,
            self.source[places],
            self.channel[places],
            self.shuffled or shuffled,
        )


def without_factor(y: Any) -> tuple[Any, np.ndarray]:
    """Split off a constant factor a channel that a tensor is multiplied with.

    Args:
        y: Shape (..., C), static.

    Returns:
        The tensor before the factor, and the factor, shape (C,), float32; ones where there is none.
    """
    operand = _operand(y, "Mul")
    return operand or (y, np.ones(y.shape[-1], np.float32))


def without_affine(y: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """Split off the constant factors and shifts a channel that a tensor was last given.

    Reshapes and transposes between that leave the channels alone are done again without them.

    Args:
        y: Shape (..., C), static.

    Returns:
        A tensor, a factor and a shift, both of shape (C,), float32, such that ``y`` is the tensor
        times the factor plus the shift.
    """
    import tensorflow as tf

    made_by, channels = operation(y), y.shape[-1]
    kind = None if made_by is None else made_by.type
    if kind in {"AddV2", "Mul"}:
        operand = _operand(y, kind)
        if operand is not None:
            inner, factor, shift = without_affine(operand[0])
            if kind == "AddV2":
                return inner, factor, shift + operand[1]
            return inner, factor * operand[1], shift * operand[1]
    if kind in {"Reshape", "Transpose"} and made_by.inputs[0].shape[-1:] == [channels]:
        source = made_by.inputs[0]
        inner, factor, shift = without_affine(source)
        if inner is source or not is_static(source):
            return y, np.ones(channels, np.float32), np.zeros(channels, np.float32)
        if kind == "Reshape":
            return tf.reshape(inner, y.shape.as_list()), factor, shift
        order = constant(made_by.inputs[1])
        if order is not None and int(order[-1]) == len(order) - 1:
            return tf.transpose(inner, order), factor, shift
    return y, np.ones(channels, np.float32), np.zeros(channels, np.float32)


def _operand(y: Any, kind: str) -> tuple[Any, np.ndarray] | None:
    """Split a sum or product with one number a channel into its changing and its constant side."""
    made_by = operation(y)
    if made_by is None or made_by.type != kind or made_by.inputs[0].shape != y.shape:
        return None
    value = constant(made_by.inputs[1])
    count = y.shape[-1]
    # A single number may be part of what the converter knows as one operator, such as HARD_SWISH.
    if value is None or value.size != count or value.shape[-1] != count:
        return None
    return made_by.inputs[0], value.reshape(-1).astype(np.float32)


def without_shuffle(y: Any) -> tuple[Any, np.ndarray] | None:
    """Give the channels of a shuffled tensor without the shuffle.

    Args:
        y: Shape (N, H, W, C), static.

    Returns:
        The same channels in an order that needs only slices of what was computed before, and for
        each of them its place in ``y``; None where no shuffle lies behind ``y``, or too scattered
        a one.
    """
    import tensorflow as tf

    origin = _origin(y)
    if not origin.shuffled:
        return None
    order = np.lexsort((origin.channel, origin.source))
    source, channel = origin.source[order], origin.channel[order]
    breaks = np.flatnonzero((np.diff(source) != 0) | (np.diff(channel) != 1)) + 1
    runs = np.split(np.arange(len(order)), breaks)
    if len(runs) > MOST_SLICES:
        return None
    parts = []
    for run in runs:
        tensor = origin.sources[source[run[0]]]
        first, last = int(channel[run[0]]), int(channel[run[-1]])
        whole = len(run) == tensor.shape[-1]
        parts.append(tensor if whole else tensor[..., first : last + 1])
    return (tf.concat(parts, -1) if len(parts) > 1 else parts[0]), order


def reshuffle(y: Any, order: np.ndarray) -> Any:
    """Restore the order that `without_shuffle` left out; a later convolution drops it again."""
    import tensorflow as tf

    return tf.gather(y, np.argsort(order), axis=len(y.shape) - 1)


def _origin(x: Any) -> Origin:
    made_by = operation(x)
    look = None if made_by is None else _LOOKS.get(made_by.type)
    origin = None if look is None else look(made_by, x)
    if origin is not None:
        return origin
    count = x.shape[-1]
    return Origin((x,), np.zeros(count, int), np.arange(count), False)


def _through_concat(made_by: Any, x: Any) -> Origin | None:
    axis = constant(made_by.inputs[-1])
    if axis is None or int(axis) % x.shape.rank != x.shape.rank - 1:
        return None
    origins = [_origin(part) for part in made_by.inputs[:-1]]
    sources: list[Any] = []
    numbers, channels = [], []
    for origin in origins:
        places = []
        for tensor in origin.sources:
            number = next((i for i, source in enumerate(sources) if source is tensor), None)
            places.append(len(sources) if number is None else number)
            if number is None:
                sources.append(tensor)
        numbers.append(np.asarray(places)[origin.source])
        channels.append(origin.channel)
    mixed = any(origin.shuffled for origin in origins)
    return Origin(tuple(sources), np.concatenate(numbers), np.concatenate(channels), mixed)


def _through_slice(made_by: Any, x: Any) -> Origin | None:
    whole = made_by.inputs[0]
    begin, end, strides = (constant(value) for value in made_by.inputs[1:4])
    if begin is None or end is None or strides is None or whole.shape.rank != len(begin):
        return None
    if whole.shape[:-1] != x.shape[:-1] or not (strides == 1).all():
        return None
    if any(made_by.get_attr(name) for name in ("ellipsis_mask", "new_axis_mask")):
        return None
    bit = 1 << (len(begin) - 1)
    first = None if made_by.get_attr("begin_mask") & bit else int(begin[-1])
    last = None if made_by.get_attr("end_mask") & bit else int(end[-1])
    return _origin(whole).pick(slice(first, last))


def _through_shuffle(made_by: Any, x: Any) -> Origin | None:
    """Look through a reshape of a transpose of a reshape, where they move channels alone."""
    turn = operation(made_by.inputs[0])
    cut = None if turn is None or turn.type != "Transpose" else operation(turn.inputs[0])
    if cut is None or cut.type != "Reshape" or not cut.inputs[0].shape.is_fully_defined():
        return None
    whole, order = cut.inputs[0], constant(turn.inputs[1])
    pieces = cut.outputs[0].shape.as_list()
    if order is None or whole.shape != x.shape:
        return None
    pixels = math.prod(whole.shape.as_list()[:-1])
    leading = 0
    while math.prod(pieces[:leading]) < pixels:
        leading += 1
    if math.prod(pieces[:leading]) != pixels or list(order[:leading]) != list(range(leading)):
        return None
    places = np.arange(whole.shape[-1]).reshape(pieces[leading:])
    turned = places.transpose([int(axis) - leading for axis in order[leading:]])
    return _origin(whole).pick(turned.reshape(-1), shuffled=True)


def _through_gather(made_by: Any, x: Any) -> Origin | None:
    whole, places, axis = made_by.inputs[0], *map(constant, made_by.inputs[1:3])
    if places is None or axis is None or int(axis) != x.shape.rank - 1:
        return None
    return _origin(whole).pick(places, shuffled=True)


_LOOKS = {
    "ConcatV2": _through_concat,
    "StridedSlice": _through_slice,
    "Reshape": _through_shuffle,
    "GatherV2": _through_gather,
}
