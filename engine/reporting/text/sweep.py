"""Sentences about a sweep over calibration pictures."""

from __future__ import annotations

import math

from engine.core import formats
from engine.core.formats import join_names, plural, verb
from engine.core.types import FAULT_WORDS, Fault
from engine.tasks.sweep.records import Sweep, SweepGroup

NEAR = 0.05
"""An rms this share above that with the most pictures counts as the same; a KL divergence, which
goes with the square of small errors, of twice this share."""
_METHODS = {
    "min_max": "from the smallest to the largest value",
    "percentile_99.9": "that leave 0.1\xa0% of the values out",
    "percentile_99.99": "that leave 0.01\xa0% of the values out",
    "mse": "of least squared error",
    "entropy": "of least divergence",
}


def method_title(method: str) -> str:
    """Name ranges by a method in words: "ranges of least squared error"."""
    return f"ranges {_METHODS[method]}"


def best_method(sweep: Sweep, recipe: str) -> str:
    """Choose the range method with the lowest mean rms at the largest count.

    Methods with answers that are of no use come last.
    """
    groups = sweep.of(recipe)
    most = max(group.count for group in groups)
    last = [group for group in groups if group.count == most]
    return min(last, key=lambda g: (_useless(g), g.rms.mean)).range_method


def _useless(group: SweepGroup) -> bool:
    return group.fault is not None or math.isnan(group.rms.mean)


def line(sweep: Sweep, recipe: str, method: str) -> tuple[SweepGroup, ...]:
    """Select the groups of a recipe and a range method, from few pictures to many."""
    groups = [group for group in sweep.of(recipe) if group.range_method == method]
    return tuple(sorted(groups, key=lambda group: group.count))


def enough(groups: tuple[SweepGroup, ...]) -> int | None:
    """Find the smallest count from which on no choice of pictures is worse than more would be.

    From there on no seed's rms and KL are further above the means at the largest count than `NEAR`
    allows. The largest count where every smaller is too few; None for figures that are not
    numbers, or a single count.
    """
    if len(groups) < 2 or any(math.isnan(group.rms.worst) for group in groups):
        return None
    smallest = groups[-1].count
    for group in reversed(groups[:-1]):
        if _excess(group, groups[-1]) is not None:
            break
        smallest = group.count
    return smallest


def _excess(group: SweepGroup, most: SweepGroup) -> tuple[str, float] | None:
    """Find a figure whose worst seed is too far above the mean with the most pictures."""
    for name, spread, goal, near in (
        ("rms", group.rms, most.rms.mean, NEAR),
        ("KL divergence", group.kl, most.kl.mean, 2 * NEAR),
    ):
        if spread.worst > (1 + near) * goal:
            return name, spread.worst / goal - 1 if goal else math.inf
    return None


def enough_sentence(sweep: Sweep, recipe: str) -> str:
    """Say how many calibration pictures are enough for a recipe, with its best ranges."""
    groups = line(sweep, recipe, best_method(sweep, recipe))
    most = groups[-1].count
    if any(cell.non_finite for group in groups for cell in group.cells):
        return f"{recipe} gives answers that are not numbers: nothing can be compared"
    if any(math.isnan(group.rms.worst) for group in groups):
        return "float32 gives answers that are not numbers: nothing can be compared"
    if (fault := groups[-1].fault) is not None:
        return f"{recipe} {FAULT_WORDS[fault]}, with {plural(most, 'picture')} and any ranges"
    if len(groups) < 2:
        pictures = plural(most, "picture")
        return f"{recipe} was calibrated on {pictures} alone: that says nothing about more"
    count = enough(groups)
    assert count is not None, "figures are numbers, and counts are several"
    excess = _excess(groups[-2], groups[-1])
    if excess is not None:
        figure, share = excess
        higher = "many times" if math.isinf(share) else formats.percent(share)
        return (
            f"{recipe} needs {most} or more calibration pictures: with {groups[-2].count}, its "
            f"{figure} can be {higher} higher"
        )
    pictures = plural(count, "calibration picture")
    return (
        f"{pictures} {verb(count, 'is', 'are')} enough for {recipe}: {most} bring it no closer to "
        "float32"
    )


def method_sentence(sweep: Sweep, recipe: str) -> str:
    """Say what the choice of the range method is worth, with the most pictures."""
    groups = sweep.of(recipe)
    most = max(group.count for group in groups)
    last = {group.range_method: group for group in groups if group.count == most}
    best = last[best_method(sweep, recipe)]
    others = [group for group in last.values() if group is not best and not _useless(group)]
    if _useless(best):
        return "No way to choose ranges that was tried gives answers of use."
    if not others:
        only = verb(len(last), "were tried", "give answers of use")
        return f"Only {method_title(best.range_method)} {only}."
    base = last.get("min_max", best)
    if base is best or _useless(base):
        base = min(others, key=lambda group: group.rms.mean)
    if base.rms.mean == 0 or best.rms.mean / base.rms.mean > 1 - NEAR:
        return (
            f"With {plural(most, 'picture')} it makes no difference how ranges follow from the "
            f"values: {best.range_method} {formats.logits(best.rms.mean)}, "
            f"{base.range_method} {formats.logits(base.rms.mean)}."
        )
    share = formats.percent(1 - best.rms.mean / base.rms.mean)
    return (
        f"With {plural(most, 'picture')}, {best.range_method} ({method_title(best.range_method)}) "
        f"makes {share} less error than {base.range_method}."
    )


def faults(sweep: Sweep, recipe: str) -> tuple[str, ...]:
    """Name the cells of a recipe whose answers are of no use, one sentence a fault and method."""
    counts: dict[tuple[str, Fault], list[str]] = {}
    for group in sweep.of(recipe):
        if group.fault is not None:
            counts.setdefault((group.range_method, group.fault), []).append(str(group.count))
    return tuple(
        f"{recipe} with ranges by {method} {FAULT_WORDS[fault]}, where calibrated on "
        f"{join_names(several)} pictures: do not use it."
        for (method, fault), several in counts.items()
    )


def notes(sweep: Sweep) -> tuple[str, ...]:
    """Say what a reader of the figures has to know, one sentence each."""
    basis, sentences = sweep.basis, []
    pictures = "one picture" if basis.pictures == 1 else f"{basis.pictures} pictures"
    left = f"; {basis.left_out} that calibration may use were left out" if basis.left_out else ""
    sentences.append(f"Figures are on {pictures} that no calibration used{left}.")
    if basis.calibration is None:
        sentences.append("Demo calibration, on crops of the supplied pictures.")
    counts = sorted({cell.count for cell in sweep.cells if basis.exhausted(cell.count)})
    if counts and len({cell.seed for cell in sweep.cells}) > 1:
        sentences.append(
            f"{plural(counts[0], 'picture')} are all that the folder has: every seed takes the "
            "same, so there is no spread to see."
        )
    if len({len(group.cells) for group in sweep.groups}) > 1:
        sentences.append(
            "Some means are over fewer choices of pictures than others: the sweep was ended before "
            "its last model, or seeds were added."
        )
    reasons = sorted({cell.fallback for cell in sweep.cells if cell.fallback is not None})
    sentences += [
        f"Every range is that of TensorFlow's own calibrator, by min-max: {reason}."
        for reason in reasons
    ]
    return tuple(sentences)
