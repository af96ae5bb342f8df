"""Sentences about answers against labels."""

from __future__ import annotations

import math
from collections.abc import Callable

from engine.comparison.comparison import Comparison
from engine.comparison.records import Accuracy
from engine.core import formats
from engine.core.formats import plural
from engine.reporting.text.runs import reference_title

_PROVEN = 0.05
"""McNemar's p below which two models are said to differ."""


def accuracy_headline(comparison: Comparison, variant: str) -> str:
    """Say whether a variant is right less often than the reference."""
    accuracy, reference = comparison.variant(variant).accuracy, comparison.reference_accuracy
    if accuracy is None or reference is None:
        return f"Is {variant} right? Label some pictures to find out"
    shares = (
        f"{variant} is right on {formats.percent(accuracy.top1)} of "
        f"{plural(accuracy.pictures, 'labelled picture')}, {reference_title(comparison)} on "
        f"{formats.percent(reference.top1)}"
    )
    if not accuracy.lost and not accuracy.won:
        return f"{shares}: no difference found"
    if accuracy.mcnemar_p is not None and accuracy.mcnemar_p < _PROVEN:
        return f"{shares}: more than chance explains"
    return f"{shares}: too little to tell from chance"


def labelling_headline(labelled: int, needed: int) -> str:
    """Say how far labelling is, while there are fewer labels than figures need."""
    return f"{plural(labelled, 'picture')} labelled: figures are shown from {needed} on"


def mcnemar_sentence(accuracy: Accuracy) -> str:
    """Say what McNemar's test counted."""
    if accuracy.lost is None or accuracy.won is None or accuracy.mcnemar_p is None:
        return "This is the reference."
    return (
        f"{plural(accuracy.lost, 'right answer')} lost, {accuracy.won} won; "
        f"McNemar p = {formats.small(accuracy.mcnemar_p)}"
    )


def classes_headline(accuracy: Accuracy, variant: str, name: Callable[[int], str]) -> str:
    """Say which classes a variant hurts most; ``name`` names a class by its index."""
    lost = [change for change in accuracy.changes if change.lost > 0]
    if not lost:
        return f"{variant} hurts no class on these pictures"
    worst = [change for change in lost if change.lost == lost[0].lost]
    if len(worst) > 3:
        each = plural(lost[0].lost, "right answer")
        return f"{variant} hurts {len(lost)} classes; {len(worst)} lose {each} each"
    parts = [f"{name(change.index)} ({change.lost} of {change.pictures})" for change in worst]
    return f"{variant} hurts most: {', '.join(parts)}"


def reliability_headline(accuracy: Accuracy, variant: str) -> str:
    """Say whether a variant is as often right as it is sure."""
    curve = accuracy.reliability
    if math.isnan(curve.error):
        return f"{variant} is sure of nothing: its answers are not numbers"
    total = sum(part.pictures for part in curve.bins)
    gap = sum(b.pictures * (b.confidence - b.right) for b in curve.bins) / total
    off = f"{variant} is {formats.percent(abs(gap))} too {'sure' if gap > 0 else 'modest'}"
    return f"{off} on average; calibration error {formats.percent(curve.error)}"
