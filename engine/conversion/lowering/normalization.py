"""BatchNormalization, the norms of instances, groups, layers and root mean squares, and LRN.

The stock batch norm computes its factors in the graph; the stock layer norm is missing. Ours store
factors, so that the converter folds them into the convolution before, and write the others with the
fewest operators that integer kernels have: a product with itself rather than a squared difference.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.conversion.lowering.layout import constant, is_static, permute, reshape_tensor, view
from engine.conversion.lowering.node import Lowering, Node
from engine.conversion.lowering.reduction import stored_axes

_DEVIATIONS = 4


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
    """Whether the shift may come before the factor.

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
    source, there, order = stored_axes(x, axes)
    mean, _, inverse = _statistics(source, there, epsilon)
    return [y, permute(mean, order), permute(inverse, order)]


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
    source, there, order = stored_axes(x, axes)
    square = tf.reduce_mean(source * source, there, keepdims=True)
    y = source * tf.math.rsqrt(square + np.float32(node.attributes.get("epsilon", 1e-5)))
    return [permute(tf.multiply(y, _reorder(scale, order)), order)]


def _statistics(x: Any, axes: list[int], epsilon: float) -> tuple[Any, Any, Any]:
    """The mean over axes, the distances from it, and the inverse of the deviation."""
    import tensorflow as tf

    mean = tf.reduce_mean(x, axes, keepdims=True)
    centred = x - mean
    variance = tf.reduce_mean(centred * centred, axes, keepdims=True)
    return mean, centred, tf.math.rsqrt(variance + np.float32(epsilon))


def _normalize(
    x: Any, axes: list[int], epsilon: float, scale: np.ndarray, shift: np.ndarray | None
) -> Any:
    import tensorflow as tf

    source, there, order = stored_axes(x, axes)
    _, centred, inverse = _statistics(source, there, epsilon)
    y = centred * inverse
    if (scale != 1).any():
        y = tf.multiply(y, _reorder(scale, order))
    if shift is not None and shift.any():
        y = tf.add(y, _reorder(shift, order))
    return permute(y, order)


def _reorder(value: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """A constant that broadcasts, turned to the order that a tensor is kept in."""
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
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
    "LRN": lrn,
}
