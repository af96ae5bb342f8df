"""Reductions, global pools, softmax, and norms.

The stock handlers reduce in NCHW, and give a softmax over channels two transposes of its own. Ours
name the axes as they lie in the tensor that is kept, so that no transpose is needed in front. They
also read axes from an input, as operator sets 13 and 18 have them.

The stock batch norm computes its factors in the graph; the stock layer norm is missing. Ours store
factors, so that the converter folds them into the convolution before, and write the others with the
fewest operators that integer kernels have: a product with itself rather than a squared difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.conversion.lowering.indexing import hits
from engine.conversion.lowering.layout import (
    constant,
    inverse,
    is_static,
    permute,
    read_integers,
    reshape_tensor,
    unknown,
    view,
)
from engine.conversion.lowering.node import Lowering, Node

_AXIS_SINCE = 13
_LEAST_NORM = 1e-12
_DEVIATIONS = 4


def find_stored_axes(x: Any, axes: list[int]) -> tuple[Any, list[int], tuple[int, ...]]:
    """Find axes in the stored form of a tensor: that tensor, its axes, its order."""
    source, order = view(x)
    return source, sorted(order[axis] for axis in axes), order


def _reduction(name: str) -> Lowering:
    def lower(node: Node) -> list[Any] | None:
        x = node.inputs[0]
        axes = _axes(node)
        if axes is None or not is_static(x):
            return None
        if not axes and node.attributes.get("noop_with_empty_axes"):
            return [_without_reduction(name, x)]
        return [
            _over(_arithmetic(name, x.dtype), x, axes, bool(node.attributes.get("keepdims", 1)))
        ]

    return lower


def _axes(node: Node) -> list[int] | None:
    x = node.inputs[0]
    axes = read_integers(node, "axes", 1)
    if axes:
        return [axis % x.shape.rank for axis in axes]
    if unknown(node, 1):
        return None
    if node.attributes.get("noop_with_empty_axes"):
        return []
    return list(range(x.shape.rank))


def _without_reduction(name: str, x: Any) -> Any:
    """Compute the steps before and after a reduction, which is over no axes."""
    import tensorflow as tf

    source, order = view(x)
    steps: dict[str, Callable[[Any], Any]] = {
        "ReduceL1": tf.abs,
        "ReduceL2": tf.abs,
        "ReduceSumSquare": lambda y: y * y,
        "ReduceLogSum": tf.math.log,
    }
    return permute(steps.get(name, lambda y: y)(source), order)


def _over(compute: Callable[..., Any], x: Any, axes: list[int], keep: bool) -> Any:
    source, there, order = find_stored_axes(x, axes)
    y = compute(source, there, keep)
    if keep:
        return permute(y, order)
    left = [axis for axis in order if axis not in there]
    ranks = sorted(left)
    return permute(y, tuple(ranks.index(axis) for axis in left))


def _arithmetic(name: str, dtype: Any = None) -> Callable[..., Any]:
    import tensorflow as tf

    of_booleans: dict[str, Callable[..., Any]] = {
        "ReduceMax": tf.reduce_any,
        "ReduceMin": tf.reduce_all,
    }
    if dtype == tf.bool:
        return of_booleans[name]
    plain: dict[str, Callable[..., Any]] = {
        "ReduceMean": tf.reduce_mean,
        "ReduceSum": _sum,
        "ReduceMax": tf.reduce_max,
        "ReduceMin": tf.reduce_min,
        "ReduceProd": tf.reduce_prod,
    }
    if name in plain:
        return plain[name]
    composed: dict[str, Callable[..., Any]] = {
        "ReduceL1": lambda x, axes, keep: _sum(tf.abs(x), axes, keep),
        "ReduceL2": lambda x, axes, keep: tf.sqrt(_sum(x * x, axes, keep)),
        "ReduceSumSquare": lambda x, axes, keep: _sum(x * x, axes, keep),
        "ReduceLogSum": lambda x, axes, keep: tf.math.log(_sum(x, axes, keep)),
        "ReduceLogSumExp": _log_sum_exp,
    }
    return composed[name]


def sum_axes(x: Any, axes: list[int]) -> Any:
    """Sum over axes of a static tensor, and drop them."""
    return _over(_sum, x, axes, False)


def _sum(x: Any, axes: list[int], keep: bool) -> Any:
    import tensorflow as tf

    count = math.prod(x.shape[axis] for axis in axes)
    if not x.dtype.is_floating or not count:
        return tf.reduce_sum(x, axes, keep)
    # Quantized, a SUM has the scale of its input, which int16 overflows; a MEAN has its own.
    return tf.reduce_mean(x, axes, keep) * tf.cast(count, x.dtype)


def _log_sum_exp(x: Any, axes: list[int], keep: bool) -> Any:
    import tensorflow as tf

    # Less the maximum, as tf.reduce_logsumexp, but without its guard against infinities, whose
    # operators TFLite lacks.
    most = tf.reduce_max(x, axes, True)
    summed = tf.math.log(_sum(tf.exp(x - most), axes, keep))
    return summed + (most if keep else tf.reshape(most, summed.shape))


def _global(name: str) -> Lowering:
    def lower(node: Node) -> list[Any] | None:
        x = node.inputs[0]
        if not is_static(x) or x.shape.rank < 3:
            return None
        return [_over(_arithmetic(name), x, list(range(2, x.shape.rank)), True)]

    return lower


def global_lp_pool(node: Node) -> list[Any] | None:
    """Lower a norm of any degree over all that lies behind the channels."""
    x, degree = node.inputs[0], node.attributes.get("p", 2)
    if not is_static(x):
        return None

    def norm(y: Any, axes: list[int], keep: bool) -> Any:
        return root_of(_sum(raise_to(y, degree), axes, keep), degree)

    return [_over(norm, x, list(range(2, x.shape.rank)), True)]


def raise_to(x: Any, degree: int) -> Any:
    """Raise absolute values to a power, by operators with integer kernels where there are any."""
    import tensorflow as tf

    if degree == 2:
        return x * x
    return tf.abs(x) if degree == 1 else tf.pow(tf.abs(x), float(degree))


def root_of(x: Any, degree: int) -> Any:
    """Take the root that undoes `raise_to`."""
    import tensorflow as tf

    if degree == 2:
        return tf.sqrt(x)
    return x if degree == 1 else tf.pow(x, 1 / degree)


def lp_normalization(node: Node) -> list[Any] | None:
    """Lower a division by the norm of degree 1 or 2 along one axis."""
    import tensorflow as tf

    x = node.inputs[0]
    if not is_static(x):
        return None
    source, there, order = find_stored_axes(x, [node.attributes.get("axis", -1) % x.shape.rank])
    norm = _arithmetic(f"ReduceL{node.attributes.get('p', 2)}")(source, there, True)
    # Zeros stay zeros.
    return [permute(tf.divide(source, tf.maximum(norm, _LEAST_NORM)), order)]


def softmax(node: Node) -> list[Any] | None:
    """Lower a softmax, its logarithm, or the first maximum as 1 among zeros, over one axis."""
    import tensorflow as tf

    x = node.inputs[0]
    axis = node.attributes.get("axis", -1 if node.since >= _AXIS_SINCE else 1)
    if x.shape.rank is None:
        return None
    axis %= x.shape.rank
    compute = {
        "Softmax": tf.nn.softmax,
        "LogSoftmax": tf.nn.log_softmax,
        "Hardmax": _hardmax,
    }[node.kind]
    if node.since < _AXIS_SINCE and axis != x.shape.rank - 1:
        # It used to be over all axes from this one on.
        if not is_static(x):
            return None
        sizes = x.shape.as_list()
        return [reshape_tensor(compute(reshape_tensor(x, [math.prod(sizes[:axis]), -1])), sizes)]
    source, order = view(x)
    last = len(order) - 1
    if order[axis] == last:
        return [permute(compute(source), order)]
    # The kernels work along the last axis alone.
    swap = tuple({axis: last, last: axis}.get(index, index) for index in range(x.shape.rank))
    return [permute(compute(permute(x, swap)), inverse(swap))]


def _hardmax(x: Any) -> Any:
    import tensorflow as tf

    hit = hits(tf.argmax(x, -1, tf.int32), x.shape[-1], -1)
    return tf.where(hit, tf.ones([], x.dtype), 0)


def batch_normalization(node: Node) -> list[Any] | None:
    """Lower a batch norm with constant statistics to a factor and a shift a channel."""
    import tensorflow as tf

    x = node.inputs[0]
    scale, shift, mean, variance = (constant(value) for value in node.inputs[1:5])
    if scale is None or shift is None or mean is None or variance is None or node.read > 1:
        return None
    if x.shape.rank is None or node.attributes.get("training_mode"):
        return None
    source, order = view(x)
    deviation = np.sqrt(variance + np.float32(node.attributes.get("epsilon", 1e-5)))
    factor = scale / deviation
    # Without axes of size 1 in front: the bias of a product has to be a vector.
    shape = [-1] + [1] * (len(order) - 1 - order[1])
    offset = shift - mean * factor
    if _factor_can_wait(scale, shift, deviation):
        y = tf.add(source, (offset / factor).reshape(shape))
        y = tf.multiply(y, factor.reshape(shape))
    else:
        y = tf.multiply(source, factor.reshape(shape))
        y = tf.add(y, offset.reshape(shape))
    return [permute(y, order)]


def _factor_can_wait(scale: np.ndarray, shift: np.ndarray, deviation: np.ndarray) -> bool:
    """Tell whether the shift may come before the factor.

    A positive factor passes through a ReLU and into the weights of the convolution behind it. But
    the shift grows by the inverse of the factor: where it would outgrow the values themselves, the
    integers would have no steps left for the other channels.
    """
    if not (scale > 0).all():
        return False
    widest = _DEVIATIONS * deviation.max()
    return bool((np.abs(shift) * deviation / scale).max() <= widest)


def instance_normalization(node: Node) -> list[Any] | None:
    """Lower a norm over all but batch and channels."""
    x = node.inputs[0]
    scale, shift = constant(node.inputs[1]), constant(node.inputs[2])
    if scale is None or shift is None or not is_static(x):
        return None
    ones = [1] * (x.shape.rank - 2)
    axes = list(range(2, x.shape.rank))
    epsilon = node.attributes.get("epsilon", 1e-5)
    return [_normalize(x, axes, epsilon, scale.reshape(-1, *ones), shift.reshape(-1, *ones))]


def layer_normalization(node: Node) -> list[Any] | None:
    """Lower a norm over the last axes."""
    x = node.inputs[0]
    scale, shift = constant(node.inputs[1]), constant(node.input(2))
    if scale is None or not is_static(x):
        return None
    if node.input(2) is not None and shift is None:
        return None
    first = node.attributes.get("axis", -1) % x.shape.rank
    axes, epsilon = list(range(first, x.shape.rank)), node.attributes.get("epsilon", 1e-5)
    y = _normalize(x, axes, epsilon, scale, shift)
    if node.read == 1:
        return [y]
    source, there, order = find_stored_axes(x, axes)
    mean, _, reciprocal = _statistics(source, there, epsilon)
    return [y, permute(mean, order), permute(reciprocal, order)]


def group_normalization(node: Node) -> list[Any] | None:
    """Lower a norm over groups of channels, in the operators that exporters wrote before it."""
    import tensorflow as tf

    x = node.inputs[0]
    scale, shift = constant(node.inputs[1]), constant(node.inputs[2])
    if scale is None or shift is None or not is_static(x):
        return None
    batch, channels, *spatial = x.shape.as_list()
    groups = int(node.attributes["num_groups"])
    epsilon = node.attributes.get("epsilon", 1e-5)
    y = _normalize(
        reshape_tensor(x, [batch, groups, -1]), [2], epsilon, np.ones(1, np.float32), None
    )
    source, order = view(reshape_tensor(y, [batch, channels, *spatial]))
    factor, offset = (
        _reorder(value.reshape(-1, *[1] * len(spatial)), order) for value in (scale, shift)
    )
    return [permute(tf.add(tf.multiply(source, factor), offset), order)]


def rms_normalization(node: Node) -> list[Any] | None:
    """Lower a division by the root mean square of the last axes."""
    import tensorflow as tf

    x, scale = node.inputs[0], constant(node.inputs[1])
    if scale is None or not is_static(x):
        return None
    axes = list(range(node.attributes.get("axis", -1) % x.shape.rank, x.shape.rank))
    source, there, order = find_stored_axes(x, axes)
    square = tf.reduce_mean(source * source, there, keepdims=True)
    y = source * tf.math.rsqrt(square + np.float32(node.attributes.get("epsilon", 1e-5)))
    return [permute(tf.multiply(y, _reorder(scale, order)), order)]


def _statistics(x: Any, axes: list[int], epsilon: float) -> tuple[Any, Any, Any]:
    """Compute the mean over axes, the distances from it, and the inverse of the deviation."""
    import tensorflow as tf

    mean = tf.reduce_mean(x, axes, keepdims=True)
    centred = x - mean
    variance = tf.reduce_mean(centred * centred, axes, keepdims=True)
    return mean, centred, tf.math.rsqrt(variance + np.float32(epsilon))


def _normalize(
    x: Any, axes: list[int], epsilon: float, scale: np.ndarray, shift: np.ndarray | None
) -> Any:
    import tensorflow as tf

    source, there, order = find_stored_axes(x, axes)
    _, centred, reciprocal = _statistics(source, there, epsilon)
    y = centred * reciprocal
    if (scale != 1).any():
        y = tf.multiply(y, _reorder(scale, order))
    if shift is not None and shift.any():
        y = tf.add(y, _reorder(shift, order))
    return permute(y, order)


def _reorder(value: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Transpose a constant that broadcasts to the order that a tensor is stored in."""
    wide = value.reshape([1] * (len(order) - value.ndim) + list(value.shape))
    return wide.transpose([order.index(axis) for axis in range(len(order))])


