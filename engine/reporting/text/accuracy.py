"""Headlines about answers against labels."""

from __future__ import annotations

import math
from collections.abc import Callable

from engine.comparison.comparison import Comparison
from engine.comparison.records import Accuracy
from engine.core import formats

_PROVEN = 0.05
"""McNemar's p below which two models are said to differ."""


def accuracy_headline(comparison: Comparison, variant: str) -> str:
    """Whether a variant is right less often than the reference.

    Args:
        comparison: Made with labels.
        variant: One of its variants.

    Returns:
        One sentence.
    """
    found, reference = comparison.variant(variant).accuracy, comparison.reference_accuracy
    if found is None or reference is None:
        return f"Is {variant} right? Label some pictures to find out"
    whom = "the original" if comparison.reference == "original" else comparison.reference
    count = f"{found.pictures} labelled picture{'' if found.pictures == 1 else 's'}"
    shares = (
        f"{variant} is right on {formats.percent(found.top1)} of {count}, {whom} on "
        f"{formats.percent(reference.top1)}"
    )
    if not found.lost and not found.won:
        return f"{shares}: no difference found"
    if found.mcnemar_p is not None and found.mcnemar_p < _PROVEN:
        return f"{shares}: more than chance explains"
    return f"{shares}: too little to tell from chance"


def labelling_headline(labelled: int, needed: int) -> str:
    """How far labelling is, while there are too few labels for figures.

    Args:
        labelled: Pictures with a label.
        needed: Labels from which on figures are shown.
    """
    pictures = "1 picture" if labelled == 1 else f"{labelled} pictures"
    return f"{pictures} labelled: figures are shown from {needed} on"


def mcnemar_sentence(found: Accuracy) -> str:
    """What McNemar's test counted."""
    if found.lost is None or found.won is None or found.mcnemar_p is None:
        return "This is the reference."
    return (
        f"{found.lost} right answer{'' if found.lost == 1 else 's'} lost, {found.won} won; "
        f"McNemar p = {formats.small(found.mcnemar_p)}"
    )


def classes_headline(found: Accuracy, variant: str, name: Callable[[int], str]) -> str:
    """Which classes a variant hurts most.

    Args:
        found: The variant's accuracy.
        variant: Its name.
        name: Name of a class by index.

    Returns:
        One sentence.
    """
    lost = [change for change in found.changes if change.lost > 0]
    if not lost:
        return f"{variant} hurts no class on these pictures"
    worst = [change for change in lost if change.lost == lost[0].lost]
    if len(worst) > 3:
        noun = "right answer" if lost[0].lost == 1 else "right answers"
        return f"{variant} hurts {len(lost)} classes; {len(worst)} lose {lost[0].lost} {noun} each"
    parts = [f"{name(change.index)} ({change.lost} of {change.pictures})" for change in worst]
    return f"{variant} hurts most: {', '.join(parts)}"


def reliability_headline(found: Accuracy, variant: str) -> str:
    """Whether a variant is as often right as it is sure."""
    curve = found.reliability
    if math.isnan(curve.error):
        return f"{variant} is sure of nothing: its answers are not numbers"
    counted = sum(bins.pictures for bins in curve.bins)
    gap = sum(b.pictures * (b.confidence - b.right) for b in curve.bins) / counted
    off = f"{variant} is {formats.percent(abs(gap))} too {'sure' if gap > 0 else 'modest'}"
    return f"{off} on average; calibration error {formats.percent(curve.error)}"
