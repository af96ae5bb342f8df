"""The float graph of an ONNX file with QuantizeLinear and DequantizeLinear (QDQ)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.networks.onnx_contents import nodes_of
from engine.networks.onnx_tidying import graphs_of, operator_set

if TYPE_CHECKING:
    import onnx

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_DOMAINS = {"", "com.microsoft"}
_MOVING = {
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "MaxPool",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
}
"""Operators that may stand between the two: they compute nothing."""
_SIGNED = {
    "Add",
    "BatchNormalization",
    "Conv",
    "ConvTranspose",
    "Gemm",
    "InstanceNormalization",
    "MatMul",
    "Mul",
    "Sub",
}
"""Operators behind which quantizers take a Relu or Clip away where the grid begins at 0."""
_LOWEST = {2: 0, 3: -128, 4: 0, 5: -32768, 21: 0, 22: -8, 25: 0, 26: -2}
_HIGHEST = {2: 255, 3: 127, 4: 65535, 5: 32767, 21: 15, 22: 7, 25: 3, 26: 1}
"""Of integer types, by TensorProto.DataType."""
_UINT8 = 2
_SIX = 1e-3


@dataclass(frozen=True, slots=True)
class _Quantization:
    """A QDQ graph at work: its constants, and the node that makes each value."""

    constants: dict[str, onnx.TensorProto]
    makers: dict[str, onnx.NodeProto]
    version: int

    def array(self, name: str) -> np.ndarray | None:
        from onnx import numpy_helper

        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)


def holds_quantized(model: onnx.ModelProto) -> bool:
    """Tell whether a model holds QuantizeLinear or DequantizeLinear."""
    return any(_is(node, _QUANTIZE) or _is(node, _DEQUANTIZE) for node in nodes_of(model))


def take_float_graph(model: onnx.ModelProto) -> str:
    """Take scales out of a QDQ file: what is left computes in floats.

    Weights become what their integers stand for, and activations are no longer rounded. Where a
    grid begins at 0 behind a convolution, it was also the Relu that quantizers leave out; ReLU6
    where it ends at 6.
    """
    quantization = _Quantization(
        _constants(model),
        {name: node for node in nodes_of(model) for name in node.output},
        operator_set(model),
    )
    counts = {_QUANTIZE: 0, _DEQUANTIZE: 0}
    for graph in list(graphs_of(model)):
        nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            if _is(node, _QUANTIZE):
                nodes += _without_rounding(node, quantization)
            elif _is(node, _DEQUANTIZE):
                weight = _float_weight(node, quantization)
                if weight is None:
                    nodes += _as_float(node, quantization)
                else:
                    graph.initializer.append(weight)
            else:
                nodes.append(node)
                continue
            counts[str(node.op_type)] += 1
        copies = [_copy(node) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)
        del graph.value_info[:]
    for value in model.graph.output:
        if value.type.tensor_type.elem_type in _LOWEST:
            value.type.tensor_type.elem_type = 1
    _drop_unread_weights(model)
    return (
        f"The file is quantized already ({counts[_QUANTIZE]} QuantizeLinear, "
        f"{counts[_DEQUANTIZE]} DequantizeLinear): its float graph was taken, and its scales were "
        "left out."
    )


def _is(node: onnx.NodeProto, operator: str) -> bool:
    return node.op_type == operator and node.domain in _DOMAINS


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = type(node)()
    copy.CopyFrom(node)
    return copy


def _constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    constants = {t.name: t for graph in graphs_of(model) for t in graph.initializer}
    for node in nodes_of(model):
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
        elif node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    return constants


def _float_weight(node: onnx.NodeProto, graph: _Quantization) -> onnx.TensorProto | None:
    """Compute the DequantizeLinear of a constant; None where its input is none.

    ``(x - zero_point) * scale``, for the whole tensor, an axis, or blocks of an axis:
    https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html.
    """
    from onnx import numpy_helper

    values, scale = graph.array(node.input[0]), graph.array(node.input[1])
    if values is None or scale is None:
        return None
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    axis = attributes.get("axis", 1) % max(1, values.ndim)
    block = attributes.get("block_size", 0)
    zero = graph.array(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    grids = [
        _spread(part.astype(np.float32), values.shape, axis, block)
        for part in (scale, np.zeros_like(scale, np.float32) if zero is None else zero)
    ]
    with np.errstate(over="ignore", invalid="ignore"):  # checked with all other weights
        dense = (values.astype(np.float32) - grids[1]) * grids[0]
    return numpy_helper.from_array(dense.astype(np.float32), node.output[0])


def _spread(grid: np.ndarray, shape: tuple[int, ...], axis: int, block: int) -> np.ndarray:
    """Bring scales to the dimensions of what they scale."""
    if block:
        return np.repeat(grid, block, axis).take(range(shape[axis]), axis)
    if grid.size == 1:
        return grid.reshape(())
    return grid.reshape([-1 if number == axis else 1 for number in range(len(shape))])


def _without_rounding(node: onnx.NodeProto, graph: _Quantization) -> list[onnx.NodeProto]:
    """Write QuantizeLinear without its rounding."""
    from onnx import helper

    value, result = node.input[0], node.output[0]
    maker = graph.makers.get(value)
    bounds = _bounds(node, graph) if maker is not None and maker.op_type in _SIGNED else None
    if bounds is None or bounds[0] != 0:
        return [helper.make_node("Identity", [value], [result], node.name)]
    relu = helper.make_node("Relu", [value], [result], node.name)
    if abs(bounds[1] - 6) > _SIX:
        return [relu]
    if graph.version < 11:  # Clip took its bounds as attributes
        return [helper.make_node("Clip", [value], [result], node.name, min=0.0, max=6.0)]
    low, high = f"{result}/least", f"{result}/most"
    return [
        helper.make_node("Constant", [], [low], value=_scalar(0)),
        helper.make_node("Constant", [], [high], value=_scalar(6)),
        helper.make_node("Clip", [value, low, high], [result], node.name),
    ]


def _scalar(value: float) -> onnx.TensorProto:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(value, np.float32))


def _bounds(node: onnx.NodeProto, graph: _Quantization) -> tuple[float, float] | None:
    """Compute the least and largest number on QuantizeLinear's grid, where it has a single one."""
    from onnx import numpy_helper

    scale = graph.array(node.input[1])
    kind, zero = _UINT8, np.zeros(1)
    if len(node.input) > 2 and node.input[2]:
        tensor = graph.constants.get(node.input[2])
        if tensor is None:
            return None
        kind, zero = tensor.data_type, numpy_helper.to_array(tensor).astype(np.float64)
    else:
        kind = next((a.i for a in node.attribute if a.name == "output_dtype" and a.i), kind)
    if scale is None or scale.size != 1 or zero.size != 1 or kind not in _LOWEST:
        return None
    step, start = float(scale.reshape(())), float(zero.reshape(()))
    return (_LOWEST[kind] - start) * step, (_HIGHEST[kind] - start) * step


