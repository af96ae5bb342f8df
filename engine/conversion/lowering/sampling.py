"""GridSample, AffineGrid and DeformConv: pixels read at places that a network computes.

onnx-tf has none of them, and TFLite no kernel. All pixels of a picture are laid along one axis,
from which a GATHER takes the neighbours of each place, two an axis where it is linear; these are
multiplied by their weights and added. Places are cut to whole pixels while they are floats that no
quantization has touched, and are whole numbers from there on. The zeros outside a picture are a
ring of pixels around it. Of a constant grid only the GATHER and the sums are left.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.conversion.lowering.convolution import multiply_patches
from engine.conversion.lowering.layout import constant, integers, inverse, is_static, permute
from engine.conversion.lowering.node import Lowering, Node
from engine.conversion.lowering.windows import pads_of

Taps = list[tuple[Any, Any]]
"""Neighbours of each place along one axis: their whole numbers, and their weights."""
_CUBIC = -0.75
_NAMES_SINCE_20 = {"bilinear": "linear", "bicubic": "cubic"}


def grid_sample(node: Node) -> list[Any] | None:
    """Lower a reading of pictures or volumes at the places of a grid."""
    import tensorflow as tf

    x, grid = node.inputs
    if not is_static(x) or not is_static(grid):
        return None
    order = (0, *range(2, x.shape.rank), 1)
    y = permute(x, order)
    sizes = y.shape.as_list()[1:-1]
    mode = str(node.attributes.get("mode", "linear"))
    padding = str(node.attributes.get("padding_mode", "zeros"))
    corners = bool(node.attributes.get("align_corners", 0))

    def compute(grid: Any) -> list[Taps]:
        # The grid names columns before rows.
        return [
            _neighbours(
                _pixels_of(grid[..., len(sizes) - 1 - axis], size, corners),
                size,
                _NAMES_SINCE_20.get(mode, mode),
                padding,
                corners,
            )
            for axis, size in enumerate(sizes)
        ]

    value = constant(grid)
    if value is None:
        taps = compute(grid)
    else:
        with tf.init_scope():
            taps = tf.nest.map_structure(np.asarray, compute(tf.constant(value)))
    return [permute(read_at(y, taps, zeros=padding == "zeros"), inverse(order))]


def _pixels_of(grid: Any, size: int, corners: bool) -> Any:
    """Scale numbers that are -1 and 1 at the edges to pixels, counted from the first."""
    return (grid + 1) / 2 * (size - 1) if corners else ((grid + 1) * size - 1) / 2


def _neighbours(pixels: Any, size: int, mode: str, padding: str, corners: bool) -> Taps:
    import tensorflow as tf

    if mode == "nearest":
        taps: Taps = [(tf.cast(tf.round(pixels), tf.int32), 1.0)]
    else:
        # Of a shape of its own: int16x8 makes a scalar 1 that others read an integer.
        step = np.ones(1, np.float32)
        first, rest = tf.cast(tf.floor(pixels), tf.int32), tf.math.floormod(pixels, step)
        if mode == "linear":
            taps = [(first, 1 - rest), (first + 1, rest)]
        else:
            weights = (_far(rest + 1), _near(rest), _near(1 - rest), _far(2 - rest))
            taps = [(first + step, weight) for step, weight in enumerate(weights, -1)]
    return [(_inside(number, size, padding, corners), weight) for number, weight in taps]


def _near(distance: Any) -> Any:
    """Compute Keys' cubic convolution up to a distance of 1."""
    return ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance * distance + 1


def _far(distance: Any) -> Any:
    """Compute Keys' cubic convolution from a distance of 1 to 2."""
    return ((distance - 5) * distance + 8) * distance * _CUBIC - 4 * _CUBIC


def _inside(number: Any, size: int, padding: str, corners: bool) -> Any:
    """Bring numbers into an axis, which has a pixel more on both sides for ``zeros``."""
    import tensorflow as tf

    if padding == "zeros":
        return tf.clip_by_value(number, -1, size) + 1
    if padding == "border":
        return tf.clip_by_value(number, 0, size - 1)
    # Reflected about the centres of the last pixels, or about their outer edges.
    last = 2 * (size - 1) if corners else 2 * size - 1
    turned = tf.math.floormod(number, max(last if corners else last + 1, 1))
    return tf.minimum(turned, last - turned)


