"""The target that a variant is shipped to, as far as a recommendation depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["whole", "part", "unknown", "refused"]


@dataclass(frozen=True, slots=True)
class Fit:
    """What a target does with one variant.

    Attributes:
        level: Whether it runs there; ``unknown`` where the tool is absent, failed or was not asked.
        reason: Why it does not run whole, or why that is not known; a sentence.
        left: Operators that stay behind, by name with their count.
        figures: What it needs and takes there, in words, with how that came.
    """

    level: Level
    reason: str = ""
    left: str = ""
    figures: str = ""


_NOT_ASKED = Fit("unknown", "This was not asked yet.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A chosen target, and what it does with the variants of a run.

    Attributes:
        target: Its name, such as ``ethos-u55-256``.
        where: In a sentence: ``on a microcontroller``.
        fits: What it does with each variant.
        integer_only: Variants with integer edges and no float operator, where the target is made
            for these; None where it is not.
    """

    target: str
    where: str
    fits: Mapping[str, Fit]
    integer_only: tuple[str, ...] | None = None

    def fit(self, variant: str) -> Fit:
        """Find what the target does with a variant."""
        return self.fits.get(variant, _NOT_ASKED)
