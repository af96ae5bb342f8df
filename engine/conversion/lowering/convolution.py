"""Conv and ConvTranspose.

The stock handlers turn to NHWC and back around every convolution as ours do, but split a grouped
convolution into one a group, pad in NCHW (which keeps the turns from cancelling), and compute the
weights' turn in the graph. Ours pad in NHWC, use TensorFlow's SAME only where it is the same
arithmetic, make one operator of every convolution, and store turned weights. A convolution over one
dimension becomes one over pictures of a single row; one over three becomes one over pictures of
more channels, which unlike TFLite's CONV_3D has an integer kernel. Weights that a network computes
are multiplied with the elements of the windows, tap by tap.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from engine.conversion.lowering.channels import (
    reshuffle,
    without_affine,
    without_factor,
    without_shuffle,
)
from engine.conversion.lowering.layout import (
    constant,
    inverse,
    is_static,
    permute,
    reshape_tensor,
    to_nchw,
    to_nhwc,
)
from engine.conversion.lowering.node import Lowering, Node, store_weight
from engine.conversion.lowering.windows import (
    attributes_along,
    cut_out,
    is_same,
    over_one_dimension,
    pad_pixels,
    pads_of,
    reach,
    taps_of,
    with_zeros_between,
)

_CHANNELS_LAST = (0, 2, 3, 4, 1)


def conv(node: Node) -> list[Any] | None:
    """Lower a convolution over one to three dimensions."""
    x, kernel = node.inputs[:2]
    if not is_static(x) or not is_static(kernel):
        return None
    if x.shape.rank == 3:
        return over_one_dimension(node, conv)
    if x.shape.rank == 5:
        return _conv_over_depth(node)
    if x.shape.rank != 4:
        return None
    y, weights = to_nhwc(x), constant(kernel)
    if weights is None:
        return [to_nchw(convolve_with_computed(node, y, kernel))]
    return [to_nchw(_convolve(node, y, weights))]


def _convolve(node: Node, y: Any, kernel: np.ndarray) -> Any:
    """Convolve; what can go into the weights of what lies before goes there."""
    channels, (outputs, group_channels) = y.shape[-1], kernel.shape[:2]
    alone = group_channels == 1 and outputs == channels
    bias = constant(node.input(2))
    if (node.input(2) is not None and bias is None) or not (alone or group_channels == channels):
        return _convolve_windows(node, y, kernel, node.input(2))
    if alone:
        y, factor = without_factor(y)
        kernel = kernel * factor[:, None, None, None]
    elif any(map(any, pads_of(node.attributes, y.shape[1:3], kernel.shape[2:]))):
        # A shift would have to reach the padding too.
        y, factor = without_factor(y)
        kernel = kernel * factor[:, None, None]
    else:
        y, factor, shift = without_affine(y)
        if shift.any():
            bias = np.tensordot(kernel, shift, (1, 0)).sum((1, 2)) + (0 if bias is None else bias)
        kernel = kernel * factor[:, None, None]
    moved = without_shuffle(y)
    if moved is None:
        return _convolve_windows(node, y, kernel, bias)
    y, order = moved
    if not alone:
        return _convolve_windows(node, y, kernel[:, order], bias)
    return reshuffle(
        _convolve_windows(node, y, kernel[order], None if bias is None else bias[order]), order
    )


def _convolve_windows(node: Node, y: Any, kernel: np.ndarray, bias: Any) -> Any:
    import tensorflow as tf

    _, *sizes, channels = y.shape.as_list()
    outputs, group_channels, *window = kernel.shape
    strides = list(node.attributes.get("strides", [1, 1]))
    dilations = list(node.attributes.get("dilations", [1, 1]))
    spans = [reach(k, d) for k, d in zip(window, dilations, strict=True)]
    pads = pads_of(node.attributes, sizes, window)
    mode = "SAME" if is_same(pads, sizes, spans, strides) else "VALID"
    if mode == "VALID":
        y = pad_pixels(y, pads)
    even = strides[0] == strides[1] and (strides == [1, 1] or dilations == [1, 1])
    if group_channels == 1 and channels > 1 and even:
        depth = kernel.reshape(channels, outputs // channels, *window).transpose(2, 3, 0, 1)
        y = tf.nn.depthwise_conv2d(
            y, store_weight(depth), [1, *strides, 1], mode, dilations=dilations
        )
    else:
        turned = store_weight(kernel.transpose(2, 3, 1, 0))
        y = tf.nn.conv2d(y, turned, strides, mode, dilations=dilations)
    return y if bias is None else tf.nn.bias_add(y, bias)


def _conv_over_depth(node: Node) -> list[Any] | None:
    """Convolve pictures whose channels are those of all slices that a tap of the depth meets."""
    import tensorflow as tf

    y, kernel = permute(node.inputs[0], _CHANNELS_LAST), node.inputs[1]
    outputs, _, *window = kernel.shape.as_list()
    groups = int(node.attributes.get("group", 1))
    stride, dilation = (node.attributes.get(name, [1])[0] for name in ("strides", "dilations"))
    depth, *pads = pads_of(node.attributes, y.shape.as_list()[1:-1], window)
    y = tf.pad(y, [[0, 0], depth, [0, 0], [0, 0], [0, 0]])
    count = (y.shape[1] - reach(window[0], dilation)) // stride + 1
    starts = [tap * dilation for tap in range(window[0])]
    slices = [y[:, start : start + (count - 1) * stride + 1 : stride] for start in starts]
    kernel = reshape_tensor(permute(kernel, (0, 2, 1, 3, 4)), [outputs, -1, *window[1:]])
    attributes = attributes_along(node.attributes, [1, 2]) | {
        "auto_pad": "NOTSET",
        "pads": [pair[end] for end in (0, 1) for pair in pads],
    }
    return _over_pictures(node, slices, groups, kernel, attributes, conv)


def _conv_transpose_over_depth(node: Node, kernel: np.ndarray) -> list[Any] | None:
    """Convolve slices with zeros between them, whose rows and columns are transposed."""
    import tensorflow as tf

    y = permute(node.inputs[0], _CHANNELS_LAST)
    groups = int(node.attributes.get("group", 1))
    strides = list(node.attributes.get("strides", [1, 1, 1]))
    _, *sizes, channels = y.shape.as_list()
    whole = [
        (size - 1) * stride + span
        for size, stride, span in zip(sizes, strides, kernel.shape[2:], strict=True)
    ]
    first, count = (values[0] for values in cut_out(node, sizes, strides, whole))
    spaced = with_zeros_between(y, 1, strides[0])
    span = kernel.shape[2]
    behind = max(0, first + count - spaced.shape[1])
    spaced = tf.pad(spaced, [[0, 0], [span - 1, behind], *[[0, 0]] * 3])
    starts = [first + span - 1 - tap for tap in range(span)]
    slices = [spaced[:, start : start + count] for start in starts]
    flat = kernel.reshape(groups, channels // groups, *kernel.shape[1:]).swapaxes(1, 3)
    flat = flat.swapaxes(2, 3).reshape(-1, kernel.shape[1], *kernel.shape[3:])
    attributes = attributes_along(node.attributes, [1, 2]) | {"dilations": [1, 1]}
    return _over_pictures(node, slices, groups, tf.constant(flat), attributes, conv_transpose)


def _over_pictures(
    node: Node,
    slices: list[Any],
    groups: int,
    kernel: Any,
    attributes: dict[str, Any],
    lower: Lowering,
) -> list[Any] | None:
    """Lower a convolution over rows and columns of slices, put together group by group."""
    import tensorflow as tf

    batch, depth, rows, columns, channels = slices[0].shape.as_list()
    parts = reshape_tensor(tf.stack(slices, -2), [-1, len(slices), groups, channels // groups])
    pictures = reshape_tensor(permute(parts, (0, 2, 1, 3)), [batch * depth, rows, columns, -1])
    inputs = (to_nchw(pictures), kernel, *node.inputs[2:])
    results = lower(replace(node, inputs=inputs, attributes=attributes))
    if results is None:
        return None
    z = to_nhwc(results[0])
    z = reshape_tensor(z, [batch, depth, *z.shape.as_list()[1:]])
    return [permute(z, inverse(_CHANNELS_LAST))]


def conv_transpose(node: Node) -> list[Any] | None:
    """Lower a transposed convolution over one to three dimensions."""
    import tensorflow as tf

    x, kernel = node.inputs[0], constant(node.inputs[1])
    if not is_static(x) or not is_static(node.inputs[1]):
        return None
    if x.shape.rank == 3:
        return over_one_dimension(node, conv_transpose)
    if kernel is None and x.shape.rank == 4:
        return [to_nchw(transpose_with_computed(node, to_nhwc(x), node.inputs[1]))]
    if kernel is None:
        return None
    kernel = _dilate(kernel, node.attributes.get("dilations", [1] * (kernel.ndim - 2)))
    if kernel.ndim == 5:
        return _conv_transpose_over_depth(node, kernel)
    if kernel.ndim != 4:
        return None
    groups = int(node.attributes.get("group", 1))
    strides = list(node.attributes.get("strides", [1, 1]))
    y = to_nhwc(x)
    whole = [
        (size - 1) * stride + span
        for size, stride, span in zip(y.shape[1:3], strides, kernel.shape[2:], strict=True)
    ]
    parts = [
        tf.nn.conv2d_transpose(
            part,
            store_weight(weights.transpose(2, 3, 1, 0)),
            [y.shape[0], *whole, weights.shape[1]],
            strides,
            "VALID",
        )
        for part, weights in zip(
            tf.split(y, groups, 3) if groups > 1 else [y], np.split(kernel, groups), strict=True
        )
    ]
    z = tf.concat(parts, 3) if groups > 1 else parts[0]
    begin, size = cut_out(node, y.shape[1:3], strides, whole)
    missing = [max(0, b + s - w) for b, s, w in zip(begin, size, whole, strict=True)]
    z = pad_pixels(z, [[0, lack] for lack in missing])
    z = z[:, begin[0] : begin[0] + size[0], begin[1] : begin[1] + size[1], :]
    bias = node.input(2)
    return [to_nchw(z if bias is None else tf.nn.bias_add(z, bias))]


def _dilate(kernel: np.ndarray, dilations: list[int]) -> np.ndarray:
    """Put zeros between the taps of a kernel."""
    spans = [reach(k, d) for k, d in zip(kernel.shape[2:], dilations, strict=True)]
    wide = np.zeros((*kernel.shape[:2], *spans), kernel.dtype)
    wide[:, :, *(slice(None, None, dilation) for dilation in dilations)] = kernel
    return wide


LOWERINGS: dict[str, Lowering] = {"Conv": conv, "ConvTranspose": conv_transpose}


def convolve_with_computed(node: Node, y: Any, kernel: Any) -> Any:
    """Convolve an NHWC tensor with a kernel in ONNX's order."""
    import tensorflow as tf

    window = kernel.shape.as_list()[2:]
    strides, dilations = (node.attributes.get(name, [1, 1]) for name in ("strides", "dilations"))
    y = pad_pixels(y, pads_of(node.attributes, y.shape.as_list()[1:3], window))
    return multiply_patches(
        node, tf.stack(list(taps_of(y, window, strides, dilations)), -2), kernel, 2
    )


