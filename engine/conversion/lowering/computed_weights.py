"""Conv and ConvTranspose with weights that the network computes, as CondConv's are.

TFLite's convolutions take no integer weights with a zero point, which computed ones have: some
refuse the file, and TRANSPOSE_CONV answers wrongly. Its products of matrices do: here patches and
weights are such matrices.
"""

from __future__ import annotations

from typing import Any

from engine.conversion.lowering.layout import reshaped, transposed
from engine.conversion.lowering.node import Node
from engine.conversion.lowering.windows import (
    cut_out,
    padded,
    pads_of,
    reach,
    taps_of,
    with_zeros_between,
)


def convolved_by_computed(node: Node, y: Any, kernel: Any) -> Any:
    """Convolve an NHWC tensor with a kernel in ONNX's order."""
    import tensorflow as tf

    window = kernel.shape.as_list()[2:]
    strides, dilations = (node.attributes.get(name, [1, 1]) for name in ("strides", "dilations"))
    y = padded(y, pads_of(node.attributes, y.shape.as_list()[1:3], window))
    return weighted(node, tf.stack(list(taps_of(y, window, strides, dilations)), -2), kernel, 2)


def transposed_by_computed(node: Node, y: Any, kernel: Any) -> Any:
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
    y = padded(
        y,
        [
            [span - 1 - first, first + count - length]
            for (first, count, span), length in zip(cuts, lengths, strict=True)
        ],
    )
    # A transposed convolution meets its taps from the last to the first.
    patches = tf.stack(list(taps_of(y, window, [1, 1], dilations))[::-1], -2)
    swapped = reshaped(kernel, [groups, inputs // groups, group_outputs, *window])
    swapped = transposed(swapped, (0, 2, 1, 3, 4))
    outputs = groups * group_outputs
    weights = reshaped(swapped, [outputs, inputs // groups, *window])
    return weighted(node, patches, weights, 2)


def weighted(node: Node, patches: Any, kernel: Any, bias: int) -> Any:
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
    pixels = transposed(reshaped(patches, [-1, count, groups, channels // groups]), (2, 0, 1, 3))
    weights = reshaped(kernel, [groups, outputs // groups, channels // groups, count])
    z = tf.matmul(
        reshaped(pixels, [groups, -1, count * channels // groups]),
        reshaped(transposed(weights, (0, 3, 2, 1)), [groups, -1, outputs // groups]),
    )
    z = reshaped(transposed(z, (1, 0, 2)), [*windows, outputs])
    return z if node.input(bias) is None else tf.nn.bias_add(z, node.input(bias))
