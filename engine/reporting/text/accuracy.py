"""Sentences about answers against labels, and about slices of the pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from engine.comparison.comparison import Comparison
from engine.comparison.records import Accuracy
from engine.comparison.slices import Slice, SliceKind, Slices
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
        return "No right answer lost or gained"
    return (
        f"{plural(accuracy.lost, 'right answer')} lost, {accuracy.won} gained; "
        f"McNemar p = {formats.small(accuracy.mcnemar_p)}"
    )


def classes_headline(accuracy: Accuracy, variant: str, name: Callable[[int], str]) -> str:
    """Say in which classes a variant loses most; ``name`` names a class by its index."""
    lost = [change for change in accuracy.changes if change.lost > 0]
    if not lost:
        return f"{variant} loses no right answer in any class"
    worst = [change for change in lost if change.lost == lost[0].lost]
    if len(worst) > 3:
        each, answers = number(lost[0].lost), verb(lost[0].lost, "answer", "answers")
        if len(worst) == len(lost):
            return f"{variant} loses {each} right {answers} in each of {len(lost)} classes"
        return (
            f"{variant} loses right answers in {len(lost)} classes, {each} in each of {len(worst)}"
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


KIND_TITLES: dict[SliceKind, str] = {
    "class": "Right answer",
    "answer": "Answer of the baseline",
    "brightness": "Brightness",
    "size": "Size",
    "tag": "Tag",
}
_MOST_TAGS, _WORST, _BIGGEST = 6, 2, 2


def slices_headline(slices: Slices, variant: str) -> str:
    """Say on which slice a variant keeps fewer answers, where that is proven."""
    weakest = slices.weakest(variant)
    if weakest is not None:
        share = weakest.of(variant)
        here = formats.count_or_percent(weakest.agreement(variant), weakest.pictures)
        rest = formats.count_or_percent(share.rest_agreeing / weakest.rest, weakest.rest)
        return f"{variant} does worse on {_pictures_of(weakest)}: {here} kept, {rest} elsewhere"
    if not slices.slices:
        return "Nothing tells these pictures apart"
    if all(part.of(variant).agreeing == part.pictures for part in slices.slices):
        return f"{variant} keeps every answer in every slice"
    return f"No slice is proven worse than the rest in {variant}"


def slices_note(slices: Slices, variant: str) -> str:
    """Say where most answers change although nothing is proven; empty where there is no need."""
    changed = [part for part in slices.slices if part.of(variant).agreeing < part.pictures]
    if not changed or slices.weakest(variant) is not None:
        return ""
    # Of equal shares the one with more pictures says more.
    part = min(changed, key=lambda part: (part.agreement(variant), -part.pictures))
    same = formats.count_or_percent(part.agreement(variant), part.pictures)
    return f"Fewest kept: {_pictures_of(part)}, {same}. That may be chance."


def _pictures_of(part: Slice) -> str:
    name = cut_name(part.name)
    if part.kind == "class":
        return f"pictures of {name}"
    if part.kind == "answer":
        return f"pictures taken for {name}"
    return f"pictures tagged {name}" if part.kind == "tag" else f"{name} pictures"


def slices_shown_first(slices: Slices, variant: str) -> tuple[Slice, ...]:
    """Choose the slices that matter: of many classes the worst and the biggest, a few tags.

    A class of one picture says nothing that the picture does not, unless its answer changed.
    """
    chosen: list[Slice] = []
    for kind in ("tag", "brightness", "size", "class", "answer"):
        parts = slices.of(kind)
        if kind in {"class", "answer"}:
            changed = [part for part in parts if part.of(variant).agreeing < part.pictures]
            ranked = sorted(changed, key=lambda part: (part.agreement(variant), -part.pictures))
            big = [part for part in parts if part.pictures > 1][:_BIGGEST]
            first = (*ranked[:_WORST], *big)
            parts = tuple(part for part in parts if part in first)
        elif kind == "tag":
            worst = sorted(parts, key=lambda part: part.agreement(variant))[:_MOST_TAGS]
            parts = tuple(part for part in parts if part in worst)
        chosen += parts
    return tuple(chosen)


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice and model as a reader sees them.

    Attributes:
        group: What groups the pictures.
        name: Of the slice, with its limits.
        pictures: How many it has.
        same: On how many the model answers like the baseline, with interval.
        right: On how many it is right, with interval; unknown without labels.
        proven: Whether it is proven that it agrees less here than elsewhere.
    """

    group: str
    name: str
    pictures: str
    same: str
    right: str
    proven: bool


def slice_row(part: Slice, model: str) -> SliceRow:
    """Write the figures of a model on a slice."""
    share = part.of(model)
    right = formats.UNKNOWN
    if share.right is not None:
        count = formats.count_or_percent(share.right / part.labelled, part.labelled)
        right = f"{count} ({formats.interval(share.right_interval)})"
    same = formats.count_or_percent(part.agreement(model), part.pictures)
    return SliceRow(
        group=KIND_TITLES[part.kind],
        name=part.name + (f", {part.limits}" if part.limits else ""),
        pictures=str(part.pictures),
        same=f"{same} ({formats.interval(share.agreement_interval)})",
        right=right,
        proven=share.proven_lower,
    )
