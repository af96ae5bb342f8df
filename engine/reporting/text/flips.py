"""Sentences about one picture whose first answer changed."""

from __future__ import annotations

import math

import numpy as np

from engine.comparison import metrics
from engine.comparison.records import Flip
from engine.core import formats
from engine.core.formats import cut_name, join_names, verb
from engine.reporting.text.runs import reference_at_start, reference_title
from engine.tasks.evaluation import Evaluation


def flip_headline(evaluation: Evaluation, variant: str, flip: Flip) -> str:
    """Say what both answer."""
    after, before = (
        cut_name(evaluation.label(index)) for index in (flip.variant_class, flip.reference_class)
    )
    return f"{variant} answers {after}, {reference_title(evaluation.comparison)} {before}"


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
    first, second = (
        evaluation.label(index) for index in (flip.reference_class, flip.variant_class)
    )
    outcome = (
        f"In {variant} the two tie, and a tie goes to the class that comes first"
        if after == 0
        else f"{variant} takes {formats.logits(before - after)} of that, so {second} leads by "
        f"{formats.logits(-after)}"
    )
    sentence = (
        f"{reference_at_start(evaluation.comparison)} prefers {first} to {second} by "
        f"{formats.logits(before)}. {outcome}."
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
