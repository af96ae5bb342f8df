"""Sentences about one picture whose first answer changed."""

from __future__ import annotations

import math

import numpy as np

from engine.comparison import metrics
from engine.comparison.records import Flip
from engine.core import formats
from engine.core.formats import join_names, verb
from engine.reporting.text.runs import reference_title
from engine.tasks.evaluation import Evaluation


def flip_headline(evaluation: Evaluation, variant: str, flip: Flip) -> str:
    """Say what both answer."""
    return (
        f"{variant} answers {evaluation.label(flip.variant_class)}, "
        f"{reference_title(evaluation.comparison)} answers {evaluation.label(flip.reference_class)}"
    )


def flip_margin(evaluation: Evaluation, variant: str, flip: Flip) -> str:
    """Say how far the first answer led before, and how far it is behind now.

    The figures are differences between two logits of one model, which a shift of all logits
    leaves as they are.
    """
    reference = evaluation.comparison.reference
    before, after = (
        float(logits[flip.reference_class]) - float(logits[flip.variant_class])
        for logits in (
            np.asarray(evaluation.comparable(column, reference, variant)[flip.index])
            for column in (reference, variant)
        )
    )
    outcome = (
        "the two are level, and the first of them counts"
        if after == 0
        else f"{evaluation.label(flip.variant_class)} leads by {formats.logits(-after)}"
    )
    sentence = (
        f"In {reference_title(evaluation.comparison)}, {evaluation.label(flip.reference_class)} "
        f"leads {evaluation.label(flip.variant_class)} by {formats.logits(before)}; {variant} "
        f"takes {formats.logits(before - after)} of that, so that {outcome}."
    )
    if math.isclose(flip.reference_margin, before, rel_tol=1e-6):
        return sentence
    margin = formats.logits(flip.reference_margin)
    return f"{sentence} Its margin over its second answer was {margin}."


def flip_company(evaluation: Evaluation, flip: Flip) -> str:
    """Say which variants keep the answer on this picture, and which do not."""
    right: list[str] = []
    lost: list[str] = []
    broken: list[str] = []
    for side in evaluation.comparison.variants:
        first = int(evaluation.first_answers(side.variant)[flip.index])
        if first == metrics.NO_ANSWER:
            broken.append(side.variant)
        else:
            (right if first == flip.reference_class else lost).append(side.variant)
    label = evaluation.label(flip.reference_class)
    sentence = (
        f"{join_names(right)} {verb(len(right), 'answers', 'answer')} {label}, as "
        f"{reference_title(evaluation.comparison)} does"
        if right
        else f"No variant answers {label}"
    )
    if len(lost) > 1:
        sentence += f"; {join_names(lost)} change their answer"
    elif lost:
        sentence += f"; {lost[0]} alone changes its answer" if right else ""
    if broken:
        sentence += f"; {join_names(broken)} {verb(len(broken), 'gives', 'give')} NaN or Inf"
    return f"{sentence}."
