"""Where a variant's time goes, by kind of operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.layer_errors.records import kind_of
from engine.types import OperatorTime


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
    """Sums by kind of operator, the slowest kind first.

    Args:
        times: Of one variant.

    Returns:
        One record a kind.
    """
    whole = sum(each.microseconds for each in times) or 1.0
    kinds: dict[str, list[OperatorTime]] = {}
    for each in times:
        kinds.setdefault(kind_of_time(each), []).append(each)
    found = [
        KindTime(
            kind=kind,
            milliseconds=sum(each.microseconds for each in held) / 1000,
            share=sum(each.microseconds for each in held) / whole,
            count=len(held),
            left=sum(each.microseconds for each in held if not each.kernel) / 1000,
        )
        for kind, held in kinds.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.milliseconds))


def kind_of_time(time: OperatorTime) -> str:
    """What a person calls an operator that was timed.

    XNNPACK runs a pointwise convolution, which is 1 × 1, as a fully connected layer; that is what
    tells it from others.
    """
    if time.op == "CONV_2D" and time.kernel.startswith("Fully Connected"):
        return f"pointwise {kind_of(time.op)}"
    return kind_of(time.op)


def left_share(times: Sequence[OperatorTime]) -> float:
    """Share of the time that XNNPACK left to TFLite's own kernels, 0 to 1."""
    whole = sum(each.microseconds for each in times)
    left = sum(each.microseconds for each in times if not each.kernel)
    return left / whole if whole else 0.0