def read_at(y: Any, taps: list[Taps], *, zeros: bool) -> Any:
    """Read pixels at places between them.

    Args:
        y: Shape (N, *sizes, C), static.
        taps: For each of the sizes, numbers and weights of shape (N, *places).
        zeros: Whether numbers count from a ring of zeros around the picture.

    Returns:
        Shape (N, *places, C).
    """
    import tensorflow as tf

    if zeros:
        y = tf.pad(y, [[0, 0], *([1, 1] for _ in taps), [0, 0]])
    batch, *sizes, channels = y.shape.as_list()
    pixels = tf.reshape(y, [-1, channels])
    rank = len(taps[0][0][0].shape)
    start = np.arange(batch, dtype=np.int32).reshape(-1, *[1] * (rank - 1)) * math.prod(sizes)
    return _add_taps(pixels, taps, sizes, start)


def _add_taps(pixels: Any, taps: list[Taps], sizes: list[int], start: Any) -> Any:
    import tensorflow as tf

    if not taps:
        return tf.gather(pixels, start)
    total = None
    for number, weight in taps[0]:
        part = _add_taps(pixels, taps[1:], sizes[1:], start + number * math.prod(sizes[1:]))
        if len(taps[0]) > 1:
            part = part * weight[..., None]
        total = part if total is None else total + part
    return total


def affine_grid(node: Node) -> list[Any] | None:
    """Lower the grid of an affine map, over pictures or volumes of a known size."""
    import tensorflow as tf

    theta, sizes = node.inputs[0], integers(node.inputs[1])
    if sizes is None:
        return None
    axes = []
    for size in sizes[2:]:
        if node.attributes.get("align_corners", 0):
            axes.append(np.linspace(-1, 1, size))
        else:
            axes.append((2 * np.arange(size) + 1) / size - 1)
    places = [axis.reshape(-1) for axis in np.meshgrid(*axes, indexing="ij")][::-1]
    base = np.stack([*places, np.ones_like(places[0])], -1).astype(np.float32)
    grid = tf.matmul(base, theta, transpose_b=True)
    return [tf.reshape(grid, [sizes[0], *sizes[2:], len(axes)])]


def deform_conv(node: Node) -> list[Any] | None:
    """Lower a convolution each of whose taps is read at a place that the network computes."""
    import tensorflow as tf

    x, kernel, offset = node.inputs[:3]
    if not all(is_static(value) for value in (x, kernel, offset)):
        return None
    last = (0, *range(2, x.shape.rank), 1)
    y, window = permute(x, last), kernel.shape.as_list()[2:]
    # Of each pixel, for each group and tap, the way down and the way right, and the share.
    ways, mask = permute(offset, last), node.input(4)
    shares = None if mask is None else permute(mask, last)[..., None]
    groups, count = int(node.attributes.get("offset_group", 1)), math.prod(window)
    steps = len(window) * count
    parts = []
    for group, part in enumerate(tf.split(y, groups, -1)):
        moved = _move_taps(node, ways[..., group * steps : (group + 1) * steps], part, window)
        read = read_at(part, moved, zeros=True)
        if shares is not None:
            read *= shares[..., group * count : (group + 1) * count, :]
        parts.append(read)
    patches = tf.concat(parts, -1) if groups > 1 else parts[0]
    return [permute(multiply_patches(node, patches, kernel, 3), inverse(last))]


def _move_taps(node: Node, ways: Any, y: Any, window: list[int]) -> list[Taps]:
    """Move the taps of all windows, shape (N, *windows, taps) an axis."""
    axes, sizes = len(window), y.shape.as_list()[1:-1]
    strides, dilations = (
        node.attributes.get(name, [1] * axes) for name in ("strides", "dilations")
    )
    pads = pads_of(node.attributes, sizes, window)
    tap = np.indices(window).reshape(axes, -1)
    neighbours = []
    for axis, (size, windows) in enumerate(zip(sizes, ways.shape[1:-1], strict=True)):
        start = np.arange(windows) * strides[axis] - pads[axis][0]
        start = start.reshape([-1 if a == axis else 1 for a in range(axes)] + [1])
        unmoved = (start + tap[axis] * dilations[axis]).astype(np.float32)
        pixels = ways[..., axis::axes] + unmoved
        neighbours.append(_neighbours(pixels, size, "linear", "zeros", corners=False))
    return neighbours


LOWERINGS: dict[str, Lowering] = {
    "GridSample": grid_sample,
    "AffineGrid": affine_grid,
    "DeformConv": deform_conv,
}