def lrn(node: Node) -> list[Any] | None:
    """Lower a local response norm, whose TensorFlow form is of channels last."""
    import tensorflow as tf

    x = node.inputs[0]
    size = int(node.attributes["size"])
    if x.shape.rank != 4 or size % 2 == 0:
        return None
    y = tf.nn.local_response_normalization(
        permute(x, (0, 2, 3, 1)),
        depth_radius=size // 2,
        bias=node.attributes.get("bias", 1.0),
        alpha=node.attributes.get("alpha", 1e-4) / size,
        beta=node.attributes.get("beta", 0.75),
    )
    return [permute(y, (0, 3, 1, 2))]


LOWERINGS: dict[str, Lowering] = {
    name: _reduction(name)
    for name in [
        "ReduceMean",
        "ReduceSum",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceL1",
        "ReduceL2",
        "ReduceSumSquare",
        "ReduceLogSum",
        "ReduceLogSumExp",
    ]
} | {
    "GlobalAveragePool": _global("ReduceMean"),
    "GlobalMaxPool": _global("ReduceMax"),
    "GlobalLpPool": global_lp_pool,
    "LpNormalization": lp_normalization,
    "Softmax": softmax,
    "LogSoftmax": softmax,
    "Hardmax": softmax,
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
    "LRN": lrn,
}
