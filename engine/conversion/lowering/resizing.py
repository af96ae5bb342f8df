"""Resize and Upsample.

The stock handler covers ten combinations of attributes and fails on the others. Every Resize of
ONNX is linear in its input, and along one axis at a time: ours reads the matrix of each axis off
ONNX Runtime, which differs from ONNX's reference in lengths and ties. Where TensorFlow's own resize
has that matrix it is used, since TFLite has a kernel for it; a matrix that only picks is a gather;
else the axis is multiplied by its matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.conversion.lowering.layout import (
    NCHW,
    constant,
    is_static,
    permute,
    reshape_tensor,
    to_nhwc,
    view,
)
from engine.conversion.lowering.node import Lowering, Node
from engine.conversion.lowering.windows import multiply_along

_KINDS = {"nearest": "nearest", "linear": "bilinear"}
_OPERATORS = {"nearest": "NearestNeighbor", "bilinear": "Bilinear"}
_ATTRIBUTES = [
    "mode",
    "coordinate_transformation_mode",
    "nearest_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "antialias",
    "keep_aspect_ratio_policy",
]


@dataclass(frozen=True, slots=True)
class _Axis:
    """What a Resize asks of one axis.

    Attributes:
        size: Its length.
        scale: Its factor; None where lengths are given.
        wanted: Its new length; None where factors are given.
        region: The part that ``tf_crop_and_resize`` takes, in lengths of the axis.
    """

    size: int
    scale: float | None = None
    wanted: int | None = None
    region: tuple[float, float] = (0.0, 1.0)

    @property
    def target(self) -> float:
        """The factor, or the new length."""
        value = self.wanted if self.scale is None else self.scale
        assert value is not None, "scales or sizes are given"
        return value

    @property
    def ratio(self) -> np.float32:
        """The factor that a new length asks for."""
        return np.float32(self.target) / np.float32(self.size)


def resize(node: Node) -> list[Any] | None:
    """Lower a resize by known factors or to known sizes."""
    x = node.inputs[0]
    axes = _axes(node) if is_static(x) else None
    if axes is None:
        return None
    crops = _crops(node)
    beside = _axis_beside(node, list(axes.values()))
    matrices = {
        dim: _matrix(node, axis, beside)
        for dim, axis in axes.items()
        if crops or not (axis.scale == 1 or axis.wanted == axis.size) or beside.size > 1
    }
    if all(len(matrix) == x.shape[dim] for dim, matrix in matrices.items()):
        return [x]  # ONNX Runtime copies where no length changes.
    spatial = x.shape.rank == len(NCHW) and not matrices.keys() & {0, 1}
    source, order = (to_nhwc(x), NCHW) if spatial else view(x)
    kind = _KINDS.get(node.attributes.get("mode", "nearest")) if x.dtype.is_floating else None
    there = {order[dim]: matrix for dim, matrix in matrices.items()}
    outside = {dim: np.isnan(matrix[:, 0]) for dim, matrix in there.items()}
    y = _resize_axes(source, {dim: np.nan_to_num(matrix) for dim, matrix in there.items()}, kind)
    value = node.attributes.get("extrapolation_value", 0.0)
    if value and any(map(np.any, outside.values())):
        y = y + _margin(y, outside, value)
    return [permute(y, order)]


def _crops(node: Node) -> bool:
    """Tell whether a Resize reads the part of each axis that it takes; others may name any."""
    return bool(node.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize")


def _axes(node: Node) -> dict[int, _Axis] | None:
    """List the axes that a Resize names; None where factors and sizes are not known."""
    x = node.inputs[0]
    rank = x.shape.rank
    axes = [axis % rank for axis in node.attributes.get("axes") or range(rank)]
    if node.kind == "Upsample" or node.since < 11:
        scales = node.attributes.get("scales", constant(node.input(1)))
        sizes = region = None
    else:
        region, scales, sizes = (constant(node.input(position)) for position in (1, 2, 3))
    if region is None or not _crops(node):
        region = np.repeat([0.0, 1.0], len(axes))
    parts = list(zip(region[: len(axes)].tolist(), region[len(axes) :].tolist(), strict=True))
    lengths = [x.shape[axis] for axis in axes]
    if scales is not None and len(scales):
        cut = zip(axes, lengths, scales, parts, strict=True)
        return {axis: _Axis(size, float(scale), None, part) for axis, size, scale, part in cut}
    if sizes is not None:
        cut = zip(axes, lengths, sizes, parts, strict=True)
        return {axis: _Axis(size, None, int(wanted), part) for axis, size, wanted, part in cut}
    return None


def _axis_beside(node: Node, axes: list[_Axis]) -> _Axis:
    """Choose a second axis to be resized beside one.

    ONNX Runtime copies a tensor whose lengths all stay, so one that does not stay is beside it;
    where the aspect ratio is kept, it is the axis that decides on the factor.
    """
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch" or axes[0].wanted is None:
        return _Axis(1, *((2.0, None) if axes[0].wanted is None else (None, 2)))
    decides = min if policy == "not_larger" else max
    return decides(axes, key=lambda axis: axis.ratio)


def _matrix(node: Node, axis: _Axis, beside: _Axis) -> np.ndarray:
    """Build the matrix that a resize along one axis multiplies with.

    Returns:
        Shape (new size, size), float32; rows of NaN where the extrapolation value is put.
    """
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    attributes = {name: node.attributes[name] for name in _ATTRIBUTES if name in node.attributes}
    # Channels are the units: some kernels of ONNX Runtime are of four dimensions alone.
    regions = [(0.0, 1.0), (0.0, 1.0), axis.region, (0.0, 1.0)]
    given = [1, 1 if axis.wanted is None else axis.size, axis.target, beside.target]
    if node.kind == "Resize" and node.since >= 18:
        attributes["axes"] = [2, 3]
        regions, given = regions[2:], given[2:]
    if _crops(node):
        attributes["extrapolation_value"] = np.nan
    amounts = np.asarray(given, np.float32 if axis.wanted is None else np.int64)
    region = np.asarray(regions, np.float32).T.reshape(-1)
    if node.kind == "Upsample" or node.since < 11:
        names = ["x", "amounts"]
    else:
        names = ["x", "region", *([] if axis.wanted is None else [""]), "amounts"]
    units = np.repeat(np.eye(axis.size, dtype=np.float32)[None, :, :, None], beside.size, 3)
    graph = helper.make_graph(
        [helper.make_node(node.kind, names, ["y"], **attributes)],
        "axis",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, units.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(amounts, "amounts"), numpy_helper.from_array(region, "region")],
    )
    # Scales of Upsample are an input from operator set 9 on, those of Resize optional from 13 on.
    opset = helper.make_opsetid("", {7: 9, 11: 13}.get(node.since, node.since))
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (answer,) = session.run(["y"], {"x": units})
    return np.asarray(answer)[0, :, :, 0].T


def _resize_axes(x: Any, matrices: dict[int, np.ndarray], kind: str | None) -> Any:
    """Resize axes of a tensor; neighbours together, as rows and columns of pictures."""
    import tensorflow as tf

    places = sorted(matrices)
    while places:
        first = places.pop(0)
        rows, columns = matrices[first], np.eye(1, dtype=np.float32)
        pair = bool(places) and places[0] == first + 1
        if pair:
            columns = matrices[places.pop(0)]
        sizes = x.shape.as_list()
        before, behind = sizes[:first], sizes[first + 1 + pair :]
        pictures = [math.prod(before), rows.shape[1], columns.shape[1], math.prod(behind)]
        new = [len(rows), len(columns)]
        corners_half = _flags(kind, rows, columns)
        if corners_half is not None:
            # The public tf.image.resize knows only half-pixel centres.
            kernel = getattr(tf.raw_ops, f"Resize{_OPERATORS[str(kind)]}")
            y = kernel(
                images=reshape_tensor(x, pictures),
                size=new,
                align_corners=corners_half[0],
                half_pixel_centers=corners_half[1],
            )
        else:
            y = multiply_along(multiply_along(reshape_tensor(x, pictures), rows, 1), columns, 2)
        x = reshape_tensor(y, [*before, *new[: 1 + pair], *behind])
    return x


def _flags(kind: str | None, rows: np.ndarray, columns: np.ndarray) -> tuple[bool, bool] | None:
    """Find flags (aligned corners, half-pixel centres) by which TensorFlow has both matrices."""
    for corners, half in ((False, False), (False, True), (True, False)):
        if kind and all(_of_tensorflow(m, kind, corners, half) for m in (rows, columns)):
            return corners, half
    return None


def _of_tensorflow(matrix: np.ndarray, kind: str, corners: bool, half: bool) -> bool:
    """Tell whether TensorFlow's resize of one axis has the same matrix."""
    import tensorflow as tf

    new, old = matrix.shape
    kernel = getattr(tf.raw_ops, f"Resize{_OPERATORS[kind]}")
    with tf.init_scope():
        picture = np.eye(old, dtype=np.float32)[None, :, None, :]
        resized = kernel(
            images=picture, size=[new, 1], align_corners=corners, half_pixel_centers=half
        )
    return bool(np.allclose(np.asarray(resized)[0, :, 0, :], matrix, atol=1e-6))


def _margin(y: Any, outside: dict[int, np.ndarray], value: float) -> np.ndarray:
    """Mark where any axis lies outside, of size 1 along the axes that are not resized."""
    inside = np.ones([1] * y.shape.rank, bool)
    for dim, flags in outside.items():
        shape = [len(flags) if axis == dim else 1 for axis in range(y.shape.rank)]
        inside = inside & ~flags.reshape(shape)
    return np.where(inside, 0, value).astype(np.float32)


LOWERINGS: dict[str, Lowering] = {"Resize": resize, "Upsample": resize}
