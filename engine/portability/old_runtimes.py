"""The oldest TFLite runtime that takes a file, by the versions of its operators.

The versions are facts of TensorFlow's own table, by which its converter notes a file's
``min_runtime_version``: ``compiler/mlir/lite/tools/versioning/runtime_version.cc``. Kernels for
int16 activations came with 2.3: ``op_version.cc`` beside it.
"""

from __future__ import annotations

from engine.core.formats import list_some
from engine.portability.records import Answer, LeftOperator, Question, Target
from engine.tflite.graph import Graph

# Runtime of version 1, 2, 3... of each operator; "-" is a version that no release has.
_RUNTIMES = {
    "ABS": "1.13 2.4 2.5 2.6 2.12",
    "ADD": "1.5 1.14 2.4 2.6 2.13 2.23",
    "ADD_N": "1.14",
    "ARG_MAX": "1.9 1.14 2.9",
    "ARG_MIN": "1.9 1.14 2.9",
    "AVERAGE_POOL_2D": "1.5 1.14 2.3",
    "BATCH_MATMUL": "2.3 2.3 2.4 2.5",
    "BATCH_TO_SPACE_ND": "1.6 1.14 2.3 2.12",
    "BROADCAST_ARGS": "2.6",
    "BROADCAST_TO": "- 2.5 2.5",
    "CAST": "1.5 2.7 2.8 2.9 2.12 2.15 2.17 2.21",
    "CEIL": "1.14",
    "CONCATENATION": "1.5 1.14 2.3 2.14 2.21",
    "CONV_2D": "1.5 1.14 1.14 2.3 2.4 2.9 2.11 2.15",
    "CONV_3D": "2.5",
    "COS": "1.14",
    "CUMSUM": "2.4",
    "DENSIFY": "2.2",
    "DEPTHWISE_CONV_2D": "1.5 1.12 1.14 2.2 2.3 2.3 2.11",
    "DEPTH_TO_SPACE": "2.1 2.5",
    "DEQUANTIZE": "1.13 1.14 1.15 2.2 2.7 2.18 2.21 2.22",
    "DIV": "1.6 2.3",
    "ELU": "1.14",
    "EQUAL": "1.14 1.14 2.3 2.13 2.21",
    "EXP": "1.7 2.12",
    "EXPAND_DIMS": "1.10",
    "FILL": "1.13 2.3 2.5 2.12",
    "FLOOR": "1.9",
    "FLOOR_DIV": "1.14 1.14 2.13",
    "FLOOR_MOD": "1.13 2.13",
    "FULLY_CONNECTED": ("1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3 2.11 2.15 2.17 2.18 2.21"),
    "GATHER": "1.6 1.14 1.15 2.4 2.5 2.13 2.15",
    "GATHER_ND": "1.14 2.3 2.5 2.13 2.16",
    "GELU": "2.9 2.9",
    "GREATER": "1.14 1.14",
    "GREATER_EQUAL": "1.14 1.14 2.13",
    "HARD_SWISH": "1.15",
    "IF": "1.15",
    "L2_NORMALIZATION": "1.5 1.14",
    "L2_POOL_2D": "1.5",
    "LEAKY_RELU": "1.13 2.3",
    "LESS": "1.14 1.14 2.13",
    "LESS_EQUAL": "1.14 1.14",
    "LOCAL_RESPONSE_NORMALIZATION": "1.5",
    "LOG": "1.14 2.15",
    "LOGICAL_AND": "1.11",
    "LOGICAL_NOT": "1.11",
    "LOGICAL_OR": "1.11",
    "LOGISTIC": "1.14 1.14 2.3",
    "LOG_SOFTMAX": "1.14 1.14",
    "MAXIMUM": "1.14 1.14 2.3 2.3",
    "MAX_POOL_2D": "1.5 1.14 2.3",
    "MEAN": "1.6 1.14 2.4",
    "MINIMUM": "1.14 1.14 2.3 2.3",
    "MIRROR_PAD": "1.13 2.3 2.12",
    "MUL": "1.5 1.14 1.15 2.3 2.6 2.11 2.13 2.23",
    "NEG": "1.9",
    "NOT_EQUAL": "1.14 1.14 2.3 2.21",
    "ONE_HOT": "1.11",
    "PACK": "1.11 1.14 2.3 2.13",
    "PAD": "1.5 1.14 2.4 2.6 2.20",
    "PADV2": "1.9 1.14 2.4 2.6 2.20",
    "POW": "1.10",
    "PRELU": "1.8",
    "QUANTIZE": "1.14 1.15 2.7 2.21 2.21 2.21",
    "RANGE": "1.13 2.14",
    "RANK": "1.14",
    "REDUCE_ALL": "2.6",
    "REDUCE_ANY": "1.11",
    "REDUCE_MAX": "1.11 1.14 2.5",
    "REDUCE_MIN": "1.11 1.14 2.5",
    "REDUCE_PROD": "1.11 2.6",
    "RELU": "1.5 2.1 2.5",
    "RELU6": "1.5 1.14 2.5",
    "RELU_0_TO_1": "2.10",
    "RELU_N1_TO_1": "1.5",
    "RESHAPE": "1.5",
    "RESIZE_BILINEAR": "1.7 1.14 2.2 2.5",
    "RESIZE_NEAREST_NEIGHBOR": "1.13 1.14 2.3 2.4",
    "REVERSE_V2": "1.14 2.2 2.5",
    "ROUND": "1.14",
    "RSQRT": "1.10 2.5 2.15",
    "SCATTER_ND": "2.1",
    "SELECT": "1.14 1.14 2.12 2.12",
    "SELECT_V2": "2.2 2.12",
    "SHAPE": "1.10",
    "SIGN": "2.11 2.12",
    "SIN": "1.9",
    "SLICE": "1.14 1.14 1.14 2.4 2.5 2.14 2.21",
    "SOFTMAX": "1.5 1.14 2.3",
    "SPACE_TO_BATCH_ND": "1.6 1.14 2.3 2.12",
    "SPACE_TO_DEPTH": "1.5 1.14",
    "SPLIT": "1.5 1.14 1.14 2.3",
    "SPLIT_V": "1.13 2.3",
    "SQRT": "1.10 2.21",
    "SQUARE": "1.12",
    "SQUARED_DIFFERENCE": "1.13 2.5",
    "SQUEEZE": "1.6 2.5",
    "STRIDED_SLICE": "1.6 1.14 2.1 2.2 2.5 2.6 2.14 2.14",
    "SUB": "1.6 1.14 2.3 2.4 2.4",
    "SUM": "1.10 1.15",
    "TANH": "1.14 1.14 2.3",
    "TILE": "1.10 2.2 2.8",
    "TOPK_V2": "1.7 1.14 2.13",
    "TRANSPOSE": "1.6 1.14 1.15 2.3 2.4 2.12 2.14 2.22",
    "TRANSPOSE_CONV": "1.9 2.2 2.3 2.13 2.15",
    "UNPACK": "1.11 1.14 2.2 2.3 2.22",
    "WHERE": "1.14 2.8",
    "WHILE": "1.15",
}
# The converter leaves the versions of int8 in files of int16, which older runtimes would accept.
_INT16_SINCE = (2, 3)
_NOTE = b"min_runtime_version"


