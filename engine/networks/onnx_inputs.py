"""The picture input of an ONNX model: its layout, channels, size and type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.core.errors import OperatorError
from engine.core.types import Layout
from engine.images.preprocess import CHANNELS

if TYPE_CHECKING:
    import onnx

_CHANNEL_AXES: dict[Layout, int] = {"NCHW": 1, "NHWC": 3}
_TO_CHANNELS_FIRST, _TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
_PLACE_BY_PLACE = {"Add", "Cast", "Clip", "Div", "Identity", "Mul", "Pow", "Sub"}
_CHANNELS_FIRST = {
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "InstanceNormalization",
    "MaxPool",
    "SpaceToDepth",
}
"""Operators that take the second axis for the channels."""


_MOVES = {
    "Flatten",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
"""Operators that move pixels without computing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInput:
    """What a model's picture input is.

    Attributes:
        name: Of the input.
        layout: Order of its dimensions.
        channels: 1, 3 or 4.
        batch: Pictures that it takes at once; None where the file leaves it open.
        height: Rows in pixels; None where the file leaves them open.
        width: Columns in pixels; None where the file leaves them open.
        takes_pixels: Whether it is uint8: pixels as they are, which the graph prepares itself.
        note: A sentence where the dimensions can be read in two ways; else empty.
    """

    name: str
    layout: Layout
    channels: int
    batch: int | None
    height: int | None
    width: int | None
    takes_pixels: bool
    note: str = ""


def picture_input_of(model: onnx.ModelProto, value: onnx.ValueInfoProto) -> PictureInput | None:
    """Read an input as a picture: N x C x H x W or N x H x W x C, with 1, 3 or 4 channels.

    Where the second and the last dimension can both be the channels, the operators that read the
    input decide, then a dimension of 3; a file that says neither is N x C x H x W, ONNX's own
    order.

    Args:
        model: The model.
        value: One of its inputs.

    Returns:
        The input; None where it is no picture of float32 or uint8.
    """
    import onnx

    dims, dtype = dims_of(value), value.type.tensor_type.elem_type
    if len(dims) != 4 or dtype not in {onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8}:
        return None
    if None in dims:
        dims = _with_channels(model, value.name, dims)
    counts = {layout: dims[axis] for layout, axis in _CHANNEL_AXES.items()}
    fitting = {layout: n for layout, n in counts.items() if n in CHANNELS.values()}
    if not fitting:
        return None
    with_three = [layout for layout, channels in fitting.items() if channels == 3]
    layout: Layout = next(iter(fitting))
    if len(fitting) > 1:
        layout = _layout_read(model, value.name) or (with_three or list(fitting))[0]
    height, width = (dims[2], dims[3]) if layout == "NCHW" else (dims[1], dims[2])
    words = {"NCHW": "pictures x channels x rows x columns", "NHWC": "... x channels at the end"}
    return PictureInput(
        name=value.name,
        layout=layout,
        channels=fitting[layout] or 0,
        batch=dims[0],
        height=height,
        width=width,
        takes_pixels=dtype == onnx.TensorProto.UINT8,
        note=""
        if len(fitting) == 1
        else f"The input {describe_dims(dims)} is read as {layout} ({words[layout]}), though it "
        "fits the other order as well.",
    )


def with_float_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give a model of uint8 pixels an input of float32, with the same answers for whole pixels.

    Operators that only move pixels keep them in float32, up to the Cast that ends each path.

    Args:
        model: A model with fixed shapes.

    Returns:
        A copy; the model itself where its input is no uint8.

    Raises:
        OperatorError: It computes with pixels before they become floating-point numbers.
    """
    import onnx

    weights = {tensor.name for tensor in model.graph.initializer}
    value = next(value for value in model.graph.input if value.name not in weights)
    if value.type.tensor_type.elem_type != onnx.TensorProto.UINT8:
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.value_info[:]
    next(
        value for value in changed.graph.input if value.name not in weights
    ).type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    pixels = {value.name}
    for node in changed.graph.node:
        if not pixels & set(node.input):
            continue
        target = [a.i for a in node.attribute if a.name == "to"] if node.op_type == "Cast" else []
        if target == [onnx.TensorProto.FLOAT]:
            continue
        if node.op_type not in _MOVES:
            raise OperatorError(
                "ONNX to SavedModel",
                got=f"the operator {node.op_type} on uint8 pixels",
                expected="a Cast of the pixels to float32 before anything is computed",
                todo="Export the model so that it casts its picture to float32 first.",
            )
        pixels.update(node.output)
    return onnx.shape_inference.infer_shapes(changed)


def dims_of(value: onnx.ValueInfoProto) -> list[int | None]:
    """Dimensions of a value; None for those that the file leaves open."""
    return [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in value.type.tensor_type.shape.dim
    ]


def describe_dims(dims: list[int | None]) -> str:
    """Write dimensions like ``1 x 3 x ? x ?``."""
    return " x ".join("?" if size is None else str(size) for size in dims) or "unknown shape"


def _with_channels(model: onnx.ModelProto, name: str, dims: list[int | None]) -> list[int | None]:
    """Fill in the channels where a file leaves them open, as Optimum does, and a convolution says.

    Args:
        model: The model.
        name: Of its input.
        dims: Of that input.
    """
    axis = _CHANNEL_AXES[_layout_read(model, name) or "NCHW"]
    node = _first_layer(model, name)
    if node is not None and node.op_type == "Transpose":
        node = _first_layer(model, node.output[0])
    if dims[axis] is not None or node is None or node.op_type != "Conv":
        return dims
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    _, depth, *_ = shapes.get(node.input[1], [0, 0])
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return [*dims[:axis], depth * groups, *dims[axis + 1 :]]


def _layout_read(model: onnx.ModelProto, name: str) -> Layout | None:
    """Find the layout that the first operators take a value to have; None where none says it."""
    node = _first_layer(model, name)
    if node is None:
        return None
    if node.op_type in _CHANNELS_FIRST:
        return "NCHW"
    turn = next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
    if node.op_type == "Transpose" and turn == _TO_CHANNELS_FIRST:
        return "NHWC"
    return "NCHW" if node.op_type == "Transpose" and turn == _TO_CHANNELS_LAST else None


def _first_layer(model: onnx.ModelProto, name: str) -> onnx.NodeProto | None:
    """Find the first operator behind a value that does not work place by place."""
    nodes: list[onnx.NodeProto] = list(model.graph.node)
    while readers := [n for n in nodes if name in n.input and n.op_type != "Shape"]:
        if readers[0].op_type not in _PLACE_BY_PLACE:
            return readers[0]
        name = readers[0].output[0]
    return None
