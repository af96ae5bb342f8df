"""Recommendation of a variant, for pages, report and command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.comparison.comparison import Comparison
from engine.comparison.destination import Destination
from engine.comparison.latency import LatencySamples
from engine.comparison.metrics import Z_95
from engine.comparison.records import FLOAT32, VariantComparison
from engine.core.types import SAME, Fault, Interval

_ANY_SHARE = Interval(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One variant with the figures that a choice depends on.

    Attributes:
        variant: Its name.
        latency_ms: Median latency; None where it was not measured.
        size_bytes: Of its file; None where unknown.
        difference: Logit rms on the pictures that the reference answers; NaN for a broken model.
        agreement: Share of pictures with the reference's first answer.
        latency_slack: Share by which the latency may be off; see `LatencySamples.slack`.
        fault: What makes its answers useless; see `VariantComparison`.
        timed_pictures: How many pictures a timed call computes.
        smaller: Bytes of float32 divided by its own; None where unknown.
        quicker: Median of float32 divided by its own; None where either was not measured.
        agreeing: Pictures with the reference's first answer.
        pictures: Pictures compared.
        interval: Of ``agreement``.
        weakest: Name of the picture with the least margin left, or of one with NaN.
        peak_bytes: Memory that its file takes at most; None where that was not measured.
        load_ms: How long its file takes to load; None where that was not measured.
    """

    variant: str
    latency_ms: float | None
    size_bytes: int | None
    difference: float
    agreement: float
    latency_slack: float = SAME
    fault: Fault | None = None
    timed_pictures: int = 1
    smaller: float | None = None
    quicker: float | None = None
    agreeing: int = 0
    pictures: int = 0
    interval: Interval = _ANY_SHARE
    weakest: str = ""
    peak_bytes: float | None = None
    load_ms: float | None = None

    @property
    def broken(self) -> bool:
        """Whether its answers are of no use: it is never recommended."""
        return self.fault is not None or math.isnan(self.difference)

    @property
    def steady(self) -> bool:
        """Whether its latency was measured without too wide a spread, or not at all."""
        return self.latency_slack <= SAME


TradeOffPoint = Candidate
"""The name that notebooks of earlier versions use."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A recommendation.

    Attributes:
        need: Least share of equal first answers that was asked for.
        taken: The variant to take; None where none keeps as many answers, or none of these runs on
            the chosen target.
        eligible: Variants that keep as many and run there best, the taken one among them.
        alike: Names of those as quick and as small as the taken one, but further from the
            reference.
        bolder: What would be taken if agreement were no matter, where that is quicker or smaller.
        nearest: The variant that keeps most answers, of those that run on the chosen target where
            any does; None where every variant is broken.
        destination: The chosen target; None where any will do.
        elsewhere: What would be taken if any target would do, where that is another variant.
    """

    need: float
    taken: Candidate | None
    eligible: tuple[Candidate, ...]
    alike: tuple[str, ...]
    bolder: Candidate | None
    nearest: Candidate | None
    destination: Destination | None = None
    elsewhere: Candidate | None = None

    @property
    def about(self) -> Candidate | None:
        """The variant to speak about and to begin with: the taken one, or else the nearest."""
        return self.taken or self.nearest

    @property
    def proven(self) -> bool:
        """Whether the interval of that variant lies above the need."""
        return self.about is not None and self.about.interval.low >= self.need

    @property
    def pictures_missing(self) -> int:
        """Count the pictures that would prove the need if none of them changed; 0 if none would."""
        needed = pictures_to_prove(self.need)
        if self.about is None or self.proven or needed is None:
            return 0
        return max(0, needed - self.about.pictures)


def count_unanswered(comparison: Comparison) -> int:
    """Count the pictures on which the reference itself gave NaN or Inf."""
    if not comparison.variants:
        return 0
    return int((~_rows_with_answer(comparison.variants[0])).sum())


def _rows_with_answer(variant: VariantComparison) -> np.ndarray:
    return np.isfinite(np.asarray(variant.reference_margins))


def difference_of(variant: VariantComparison) -> float:
    """Compute the logit rms of a variant on the pictures that the reference answers.

    Returns:
        In logits; NaN where the variant gave NaN or Inf on one of them, or there is none.
    """
    answered = _rows_with_answer(variant)
    if answered.all() or not answered.any():
        return variant.logit_rms
    return math.sqrt(np.mean(np.square(np.asarray(variant.picture_rms)[answered])))


def candidates(comparison: Comparison) -> tuple[Candidate, ...]:
    """Give every variant of a comparison, in its order."""
    return tuple(_candidate(comparison, variant) for variant in comparison.variants)


