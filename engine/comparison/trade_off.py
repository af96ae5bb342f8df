"""Trade-offs of two figures of variants, and which variants are in front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from engine.comparison.recommendation import (
    Candidate,
    best_of,
    clearly_quicker,
    clearly_smaller,
    select_timed,
)
from engine.core.types import SAME

AxisName = Literal["latency", "size", "memory", "error"]
Axes = tuple[AxisName, AxisName]
"""The horizontal and the vertical axis; less is better on all."""
EVERY_AXES: tuple[Axes, ...] = (
    ("latency", "error"),
    ("size", "error"),
    ("memory", "error"),
    ("latency", "size"),
    ("latency", "memory"),
    ("size", "memory"),
)


def figure_on(candidate: Candidate, axis: AxisName) -> float | None:
    """Return a candidate's figure: milliseconds, bytes or logits; None where it has none."""
    return {
        "latency": candidate.latency_ms,
        "size": candidate.size_bytes,
        "memory": candidate.peak_bytes,
        "error": candidate.difference,
    }[axis]


def default_axes(of: Sequence[Candidate]) -> Axes:
    """Choose what decides a recommendation: error over latency, or size below two timed ones."""
    return ("latency", "error") if select_timed(of) else ("size", "error")


def axes_with_figures(of: Sequence[Candidate]) -> tuple[Axes, ...]:
    """List the axes on which at least two candidates have figures, the default ones first."""
    first = default_axes(of)
    return (
        first,
        *(
            axes
            for axes in EVERY_AXES
            if axes != first
            and sum(all(figure_on(c, axis) is not None for axis in axes) for c in of) > 1
        ),
    )


def front_of(of: Sequence[Candidate], axes: Axes = ("latency", "error")) -> list[Candidate]:
    """Give the variants that are in front, in the order of ``of``.

    With the error as an axis those are the best on the other one for some demand on closeness and
    agreement: what is recommended at any need is among them. Of two costs, those that no other
    variant is clearly better on one than without being clearly worse on the other.

    Args:
        of: Candidates with figures on both axes, none of which is NaN.
        axes: Which.
    """
    if axes[1] == "error":
        return _best_for_demands(of, axes[0])
    left = [c for c in of if not any(_beats(rival, c, axes) for rival in of)]
    return left or list(of)  # timings that are noisy enough leave nobody unbeaten


def _best_for_demands(of: Sequence[Candidate], axis: AxisName) -> list[Candidate]:
    ahead = []
    for agreement in {c.agreement for c in of}:
        for difference in {c.difference for c in of}:
            meeting = [c for c in of if c.agreement >= agreement and c.difference <= difference]
            ahead.append(_best_on(axis, meeting))
    return [c for c in of if any(c is best for best in ahead)]


def _best_on(axis: AxisName, of: Sequence[Candidate]) -> Candidate | None:
    if axis == "latency":
        return best_of(of)
    less = _CLEARLY_LESS[axis]
    left = [c for c in of if not any(less(rival, c) for rival in of)]
    return min(left, key=lambda c: c.difference, default=None)


def _clearly_below_in_memory(first: Candidate, second: Candidate) -> bool:
    if first.peak_bytes is None or second.peak_bytes is None:
        return False
    return second.peak_bytes > first.peak_bytes * (1 + SAME)


_CLEARLY_LESS: dict[AxisName, Callable[[Candidate, Candidate], bool]] = {
    "latency": clearly_quicker,
    "size": clearly_smaller,
    "memory": _clearly_below_in_memory,
}


def _beats(rival: Candidate, candidate: Candidate, axes: Axes) -> bool:
    tests = [_CLEARLY_LESS[axis] for axis in axes]
    return any(less(rival, candidate) for less in tests) and not any(
        less(candidate, rival) for less in tests
    )
