"""Time of each operator of a TFLite file, from the events of LiteRT's profiler."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from engine.core.errors import ConversionError
from engine.tflite.graph import operator_names, parse_model
from engine.tflite.profiler import OperatorEvent, ProfiledModel

MOST_CALLS = 15
LEAST_CALLS = 3
_SECONDS = 0.5
_ALWAYS_RUN = frozenset(
    ("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
)
"""XNNPACK runs each of these as an operator of its own; others it may fuse, or leave out."""
_STANDS_FOR = {
    "Add": ("ADD",),
    "Average Pooling": ("AVERAGE_POOL_2D",),
    "Batch Matrix Multiply": ("BATCH_MATMUL",),
    "Clamp": ("RELU", "RELU6", "RELU_N1_TO_1"),
    "Concatenate": ("CONCATENATION",),
    "Constant Pad": ("PAD", "PADV2"),
    "Convert": ("QUANTIZE", "DEQUANTIZE"),
    "Convolution": ("CONV_2D", "DEPTHWISE_CONV_2D"),
    "Copy": ("CONCATENATION", "SPLIT", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"),
    "Deconvolution": ("TRANSPOSE_CONV",),
    "Depth To Space": ("DEPTH_TO_SPACE",),
    "Divide": ("DIV",),
    "ELU": ("ELU",),
    "Fully Connected": ("FULLY_CONNECTED", "CONV_2D"),
    "Dynamic Fully Connected": ("FULLY_CONNECTED", "BATCH_MATMUL"),
    "GELU": ("GELU",),
    "HardSwish": ("HARD_SWISH",),
    "Leaky ReLU": ("LEAKY_RELU",),
    "Max Pooling": ("MAX_POOL_2D",),
    "Maximum": ("MAXIMUM",),
    "Mean": ("MEAN", "AVERAGE_POOL_2D"),
    "Minimum": ("MINIMUM",),
    "Multiply": ("MUL",),
    "PReLU": ("PRELU",),
    "Reciprocal Square Root": ("RSQRT",),
    "Resize Bilinear": ("RESIZE_BILINEAR",),
    "Sigmoid": ("LOGISTIC",),
    "Slice": ("SLICE", "STRIDED_SLICE", "SPLIT"),
    "Softmax": ("SOFTMAX",),
    "Space To Depth": ("SPACE_TO_DEPTH",),
    "Square Root": ("SQRT",),
    "Squared Difference": ("SQUARED_DIFFERENCE",),
    "Static Reshape": ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"),
    "Subtract": ("SUB",),
    "Sum": ("SUM",),
    "Tanh": ("TANH",),
    "Transpose": ("TRANSPOSE",),
}
"""Operators of TFLite that XNNPACK runs under a name."""


def operator_times(file: Path, content: bytes, threads: int = 1) -> tuple[OperatorTime, ...]:
    """Run a file some times under LiteRT's profiler.

    Args:
        file: A TFLite file with one input and one output.
        content: The input's bytes, in the file's own type and order of dimensions.
        threads: Threads that it gets.

    Returns:
        One record an operator that ran, in order: the median of up to `MOST_CALLS` calls after one
        that does not count.

    Raises:
        ConversionError: LiteRT cannot profile the file, or runs other operators each time.
    """
    names = operator_names(parse_model(file.read_bytes()))
    with ProfiledModel(file, threads) as model:
        model.call(content)
        end = time.monotonic() + _SECONDS
        calls: list[tuple[OperatorEvent, ...]] = []
        while len(calls) < LEAST_CALLS or (len(calls) < MOST_CALLS and time.monotonic() < end):
            # A delegate as a whole has an index behind the file's operators.
            calls.append(
                tuple(e for e in model.call(content) if e.delegated or e.index < len(names))
            )
    if len({tuple(event.name for event in call) for call in calls}) > 1:
        raise ConversionError(
            f"Profiling {file.name}",
            got="other operators in one call than in another",
            expected="the same operators each time",
            todo="Its latency as a whole is measured all the same.",
        )
    indices = match_events(calls[0], names)
    return tuple(
        OperatorTime(
            index=index,
            op=_kernel(events[0].name) if index is None else names[index],
            kernel=events[0].name if events[0].delegated else "",
            microseconds=float(median(event.microseconds for event in events)),
        )
        for index, events in zip(indices, zip(*calls, strict=True), strict=True)
    )


def match_events(events: Sequence[OperatorEvent], names: Sequence[str]) -> list[int | None]:
    """Find the operator of the file that each event of a call stands for.

    What XNNPACK left to TFLite says so itself. XNNPACK keeps the file's order, but fuses some
    operators with others, leaves some out, and adds some; so each of its events stands for the next
    operator of a fitting kind, unless one that always runs would be passed over.

    Returns:
        Index among the file's operators, or None, for each event.
    """
    indices: list[int | None] = []
    following = 0
    for event in events:
        index = event.index if not event.delegated else _next(event.name, names, following)
        indices.append(index)
        if index is not None:
            following = index + 1
    return indices


def _next(kernel: str, names: Sequence[str], start: int) -> int | None:
    wanted = _STANDS_FOR.get(_kernel(kernel), ())
    for index in range(start, len(names)):
        if names[index] in wanted:
            return index
        if names[index] in _ALWAYS_RUN:
            return None
    return None


def _kernel(name: str) -> str:
    return name.partition(" (")[0]


@dataclass(frozen=True, slots=True)
class KindTime:
    """All operators of one kind in one variant.

    Attributes:
        kind: What a person calls them: "pointwise convolution".
        milliseconds: What they take together.
        share: Of the time of all operators, 0 to 1.
        count: How many there are.
        left: How much of the milliseconds XNNPACK left to TFLite's own kernels.
    """

    kind: str
    milliseconds: float
    share: float
    count: int
    left: float


def time_by_kind(times: Sequence[OperatorTime]) -> tuple[KindTime, ...]:
    """Sum up times by kind of operator, the slowest kind first."""
    whole = sum(each.microseconds for each in times) or 1.0
    kinds: dict[str, list[OperatorTime]] = {}
    for each in times:
        kinds.setdefault(kind_of_time(each), []).append(each)
    sums = [
        KindTime(
            kind=kind,
            milliseconds=sum(each.microseconds for each in held) / 1000,
            share=sum(each.microseconds for each in held) / whole,
            count=len(held),
            left=sum(each.microseconds for each in held if not each.kernel) / 1000,
        )
        for kind, held in kinds.items()
    ]
    return tuple(sorted(sums, key=lambda kind: -kind.milliseconds))


def kind_of_time(time: OperatorTime) -> str:
    """Name an operator that was timed, for people.

    XNNPACK runs a pointwise convolution, which is 1 × 1, as a fully connected layer; that is what
    distinguishes it from others.
    """
    if time.op == "CONV_2D" and time.kernel.startswith("Fully Connected"):
        return f"pointwise {kind_of(time.op)}"
    return kind_of(time.op)


def left_share(times: Sequence[OperatorTime]) -> float:
    """Compute the share of the time that XNNPACK left to TFLite's own kernels, 0 to 1."""
    whole = sum(each.microseconds for each in times)
    left = sum(each.microseconds for each in times if not each.kernel)
    return left / whole if whole else 0.0


_KINDS = {
    "ADD": "addition",
    "AVERAGE_POOL_2D": "average pooling",
    "BATCH_MATMUL": "matrix product",
    "CONCATENATION": "concatenation",
    "CONV_2D": "convolution",
    "DEPTHWISE_CONV_2D": "depthwise layer",
    "FULLY_CONNECTED": "fully connected layer",
    "HARD_SWISH": "hard-swish",
    "LOGISTIC": "sigmoid",
    "MAX_POOL_2D": "max pooling",
    "MUL": "multiplication",
    "TRANSPOSE_CONV": "transposed convolution",
}


def kind_of(op: str) -> str:
    """Name an operator for people: "depthwise layer" for ``DEPTHWISE_CONV_2D``."""
    return _KINDS.get(op, op.lower().replace("_", " "))


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """Time of one operator of a TFLite file, by LiteRT's own profiler.

    Attributes:
        index: Its place among the file's operators; None where XNNPACK made it of several, or of
            none.
        op: TFLite's name, or XNNPACK's where ``index`` is None.
        kernel: XNNPACK's name of what ran; empty where XNNPACK left it to TFLite's own kernel.
        microseconds: Median of some calls.
    """

    index: int | None
    op: str
    kernel: str
    microseconds: float
