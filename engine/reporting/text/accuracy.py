"""Sentences about answers against labels."""

from __future__ import annotations

import math
from collections.abc import Callable

from engine.comparison.comparison import Comparison
from engine.comparison.records import Accuracy
from engine.core import formats
from engine.core.formats import cut_name, join_names, number, plural, verb
from engine.reporting.text.runs import reference_title

_PROVEN = 0.05
"""McNemar's p below which two models are said to differ."""
_NAME = 20


def accuracy_headline(comparison: Comparison, variant: str) -> str:
    """Say whether a variant is right less often than the original."""
    accuracy, reference = comparison.variant(variant).accuracy, comparison.reference_accuracy
    if accuracy is None or reference is None:
        return f"Is {variant} right? Label some pictures to find out"
    right, base = (_right(side) for side in (accuracy, reference))
    shares = (
        f"{variant} is right on {right} of {plural(accuracy.pictures, 'picture')}, "
        f"{reference_title(comparison)} on {base}"
    )
    if not accuracy.lost and not accuracy.won:
        return f"{shares}: no difference found"
    if accuracy.mcnemar_p is not None and accuracy.mcnemar_p < _PROVEN:
        return f"{shares}: more than chance explains"
    return f"{shares}: too little to tell from chance"


def _right(accuracy: Accuracy) -> str:
    if accuracy.pictures < formats.FEW_PICTURES:
        return str(round(accuracy.top1 * accuracy.pictures))
    return formats.percent(accuracy.top1)


def labelling_headline(labelled: int, needed: int) -> str:
    """Say how far labelling is, while there are fewer labels than figures need."""
    return f"{plural(labelled, 'picture')} labelled: figures are shown from {needed} on"


def mcnemar_sentence(accuracy: Accuracy) -> str:
    """Say what McNemar's test counted."""
    if accuracy.lost is None or accuracy.won is None or accuracy.mcnemar_p is None:
        return "This is the baseline."
    if not accuracy.lost and not accuracy.won:
        return "No correct answer lost or gained"
    return (
        f"{plural(accuracy.lost, 'correct answer')} lost, {accuracy.won} gained; "
        f"McNemar p = {formats.small(accuracy.mcnemar_p)}"
    )


def classes_headline(accuracy: Accuracy, variant: str, name: Callable[[int], str]) -> str:
    """Say in which classes a variant loses most; ``name`` names a class by its index."""
    lost = [change for change in accuracy.changes if change.lost > 0]
    if not lost:
        return f"{variant} loses no correct answer in any class"
    worst = [change for change in lost if change.lost == lost[0].lost]
    if len(worst) > 3:
        each, answers = number(lost[0].lost), verb(lost[0].lost, "answer", "answers")
        if len(worst) == len(lost):
            return f"{variant} loses {each} correct {answers} in each of {len(lost)} classes"
        return (
            f"{variant} loses correct answers in {len(lost)} classes, {each} in each of "
            f"{len(worst)}"
        )
    parts = [
        f"{cut_name(name(change.index), _NAME)} ({change.lost} of {change.pictures})"
        for change in worst
    ]
    return f"{variant} loses most in {join_names(parts)}"


def reliability_headline(accuracy: Accuracy, variant: str) -> str:
    """Say whether a variant is as often right as it is sure."""
    curve = accuracy.reliability
    if math.isnan(curve.error):
        return f"{variant} gives answers that are not numbers"
    total = sum(part.pictures for part in curve.bins)
    gap = sum(b.pictures * (b.confidence - b.right) for b in curve.bins) / total
    error = f"(ECE {formats.percent(curve.error)})"
    if gap == 0:
        return f"{variant} is as confident as it is right, on average {error}"
    points = f"{formats.decimal(abs(gap) * 100, 0)} points"
    return f"{variant} is {'over' if gap > 0 else 'under'}-confident by {points} {error}"
