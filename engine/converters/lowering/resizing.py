"""Resize and Upsample.

The stock handler covers ten combinations of attributes and fails on the others. Every Resize of
ONNX is linear in its input, and along one axis at a time: ours reads the matrix of each axis off
ONNX Runtime, which differs from ONNX's reference in lengths and ties. Where TensorFlow's own resize
has that matrix it is used, since TFLite has a kernel for it; else rows and columns are multiplied
by the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.converters.lowering.layout import constant, is_picture, to_nchw, to_nhwc
from engine.converters.lowering.node import Lowering, Node

_SPATIAL = (2, 3)
_KINDS = {"nearest": "nearest", "linear": "bilinear"}


def resize(node: Node) -> list[Any] | None:
    """Lower a change of rows and columns by known factors or to known sizes."""
    import tensorflow as tf

    x = node.inputs[0]
    if not is_picture(x):
        return None
    if node.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return None
    axes = [axis % 4 for axis in node.attributes.get("axes", range(4))]
    scales = _of_all_axes(_scales(node), axes, [1.0] * 4)
    sizes = _of_all_axes(constant(node.input(3)), axes, x.shape.as_list())
    if scales is None and sizes is None:
        return None
    if node.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        return None
    matrices = []
    for axis, size in enumerate(x.shape.as_list()):
        scale = None if scales is None else float(scales[axis])
        wanted = None if sizes is None else int(sizes[axis])
        matrices.append(_matrix(node, size, scale, wanted))
    if any(not _is_identity(matrices[axis]) for axis in (0, 1)):
        return None
    rows, columns = matrices[2:]
    y = to_nhwc(x)
    for corners, half in ((False, False), (False, True), (True, False)):
        kind = _KINDS.get(node.attributes.get("mode", "nearest"))
        if kind and all(_of_tensorflow(m, kind, corners, half) for m in (rows, columns)):
            # The public tf.image.resize knows only half-pixel centres.
            kernel = getattr(tf.raw_ops, f"Resize{_OPERATORS[kind]}")
            return [
                to_nchw(
                    kernel(
                        images=y,
                        size=[len(rows), len(columns)],
                        align_corners=corners,
                        half_pixel_centers=half,
                    )
                )
            ]
    return [to_nchw(_multiplied(y, rows, columns))]


def _of_all_axes(given: Any, axes: list[int], others: list[Any]) -> list[Any] | None:
    if given is None:
        return None
    values = list(others)
    for axis, value in zip(axes, given, strict=True):
        values[axis] = value
    return values


_OPERATORS = {"nearest": "NearestNeighbor", "bilinear": "Bilinear"}


def _scales(node: Node) -> Sequence[float] | None:
    if node.kind == "Upsample" or node.since < 11:
        given = node.attributes.get("scales")
        value = constant(node.input(1)) if given is None else np.asarray(given)
    else:
        value = constant(node.input(2))
    return None if value is None or not value.size else list(value)


def _matrix(node: Node, size: int, scale: float | None, wanted: int | None) -> np.ndarray:
    """What a resize along one axis multiplies with, shape (new size, size), float32."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    if scale == 1 or wanted == size:
        return np.eye(size, dtype=np.float32)
    names = [
        "mode",
        "coordinate_transformation_mode",
        "nearest_mode",
        "cubic_coeff_a",
        "exclude_outside",
        "antialias",
    ]
    attributes = {name: node.attributes[name] for name in names if name in node.attributes}
    # Channels are the units: some kernels of ONNX Runtime are of four dimensions alone.
    if scale is not None:
        given = np.asarray([1, 1, scale, 1], np.float32)
    else:
        assert wanted is not None, "scales or sizes are given"
        given = np.asarray([1, size, wanted, 1], np.int64)
    newer = node.kind == "Resize" and node.since >= 11
    place = 1 if not newer else 2 if scale is not None else 3
    graph = helper.make_graph(
        [helper.make_node(node.kind, ["x", *[""] * (place - 1), "given"], ["y"], **attributes)],
        "axis",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, size, size, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(given, "given")],
    )
    # The scales of Upsample are an input from operator set 9 on.
    opset = helper.make_opsetid("", max(node.since, 9))
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    units = np.eye(size, dtype=np.float32)[None, :, :, None]
    (answer,) = session.run(["y"], {"x": units})
    return np.asarray(answer)[0, :, :, 0].T


def _is_identity(matrix: np.ndarray) -> bool:
    return matrix.shape[0] == matrix.shape[1] and bool((matrix == np.eye(len(matrix))).all())


def _of_tensorflow(matrix: np.ndarray, kind: str, corners: bool, half: bool) -> bool:
    """Whether TensorFlow's resize of one axis has the same matrix."""
    import tensorflow as tf

    new, old = matrix.shape
    kernel = getattr(tf.raw_ops, f"Resize{_OPERATORS[kind]}")
    with tf.init_scope():
        picture = np.eye(old, dtype=np.float32)[None, :, None, :]
        found = kernel(
            images=picture, size=[new, 1], align_corners=corners, half_pixel_centers=half
        )
    return bool(np.allclose(np.asarray(found)[0, :, 0, :], matrix, atol=1e-6))


def _multiplied(y: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
    import tensorflow as tf

    batch, height, width, channels = y.shape.as_list()
    y = tf.matmul(rows, tf.reshape(y, [batch, height, width * channels]))
    y = tf.reshape(y, [batch * len(rows), width, channels])
    y = tf.matmul(np.broadcast_to(columns, (batch * len(rows), *columns.shape)), y)
    return tf.reshape(y, [batch, len(rows), len(columns), channels])


LOWERINGS: dict[str, Lowering] = {"Resize": resize, "Upsample": resize}
