"""Which variant to take: the choice behind the first screen, the report and the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from engine.comparison.comparison import Comparison
from engine.comparison.latency import LatencySamples
from engine.comparison.records import VariantComparison
from engine.core.types import SAME, Fault, Interval

FLOAT32 = "float32"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One variant with the figures that a choice depends on.

    Attributes:
        variant: Its name.
        size_bytes: Of its file; None where unknown.
        smaller: Bytes of float32 divided by its own; None where unknown.
        latency_ms: Median latency; None where it was not measured.
        latency_slack: Share by which the latency may be off; see `LatencySamples.slack`.
        quicker: Median of float32 divided by its own; None where either was not measured.
        kept: Pictures with the reference's first answer.
        pictures: Pictures compared.
        agreement: ``kept / pictures``.
        interval: Of ``agreement``.
        difference: Logit rms on the pictures that the reference answers; NaN for a broken model.
        fault: What makes its answers useless; see `VariantComparison`.
        weakest: Name of the picture with the least margin left, or of one with NaN.
        timed_pictures: How many pictures a timed call computes.
    """

    variant: str
    size_bytes: int | None
    smaller: float | None
    latency_ms: float | None
    latency_slack: float
    quicker: float | None
    kept: int
    pictures: int
    agreement: float
    interval: Interval
    difference: float
    weakest: str
    fault: Fault | None = None
    timed_pictures: int = 1

    @property
    def broken(self) -> bool:
        """Whether its answers are of no use: it is never recommended."""
        return self.fault is not None or math.isnan(self.difference)

    @property
    def steady(self) -> bool:
        """Whether its latency was measured without too wide a spread, or not at all."""
        return self.latency_slack <= SAME


@dataclass(frozen=True, slots=True)
class Choice:
    """A recommendation.

    Attributes:
        need: Least share of equal first answers that was asked for.
        taken: The variant to take; None where none keeps as many answers.
        eligible: Variants that keep as many, the taken one among them.
        alike: Names of those as quick and as small as the taken one, but further from the
            reference.
        bolder: What would be taken if agreement were no matter, where that is quicker or smaller.
        nearest: The variant that keeps most answers; None where every variant is broken.
    """

    need: float
    taken: Candidate | None
    eligible: tuple[Candidate, ...]
    alike: tuple[str, ...]
    bolder: Candidate | None
    nearest: Candidate | None

    @property
    def about(self) -> Candidate | None:
        """The variant to speak about and to begin with: the taken one, or else the nearest."""
        return self.taken or self.nearest


def unanswered(comparison: Comparison) -> int:
    """Pictures on which the reference itself gave NaN or Inf."""
    if not comparison.variants:
        return 0
    return int((~_answered(comparison.variants[0])).sum())


def _answered(variant: VariantComparison) -> np.ndarray:
    return np.isfinite(np.asarray(variant.reference_margins))


def difference_of(variant: VariantComparison) -> float:
    """Logit rms of a variant on the pictures that the reference answers.

    Args:
        variant: Its comparison.

    Returns:
        In logits; NaN where the variant gave NaN or Inf on one of them, or there is none.
    """
    answered = _answered(variant)
    if answered.all() or not answered.any():
        return variant.logit_rms
    return math.sqrt(np.mean(np.square(np.asarray(variant.picture_rms)[answered])))


def candidates(comparison: Comparison) -> tuple[Candidate, ...]:
    """Every variant of a comparison, in its order."""
    total = len(comparison.pictures)
    timed = comparison.latency
    found = []
    for variant in comparison.variants:
        entry = None if timed is None else timed.of(variant.variant)
        ratio = None if timed is None else timed.ratio(variant.variant, FLOAT32)
        size_ratio = comparison.size_ratio(variant.variant)
        margins = np.nan_to_num(np.asarray(variant.kept_margins), nan=-np.inf)
        worst = int(np.argmin(np.where(_answered(variant), margins, np.inf)))
        found.append(
            Candidate(
                variant=variant.variant,
                size_bytes=comparison.sizes.get(variant.variant),
                smaller=1 / size_ratio if size_ratio else None,
                latency_ms=None if entry is None else entry.median_ms,
                latency_slack=SAME if entry is None else entry.slack,
                timed_pictures=1 if entry is None else entry.pictures,
                quicker=1 / ratio if ratio else None,
                kept=round(variant.top1_agreement * total),
                pictures=total,
                agreement=variant.top1_agreement,
                interval=variant.top1_agreement_interval,
                difference=difference_of(variant),
                weakest=comparison.pictures[worst],
                fault=variant.fault,
            )
        )
    return tuple(found)


def smallest(of: tuple[Candidate, ...]) -> Candidate | None:
    """The best of the variants that no file of another is clearly smaller than."""
    known = [c for c in of if c.size_bytes is not None and not c.broken]
    return best_of(smallest_of(known))


def quickest(of: tuple[Candidate, ...]) -> Candidate | None:
    """The best of the variants that no other is clearly quicker than; None below two timed."""
    return best_of(quickest_of(timed_of([c for c in of if not c.broken])))


def closest(of: tuple[Candidate, ...]) -> Candidate | None:
    """The variant with the least logit rms; float32 only where there is no other."""
    known = [c for c in of if not c.broken]
    others = [c for c in known if c.variant != FLOAT32]
    return min(others or known, key=lambda c: c.difference, default=None)


def recommend(of: tuple[Candidate, ...], need: float) -> Choice:
    """Choose among variants that keep enough of the answers.

    The quickest is taken; of those within `SAME` of it the smallest; of those within `SAME` of
    that one the closest. Unsteady timings count as equal within their spread. Variants that are
    not timed cannot be the quickest; where fewer than two are timed size decides alone.

    Args:
        of: See `candidates`.
        need: Least share of equal first answers, 0 to 1.

    Returns:
        The choice.
    """
    sound = tuple(c for c in of if not c.broken)
    eligible = tuple(c for c in sound if c.agreement >= need)
    taken, boldest = best_of(eligible), best_of(sound)
    gains = taken is not None and boldest is not None and _gains(boldest, taken)
    return Choice(
        need=need,
        taken=taken,
        eligible=eligible,
        alike=tuple(
            c.variant
            for c in smallest_of(quickest_of(eligible))
            if taken is not None and c.difference > taken.difference
        ),
        bolder=boldest if gains else None,
        nearest=max(sound, key=lambda c: (c.agreement, -c.difference), default=None),
    )


def _gains(bold: Candidate, taken: Candidate) -> bool:
    if clearly_quicker(bold, taken):
        return True
    return clearly_smaller(bold, taken) and not clearly_quicker(taken, bold)


def pictures_to_prove(need: float) -> int | None:
    """How many pictures without one changed answer prove an agreement.

    The lower end of Wilson's 95 % interval at ``n`` of ``n`` is ``n / (n + z^2)``.

    Args:
        need: Share of answers to be kept, 0 to 1.

    Returns:
        The least ``n`` whose lower end is at least ``need``; None for 1, which no number proves.
    """
    z_squared = 1.959963984540054**2
    return None if need >= 1 else math.ceil(z_squared * need / (1 - need) - 1e-9)


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