def transpose_with_computed(node: Node, y: Any, kernel: Any) -> Any:
    """Convolve an NHWC tensor with zeros between its pixels, which transposes the convolution."""
    import tensorflow as tf

    groups = int(node.attributes.get("group", 1))
    strides = list(node.attributes.get("strides", [1, 1]))
    dilations = list(node.attributes.get("dilations", [1, 1]))
    inputs, group_outputs, *window = kernel.shape.as_list()
    sizes = y.shape.as_list()[1:3]
    spans = [reach(k, d) for k, d in zip(window, dilations, strict=True)]
    whole = [(n - 1) * s + span for n, s, span in zip(sizes, strides, spans, strict=True)]
    cuts = zip(*cut_out(node, sizes, strides, whole), spans, strict=True)
    for axis, stride in enumerate(strides, 1):
        y = with_zeros_between(y, axis, stride)
    lengths = y.shape.as_list()[1:3]
    y = pad_pixels(
        y,
        [
            [span - 1 - first, first + count - length]
            for (first, count, span), length in zip(cuts, lengths, strict=True)
        ],
    )
    # A transposed convolution meets its taps from the last to the first.
    patches = tf.stack(list(taps_of(y, window, [1, 1], dilations))[::-1], -2)
    swapped = reshape_tensor(kernel, [groups, inputs // groups, group_outputs, *window])
    swapped = permute(swapped, (0, 2, 1, 3, 4))
    outputs = groups * group_outputs
    weights = reshape_tensor(swapped, [outputs, inputs // groups, *window])
    return multiply_patches(node, patches, weights, 2)


def multiply_patches(node: Node, patches: Any, kernel: Any, bias: int) -> Any:
    """Multiply patches by the weights of a convolution.

    Args:
        node: Its groups and its bias are read.
        patches: Shape (N, *windows, taps, C), static.
        kernel: Shape (outputs, C / groups, *taps), static.
        bias: Place of the bias among the inputs.

    Returns:
        Shape (N, *windows, outputs).
    """
    import tensorflow as tf

    groups = int(node.attributes.get("group", 1))
    *windows, count, channels = patches.shape.as_list()
    outputs = kernel.shape[0]
    # Pixels and weights of each group as a matrix.
    pixels = permute(reshape_tensor(patches, [-1, count, groups, channels // groups]), (2, 0, 1, 3))
    weights = reshape_tensor(kernel, [groups, outputs // groups, channels // groups, count])
    z = tf.matmul(
        reshape_tensor(pixels, [groups, -1, count * channels // groups]),
        reshape_tensor(permute(weights, (0, 3, 2, 1)), [groups, -1, outputs // groups]),
    )
    z = reshape_tensor(permute(z, (1, 0, 2)), [*windows, outputs])
    return z if node.input(bias) is None else tf.nn.bias_add(z, node.input(bias))