def ask_versions(question: Question) -> Answer:
    """Look up the oldest runtime of every operator of a file."""
    graph = Graph(question.file.read_bytes())
    codes = graph.model.operatorCodes
    needs = {
        op.index: oldest_runtime(op.opcode, int(codes[op.raw.opcodeIndex].version))
        for op in graph.operators
    }
    left = tuple(
        LeftOperator(op.opcode, op.name, "No version of the table")
        for op in graph.operators
        if needs[op.index] is None
    )
    oldest = max((need for need in needs.values() if need is not None), default=(0, 0))
    latest = {
        f"{op.opcode} version {codes[op.raw.opcodeIndex].version}"
        for op in graph.operators
        if needs[op.index] == oldest
    }
    because = f"for {list_some(sorted(latest), 2)}"
    if oldest < _INT16_SINCE and any(graph.dtype(t) == "int16" for t in graph.producer):
        oldest, because = _INT16_SINCE, "for activations in int16"
    return Answer(
        support="refused" if left else "whole",
        reason="Plain TFLite runtimes have no such operator."
        if left
        else f"From TFLite {_written(oldest)} on, {because}.",
        left=left,
        operators=len(graph.operators),
        words=_own_note(graph),
    )


def oldest_runtime(opcode: str, version: int) -> tuple[int, int] | None:
    """Look up the first TFLite release with a version of an operator; None for unknown ones."""
    releases = _RUNTIMES.get(opcode, "").split()
    if not 1 <= version <= len(releases) or releases[version - 1] == "-":
        return None
    major, minor = releases[version - 1].split(".")
    return int(major), int(minor)


def _written(release: tuple[int, int]) -> str:
    return ".".join(map(str, release))


def _own_note(graph: Graph) -> str:
    """Read what the converter noted in the file about its oldest runtime."""
    for entry in graph.model.metadata or []:
        if entry.name == _NOTE:
            noted = bytes(graph.model.buffers[entry.buffer].data).rstrip(b"\0")
            return f"min_runtime_version in the file: {noted.decode(errors='replace')}"
    return "The file holds no min_runtime_version."


TARGETS = (
    Target(
        name="old-runtimes",
        title="Old runtimes",
        by="TensorFlow's table of operator versions",
        how="rule",
        ask=ask_versions,
    ),
)