def _candidate(comparison: Comparison, variant: VariantComparison) -> Candidate:
    name, timed, total = variant.variant, comparison.latency, len(comparison.pictures)
    memory = comparison.memory.get(name)
    ratio = None if timed is None else timed.ratio(name, FLOAT32)
    size_ratio = comparison.size_ratio(name)
    margins = np.nan_to_num(np.asarray(variant.kept_margins), nan=-np.inf)
    weakest = int(np.argmin(np.where(_rows_with_answer(variant), margins, np.inf)))
    costs = candidate_of_costs(
        name, comparison.sizes.get(name), None if timed is None else timed.of(name)
    )
    return replace(
        costs,
        difference=difference_of(variant),
        agreement=variant.top1_agreement,
        fault=variant.fault,
        smaller=1 / size_ratio if size_ratio else None,
        quicker=1 / ratio if ratio else None,
        agreeing=round(variant.top1_agreement * total),
        pictures=total,
        interval=variant.top1_agreement_interval,
        weakest=comparison.pictures[weakest],
        peak_bytes=None if memory is None else memory.peak_bytes,
        load_ms=None if memory is None else memory.load_ms,
    )


def candidate_of_costs(
    variant: str, size_bytes: int | None = None, timed: LatencySamples | None = None
) -> Candidate:
    """Make a candidate whose answers are not compared, as if they were the reference's."""
    if timed is None:
        return Candidate(variant, None, size_bytes, 0.0, 1.0)
    return Candidate(
        variant,
        timed.median_ms,
        size_bytes,
        0.0,
        1.0,
        latency_slack=timed.slack,
        timed_pictures=timed.pictures,
    )


def recommend(
    of: tuple[Candidate, ...], need: float, destination: Destination | None = None
) -> Choice:
    """Choose among variants that keep enough of the answers, and run where they are shipped to.

    The quickest is taken; of those within `SAME` of it the smallest; of those within `SAME` of
    that one the closest. Unsteady timings count as equal within their spread. Variants that are
    not timed cannot be the quickest; where fewer than two are timed size decides alone.

    What a target refuses is never taken. Variants that run there whole come first; only where there
    are none, those that run in part, and then those of which it is not known.

    Args:
        of: See `candidates`.
        need: Least share of equal first answers, 0 to 1.
        destination: The target to ship to; None where any will do.
    """
    sound = tuple(c for c in of if not c.broken)
    enough = tuple(c for c in sound if c.agreement >= need)
    eligible = _best_fitting(enough, destination)
    taken, boldest = best_of(eligible), best_of(_best_fitting(sound, destination))
    anywhere = best_of(enough)
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
        nearest=max(
            _best_fitting(sound, destination) or sound,
            key=lambda c: (c.agreement, -c.difference),
            default=None,
        ),
        destination=destination,
        elsewhere=anywhere if anywhere is not taken else None,
    )


def _best_fitting(
    of: tuple[Candidate, ...], destination: Destination | None
) -> tuple[Candidate, ...]:
    if destination is None:
        return of
    for level in ("whole", "part", "unknown"):
        if fitting := tuple(c for c in of if destination.fit(c.variant).level == level):
            return fitting
    return ()


def _gains(bold: Candidate, taken: Candidate) -> bool:
    if clearly_quicker(bold, taken):
        return True
    return clearly_smaller(bold, taken) and not clearly_quicker(taken, bold)


def pictures_to_prove(need: float) -> int | None:
    """Count the pictures that prove an agreement if not one of them changes its answer.

    The lower end of Wilson's 95 % interval at ``n`` of ``n`` is ``n / (n + z^2)``; this is the
    least ``n`` that brings it to ``need``, 0 to 1. None for 1, which no number proves.
    """
    return None if need >= 1 else math.ceil(Z_95**2 * need / (1 - need) - 1e-9)


def clearly_quicker(first: Candidate, second: Candidate) -> bool:
    """Check whether the first is quicker by more than `SAME` and than timings may be off."""
    if first.latency_ms is None or second.latency_ms is None:
        return False
    return second.latency_ms > first.latency_ms * (
        1 + max(first.latency_slack, second.latency_slack)
    )


def clearly_smaller(first: Candidate, second: Candidate) -> bool:
    """Check whether the file of the first is smaller by more than `SAME`."""
    if first.size_bytes is None or second.size_bytes is None:
        return False
    return second.size_bytes > first.size_bytes * (1 + SAME)


def select_timed(of: Sequence[Candidate]) -> list[Candidate]:
    """Give those whose speed can be compared: the timed ones, where there are two or more."""
    timed = [costs for costs in of if costs.latency_ms is not None]
    return timed if len(timed) > 1 else []


def quickest_of(of: Sequence[Candidate]) -> list[Candidate]:
    """Give those that none is clearly quicker than; all, where no speed can be compared."""
    timed = select_timed(of)
    if not timed:
        return list(of)
    return [costs for costs in timed if not any(clearly_quicker(rival, costs) for rival in timed)]


def smallest_of(of: Sequence[Candidate]) -> list[Candidate]:
    """Give those that none is clearly smaller than; all, where no size is known."""
    sized = [costs for costs in of if costs.size_bytes is not None]
    left = [costs for costs in sized if not any(clearly_smaller(rival, costs) for rival in sized)]
    return left or list(of)


def best_of(of: Sequence[Candidate]) -> Candidate | None:
    """Choose the closest to the reference of the smallest of the quickest; None of none."""
    left = smallest_of(quickest_of(of))
    return min(left, key=lambda costs: costs.difference, default=None)
