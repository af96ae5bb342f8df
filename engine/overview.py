"""Which variant to take: the choice behind the first screen, the report and the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.comparison.comparison import Comparison
from engine.types import Interval

FLOAT32 = "float32"
SAME = 0.05
"""Speeds or sizes that differ by less than this share count as equal."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One variant with the figures that a choice depends on.

    Attributes:
        variant: Its name.
        size_bytes: Of its file; None where unknown.
        smaller: Bytes of float32 divided by its own; None where unknown.
        latency_ms: Median latency; None where it was not measured.
        quicker: Median of float32 divided by its own; None where either was not measured.
        kept: Pictures with the reference's first answer.
        pictures: Pictures compared.
        agreement: ``kept / pictures``.
        interval: Of ``agreement``.
        difference: Logit rms; NaN for a broken model.
        weakest: Name of the picture with the least margin left, or of one with NaN.
    """

    variant: str
    size_bytes: int | None
    smaller: float | None
    latency_ms: float | None
    quicker: float | None
    kept: int
    pictures: int
    agreement: float
    interval: Interval
    difference: float
    weakest: str

    @property
    def broken(self) -> bool:
        """Whether it gave NaN or Inf."""
        return math.isnan(self.difference)


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


def candidates(comparison: Comparison) -> tuple[Candidate, ...]:
    """Every variant of a comparison, in its order."""
    total = len(comparison.pictures)
    timed = comparison.latency
    found = []
    for variant in comparison.variants:
        entry = None if timed is None else timed.of(variant.variant)
        ratio = None if timed is None else timed.ratio(variant.variant, FLOAT32)
        size_ratio = comparison.size_ratio(variant.variant)
        margins = np.asarray(variant.kept_margins)
        worst = int(np.argmin(np.where(np.isnan(margins), -np.inf, margins)))
        found.append(
            Candidate(
                variant=variant.variant,
                size_bytes=comparison.sizes.get(variant.variant),
                smaller=1 / size_ratio if size_ratio else None,
                latency_ms=None if entry is None else entry.median_ms,
                quicker=1 / ratio if ratio else None,
                kept=round(variant.top1_agreement * total),
                pictures=total,
                agreement=variant.top1_agreement,
                interval=variant.top1_agreement_interval,
                difference=variant.logit_rms,
                weakest=comparison.pictures[worst],
            )
        )
    return tuple(found)


def smallest(of: tuple[Candidate, ...]) -> Candidate | None:
    """The variant with the smallest file; of those of equal size the one closest."""
    known = [c for c in of if c.size_bytes is not None and not c.broken]
    return min(known, key=lambda c: (c.size_bytes or 0, c.difference), default=None)


def quickest(of: tuple[Candidate, ...]) -> Candidate | None:
    """The variant with the lowest median latency; None where nothing was timed."""
    known = [c for c in of if c.latency_ms is not None and not c.broken]
    return min(known, key=lambda c: c.latency_ms or 0.0, default=None)


def closest(of: tuple[Candidate, ...]) -> Candidate | None:
    """The variant with the least logit rms; float32 only where there is no other."""
    known = [c for c in of if not c.broken]
    others = [c for c in known if c.variant != FLOAT32]
    return min(others or known, key=lambda c: c.difference, default=None)


def recommend(of: tuple[Candidate, ...], need: float) -> Choice:
    """Choose among variants that keep enough of the answers.

    The quickest is taken; of those within `SAME` of it the smallest; of those within `SAME` of
    that one the closest. Without timings size decides alone.

    Args:
        of: See `candidates`.
        need: Least share of equal first answers, 0 to 1.

    Returns:
        The choice.
    """
    sound = tuple(c for c in of if not c.broken)
    eligible = tuple(c for c in sound if c.agreement >= need)
    taken, alike = _best(eligible)
    boldest, _ = _best(sound)
    gains = taken is not None and boldest is not None and _gains(boldest, taken)
    return Choice(
        need=need,
        taken=taken,
        eligible=eligible,
        alike=alike,
        bolder=boldest if gains else None,
        nearest=max(sound, key=lambda c: (c.agreement, -c.difference), default=None),
    )


def _best(of: tuple[Candidate, ...]) -> tuple[Candidate | None, tuple[str, ...]]:
    left = list(of)
    if any(c.latency_ms is not None for c in left):
        left = [c for c in left if c.latency_ms is not None]
        least = min(c.latency_ms or 0.0 for c in left)
        left = [c for c in left if (c.latency_ms or 0.0) <= least * (1 + SAME)]
    if any(c.size_bytes is not None for c in left):
        left = [c for c in left if c.size_bytes is not None]
        low = min(c.size_bytes or 0 for c in left)
        left = [c for c in left if (c.size_bytes or 0) <= low * (1 + SAME)]
    if not left:
        return None, ()
    best = min(left, key=lambda c: c.difference)
    return best, tuple(c.variant for c in left if c.difference > best.difference)


def _gains(bold: Candidate, taken: Candidate) -> bool:
    if bold.latency_ms is not None and taken.latency_ms is not None:
        if bold.latency_ms < taken.latency_ms / (1 + SAME):
            return True
        if taken.latency_ms < bold.latency_ms / (1 + SAME):
            return False
    sizes = bold.size_bytes, taken.size_bytes
    return None not in sizes and (sizes[0] or 0) < (sizes[1] or 0) / (1 + SAME)


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