def _as_float(node: onnx.NodeProto, graph: _Quantization) -> list[onnx.NodeProto]:
    """Write DequantizeLinear of what was quantized in the graph, or of other integers."""
    from onnx import helper

    value, result = node.input[0], node.output[0]
    maker = graph.makers.get(value)
    while maker is not None and maker.op_type in _MOVING:
        maker = graph.makers.get(maker.input[0])
    if maker is not None and _is(maker, _QUANTIZE):
        return [helper.make_node("Identity", [value], [result], node.name)]
    scale = graph.array(node.input[1])
    if scale is None or scale.size != 1:
        return [node]  # it stays what ONNX says it is
    real, moved = f"{result}/real", f"{result}/moved"
    nodes = [helper.make_node("Cast", [value], [real], to=1)]
    if len(node.input) > 2 and node.input[2]:
        zero = f"{result}/zero"
        nodes.append(helper.make_node("Cast", [node.input[2]], [zero], to=1))
        nodes.append(helper.make_node("Sub", [real, zero], [moved]))
        real = moved
    return [*nodes, helper.make_node("Mul", [real, node.input[1]], [result], node.name)]


def _drop_unread_weights(model: onnx.ModelProto) -> None:
    read = {name for node in nodes_of(model) for name in node.input}
    read |= {value.name for graph in graphs_of(model) for value in graph.output}
    for graph in graphs_of(model):
        for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
            graph.initializer.remove(tensor)
