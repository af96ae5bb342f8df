"""Conv.

The stock handler turns to NHWC and back around every convolution as ours does, but splits a grouped
convolution into one a group, pads in NCHW (which keeps the turns from cancelling), and computes
the weights' turn in the graph. Ours pads in NHWC, uses TensorFlow's SAME only where it is the same
arithmetic, makes one operator of every convolution, and stores turned weights.
"""

from __future__ import annotations

from typing import Any

from engine.converters.lowering.layout import (
    constant,
    is_picture,
    is_same,
    padded,
    pads_of,
    reach,
    to_nchw,
    to_nhwc,
)


def conv(node: Any, tensors: dict[str, Any]) -> Any:
    """Lower a two-dimensional convolution with constant weights."""
    import tensorflow as tf

    x, kernel = tensors[node.inputs[0]], constant(tensors[node.inputs[1]])
    if kernel is None or kernel.ndim != 4 or not is_picture(x):
        return None
    _, channels, *sizes = x.shape.as_list()
    outputs, group_channels, *window = kernel.shape
    strides = list(node.attrs.get("strides", [1, 1]))
    dilations = list(node.attrs.get("dilations", [1, 1]))
    spans = [reach(k, d) for k, d in zip(window, dilations, strict=True)]
    pads = pads_of(node.attrs, sizes, window)
    if min(map(min, pads)) < 0:
        return None
    y = to_nhwc(x)
    if is_same(pads, sizes, spans, strides):
        mode = "SAME"
    else:
        y, mode = padded(y, pads), "VALID"
    if group_channels == 1 and channels > 1:
        if strides[0] != strides[1] or (strides != [1, 1] and dilations != [1, 1]):
            return None
        depth = kernel.reshape(channels, outputs // channels, *window).transpose(2, 3, 0, 1)
        y = tf.nn.depthwise_conv2d(y, depth, [1, *strides, 1], mode, dilations=dilations)
    else:
        turned = kernel.transpose(2, 3, 1, 0)
        y = tf.nn.conv2d(y, turned, strides, mode, dilations=dilations)
    if len(node.inputs) == 3:
        y = tf.nn.bias_add(y, tensors[node.inputs[2]])
    return to_nchw(y)


LOWERINGS = {"Conv": conv}
