"""Which variants are quicker, smaller, better: one rule for ties, unsteady and untimed ones.

The recommendation, the cards, the headlines and the front of the trade-off all ask here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from engine.comparison.latency import LatencySamples
from engine.core.types import SAME, Fault


class Costs(Protocol):
    """What a choice between variants depends on; see `TradeOffPoint`."""

    @property
    def latency_ms(self) -> float | None:
        """Median latency."""

    @property
    def latency_slack(self) -> float:
        """Share by which it may be off."""

    @property
    def size_bytes(self) -> int | None:
        """Of the file."""

    @property
    def difference(self) -> float:
        """Logit rms."""

    @property
    def agreement(self) -> float:
        """Share of equal first answers."""


@dataclass(frozen=True, slots=True)
class TradeOffPoint:
    """One variant in the trade-off.

    Attributes:
        variant: Its name.
        latency_ms: Median latency in milliseconds; None where it was not measured.
        size_bytes: File size.
        difference: Rms of the logit differences to the reference.
        agreement: Share of pictures with the reference's first answer.
        latency_slack: Share by which the latency may be off; see `LatencySamples.slack`.
        fault: What makes its answers useless; see `VariantComparison`.
        timed_pictures: How many pictures a timed call computes.
    """

    variant: str
    latency_ms: float | None
    size_bytes: int
    difference: float
    agreement: float
    latency_slack: float = SAME
    fault: Fault | None = None
    timed_pictures: int = 1


def timed_point(timed: LatencySamples, size_bytes: int = 0) -> TradeOffPoint:
    """A variant as far as it is known without comparing its answers."""
    return TradeOffPoint(timed.variant, timed.median_ms, size_bytes, 0.0, 1.0, timed.slack)


AnyCosts = TypeVar("AnyCosts", bound=Costs)


def clearly_quicker(first: Costs, second: Costs) -> bool:
    """Whether the first variant is quicker by more than `SAME` and than timings may be off."""
    if first.latency_ms is None or second.latency_ms is None:
        return False
    return second.latency_ms > first.latency_ms * (
        1 + max(first.latency_slack, second.latency_slack)
    )


def clearly_smaller(first: Costs, second: Costs) -> bool:
    """Whether the file of the first variant is smaller by more than `SAME`."""
    if first.size_bytes is None or second.size_bytes is None:
        return False
    return second.size_bytes > first.size_bytes * (1 + SAME)


def timed_of(of: Sequence[AnyCosts]) -> list[AnyCosts]:
    """Those whose speed can be compared: the timed ones, where there are two or more."""
    timed = [costs for costs in of if costs.latency_ms is not None]
    return timed if len(timed) > 1 else []


def quickest_of(of: Sequence[AnyCosts]) -> list[AnyCosts]:
    """Those than which no other is clearly quicker; all, where no speed can be compared."""
    timed = timed_of(of)
    if not timed:
        return list(of)
    return [costs for costs in timed if not any(clearly_quicker(rival, costs) for rival in timed)]


def smallest_of(of: Sequence[AnyCosts]) -> list[AnyCosts]:
    """Those than which no other is clearly smaller; all, where no size is known."""
    sized = [costs for costs in of if costs.size_bytes is not None]
    left = [costs for costs in sized if not any(clearly_smaller(rival, costs) for rival in sized)]
    return left or list(of)


def best_of(of: Sequence[AnyCosts]) -> AnyCosts | None:
    """The closest to the reference of the smallest of the quickest; None of none."""
    left = smallest_of(quickest_of(of))
    return min(left, key=lambda costs: costs.difference, default=None)


def front_of(of: Sequence[AnyCosts]) -> list[AnyCosts]:
    """The variants that are the best for some demand on closeness and agreement.

    Args:
        of: Variants without NaN.

    Returns:
        Those that `best_of` gives of the variants that meet a demand, for every demand, in the
        order of ``of``.
    """
    ahead = []
    for agreement in {costs.agreement for costs in of}:
        for difference in {costs.difference for costs in of}:
            meeting = [
                costs
                for costs in of
                if costs.agreement >= agreement and costs.difference <= difference
            ]
            ahead.append(best_of(meeting))
    return [costs for costs in of if any(costs is best for best in ahead)]
