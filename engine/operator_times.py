"""What each operator of a TFLite file takes, from the events of LiteRT's profiler."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from engine.core.errors import ConversionError
from engine.run.litert_profiler import OperatorEvent, ProfiledModel
from engine.tflite_graph import operator_names, parsed
from engine.types import OperatorTime

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
    names = operator_names(parsed(file.read_bytes()))
    with ProfiledModel(file, threads) as model:
        model.call(content)
        end = time.monotonic() + _SECONDS
        calls: list[tuple[OperatorEvent, ...]] = []
        while len(calls) < LEAST_CALLS or (len(calls) < MOST_CALLS and time.monotonic() < end):
            # A delegate as a whole has a place behind the file's operators.
            calls.append(
                tuple(e for e in model.call(content) if e.delegated or e.place < len(names))
            )
    if len({tuple(event.name for event in call) for call in calls}) > 1:
        raise ConversionError(
            f"Profiling {file.name}",
            got="other operators in one call than in another",
            expected="the same operators each time",
            todo="Its latency as a whole is measured all the same.",
        )
    places = places_of(calls[0], names)
    return tuple(
        OperatorTime(
            index=place,
            op=_kernel(events[0].name) if place is None else names[place],
            kernel=events[0].name if events[0].delegated else "",
            microseconds=float(median(event.microseconds for event in events)),
        )
        for place, events in zip(places, zip(*calls, strict=True), strict=True)
    )


def places_of(events: Sequence[OperatorEvent], names: Sequence[str]) -> list[int | None]:
    """Which operator of the file each event of a call stands for.

    What XNNPACK left to TFLite says so itself. XNNPACK keeps the file's order, but fuses some
    operators with others, leaves some out, and adds some; so each of its events stands for the next
    operator of a fitting kind, unless one that always runs would be passed over.

    Args:
        events: Of one call, in order.
        names: TFLite's name of each operator of the file, in order.

    Returns:
        Index among the file's operators, or None, for each event.
    """
    places: list[int | None] = []
    following = 0
    for event in events:
        place = event.place if not event.delegated else _next(event.name, names, following)
        places.append(place)
        if place is not None:
            following = place + 1
    return places


def _next(kernel: str, names: Sequence[str], start: int) -> int | None:
    wanted = _STANDS_FOR.get(_kernel(kernel), ())
    for place in range(start, len(names)):
        if names[place] in wanted:
            return place
        if names[place] in _ALWAYS_RUN:
            return None
    return None


def _kernel(name: str) -> str:
    return name.partition(" (")[0]
