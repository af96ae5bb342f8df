"""Coral Edge TPU, by the rules of its documentation, or by its compiler where that is on the path.

Source: "TensorFlow models on the Edge TPU", https://coral.ai/docs/edgetpu/models-intro/, sections
"Model requirements", "Supported operations" and "Compiling".
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from engine.portability.edge_tpu_compiler import PROGRAM, ask_compiler
from engine.portability.records import Answer, LeftOperator, Question, Target, first_reason
from engine.tflite.graph import Graph, Operator

_OPERATORS = frozenset(
    {
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "EXPAND_DIMS",
        "FULLY_CONNECTED",
        "L2_NORMALIZATION",
        "LOGISTIC",
        "LSTM",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MEAN",
        "MINIMUM",
        "MUL",
        "PACK",
        "PAD",
        "PRELU",
        "QUANTIZE",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "RSQRT",
        "SLICE",
        "SOFTMAX",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SQUARED_DIFFERENCE",
        "SQUEEZE",
        "STRIDED_SLICE",
        "SUB",
        "SUM",
        "TANH",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    }
)
_NO_ACTIVATION = frozenset({"AVERAGE_POOL_2D", "CONCATENATION", "MAX_POOL_2D"})
_DILATED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})
_EIGHT_BITS = frozenset({"int8", "uint8"})
_EDGES = frozenset({"QUANTIZE", "DEQUANTIZE"})
_INNER_DIMENSIONS = 3
_SOFTMAX_VALUES = 16_000
_BEHIND = "Behind an operator that the Edge TPU does not take: the graph is cut once"


def ask_rules(question: Question) -> Answer:
    """Find the operators that the documentation does not let onto the Edge TPU."""
    graph = Graph(question.file.read_bytes())
    left, cut = [], False
    for op in graph.operators:
        reason = reason_against(graph, op)
        # Converting between float and integers at the edges of a file does not cut it.
        if reason and op.opcode not in _EDGES:
            cut = True
        if reason or cut:
            left.append(LeftOperator(op.opcode, op.name, reason or _BEHIND))
    nothing = len(left) == len(graph.operators)
    edges = {op.opcode for op in left} <= _EDGES
    todo = "Choose a variant with integer edges, and quantize in the app."
    return Answer(
        support="refused" if nothing else "part" if left else "whole",
        reason=first_reason(tuple(left)),
        todo="" if not left else todo if edges else "Choose an int8 variant, or remove the first.",
        left=tuple(left),
        operators=len(graph.operators),
    )


def reason_against(graph: Graph, op: Operator) -> str:
    """Say which rule keeps an operator off the Edge TPU; empty where none does."""
    if op.opcode not in _OPERATORS:
        return f"{op.opcode} is not among the supported operators"
    tensors = (*op.activations.values(), *op.outputs)
    wrong = [graph.dtype(t) for t in tensors if graph.dtype(t) not in _EIGHT_BITS]
    if wrong:
        return f"Operators compute in {wrong[0]}, not in 8 bits"
    for tensor in tensors:
        signature, shape = graph.tensors[tensor].shapeSignature, graph.shape(tensor)
        if signature is not None and min(signature, default=0) < 0:
            return "A size is left open: all have to be fixed"
        if prod(shape[:-_INNER_DIMENSIONS]) > 1:
            return "Only the three innermost dimensions may be larger than 1"
    return _limit_against(graph, op)


def _limit_against(graph: Graph, op: Operator) -> str:
    options = op.raw.builtinOptions
    if op.opcode in _NO_ACTIVATION and options is not None and op.activation_function:
        return f"{op.opcode} may have no fused activation function"
    if op.opcode in _DILATED and options.dilationHFactor != options.dilationWFactor:
        return f"{op.opcode} must be dilated alike in height and width"
    if op.opcode == "SOFTMAX":
        shape = graph.shape(op.output)
        if prod(shape) != max(shape, default=1) or prod(shape) > _SOFTMAX_VALUES:
            return f"SOFTMAX takes one row of at most {_SOFTMAX_VALUES:,} values"
    return ""


_RULES = Target(
    name="edge-tpu",
    title="Coral Edge TPU",
    by="the rules of its documentation",
    how="rule",
    ask=ask_rules,
    variants=("int8", "uint8", "int8_per_tensor", "uint8_per_tensor"),
)
_COMPILER = replace(
    _RULES, by="Edge TPU Compiler", how="estimated", ask=ask_compiler, program=PROGRAM
)
TARGETS = (replace(_RULES, instead=_COMPILER),)
