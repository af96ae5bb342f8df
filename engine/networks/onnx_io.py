"""Inputs and outputs of ONNX files: which takes the picture, which is the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import ModelError, OperatorError, OptionError
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

    @property
    def shape(self) -> tuple[int | None, ...]:
        """All dimensions in the order of ``layout``; None where the file leaves one open."""
        sizes = self.height, self.width
        if self.layout == "NCHW":
            return (self.batch, self.channels, *sizes)
        return (self.batch, *sizes, self.channels)


def picture_input_of(model: onnx.ModelProto, value: onnx.ValueInfoProto) -> PictureInput | None:
    """Read an input as a picture: N x C x H x W or N x H x W x C, with 1, 3 or 4 channels.

    Where the second and the last dimension can both be the channels, the operators that read the
    input decide, then a dimension of 3; a file that says neither is N x C x H x W, ONNX's own
    order.

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
    """Read the dimensions of a value; None for those that the file leaves open."""
    return [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in value.type.tensor_type.shape.dim
    ]


def describe_dims(dims: list[int | None]) -> str:
    """Write dimensions like ``1 x 3 x ? x ?``."""
    return " x ".join("?" if size is None else str(size) for size in dims) or "unknown shape"


def _with_channels(model: onnx.ModelProto, name: str, dims: list[int | None]) -> list[int | None]:
    """Fill in channels that a file leaves open, as Optimum does, by its first convolution."""
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


_SHAPE_ONLY = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
_INDICES = {"ArgMax", "ArgMin", "NonMaxSuppression", "NonZero", "TopK"}


def choose_output(
    model: onnx.ModelProto, values: Mapping[str, object], batch: int, named: str | None, file: str
) -> str:
    """Choose the only output that can hold logits, or the one that the person names.

    Logits are floating-point numbers with at most one axis longer than 1 beside the batch, so
    feature maps, segmentation maps, class numbers and TopK's values are none.

    Args:
        model: The model.
        values: What each output of the model gave for ``batch`` pictures.
        batch: Pictures that were fed.
        named: Name of an output; None takes the only one that can be.
        file: What to call the file in messages.

    Returns:
        The name of the output.

    Raises:
        OptionError: There is no output of that name, or several can hold logits.
        ModelError: The named output, or every output, holds something else.
    """
    stage = f"Choosing the output of {file}"
    reasons = {name: _why_not(model, name, value, batch) for name, value in values.items()}
    described = {name: describe_output(name, value) for name, value in values.items()}
    if named is not None and named not in values:
        raise OptionError(
            stage,
            got=repr(named),
            expected=f"one of its outputs: {'; '.join(described.values())}",
            todo="Choose one of these names.",
        )
    asked = list(values) if named is None else [named]
    possible = [name for name in asked if reasons[name] is None]
    if not possible:
        raise ModelError(
            stage,
            got="; ".join(f"{described[name]}: {reasons[name]}" for name in asked),
            expected="one output of floating-point logits, pictures x classes",
            todo="Export the classifier up to its logits, without the operators behind them."
            if len(values) == len(asked)
            else "Name another output, or export the classifier up to its logits.",
        )
    if len(possible) > 1:
        raise OptionError(
            stage,
            got=f"{len(possible)} that can hold logits: "
            + "; ".join(described[name] for name in possible),
            expected="one",
            todo="Name the output that holds the logits (--output NAME; in Python output=NAME).",
        )
    return possible[0]


def describe_output(name: str, value: object) -> str:
    """Give an output's name, type and shape in words, such as ``logits (float32, 1 x 6)``."""
    if not isinstance(value, np.ndarray):
        return f"{name} (no tensor)"
    return f"{name} ({value.dtype}, {' x '.join(map(str, value.shape)) or 'scalar'})"


def _why_not(model: onnx.ModelProto, name: str, value: object, batch: int) -> str | None:
    """Say why an output cannot hold logits; None where it can."""
    if not isinstance(value, np.ndarray):
        return "a sequence or map"
    operator = _producer(model, name)
    if value.dtype.kind != "f":
        origin = f", which {operator} gives" if operator in _INDICES else ""
        return f"numbers of type {value.dtype}{origin}"
    if operator == "TopK":
        return "the largest values alone, which TopK gives"
    if not value.size or value.size % batch:
        return f"no row for each of {batch} pictures"
    beside = value.shape[1:] if value.ndim and value.shape[0] == batch else value.shape
    if sum(size > 1 for size in beside) > 1:
        return "more than one row of numbers a picture"
    return None


def _producer(model: onnx.ModelProto, name: str) -> str | None:
    """Find the operator that computes an output, behind those that change its shape or type."""
    nodes = {output: node for node in model.graph.node for output in node.output}
    while (node := nodes.get(name)) is not None and node.op_type in _SHAPE_ONLY:
        name = node.input[0]
    return None if node is None else str(node.op_type)
