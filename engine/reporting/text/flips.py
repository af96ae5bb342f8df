"""Sentences about one picture under two models: changed answers, and the stage that shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from engine.comparison import metrics
from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency, LatencySamples, Race
from engine.comparison.records import FLOAT32, Flip
from engine.core import formats
from engine.core.formats import cut_name, join_names, title_of_model, verb
from engine.core.types import ORIGINAL, SAME
from engine.reporting.picture_cards import AnswerCard, PairCard
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


BROKEN_ANSWER = "NaN or Inf"
STAGE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "previous": "Previous",
        "next": "Next",
        "same": "same answer",
        "photo": "Try your photo",
        "drop": "Drop it to see both answers",
        "race": "Race",
        "again": "Race again",
        "too_large": "That is more than a page takes at once. Choose My photos below instead.",
        "no_picture": "That is no picture.",
    }
)
"""What stands on the stage whatever its data."""


def write_change(card: PairCard) -> str:
    """Say from which answer to which a picture changed; empty where it did not."""
    if card.variant.state == "same" or card.reference.state == "broken":
        return ""
    return f"{card.reference.label} → {card.variant.label or BROKEN_ANSWER}"


def write_stamp(card: PairCard) -> str:
    """Say in capitals that an answer changed, and into which; empty where it did not."""
    change = write_change(card)
    return f"CHANGED: {change}" if change else ""


def pair_headline(card: PairCard) -> str:
    """Say in a few words what both models answer on a picture."""
    before, after = (
        cut_name(side.label) or BROKEN_ANSWER for side in (card.reference, card.variant)
    )
    if before == after:
        return f"Both answer {before}"
    names = [title_of_model(side.column) for side in (card.reference, card.variant)]
    return f"{before} for {names[0]}, {after} for {names[1]}"


def caption(card: PairCard) -> str:
    """Name a picture and its right answer, where that is known, and say who is right."""
    if not card.label:
        return card.picture.name
    sides = (card.reference, card.variant)
    right = [side.column for side in sides if side.label == card.label]
    names = [title_of_model(column) for column in right]
    ending = f"; {join_names(names)} {verb(len(names), 'is', 'are')} right" if names else ""
    return f"{card.picture.name}: the right answer is {card.label}{ending or '; both are wrong'}"


def both_answers(card: PairCard) -> str:
    """Say what both models answer on a picture, for people who do not see it."""
    sides = (card.reference, card.variant)
    answers = [f"{title_of_model(side.column)} answers {_say(side)}" for side in sides]
    return f"{card.picture.name}: {join_names(answers)}."


def _say(card: AnswerCard) -> str:
    return BROKEN_ANSWER if card.state == "broken" else f"{card.label} ({card.percent})"


def say_answers_are_coming(picture: str, models: int) -> str:
    """Say of a picture that models have not answered yet."""
    are = verb(models, "is", "are")
    return f"{picture}: {formats.plural(models, 'model')} {are} about to answer"


def costs(comparison: Comparison, column: str) -> tuple[str, ...]:
    """Write the size of a model's file and what a picture takes, as far as they are known.

    The original has no file of its own to compare: its size is that of the float32 file.
    """
    parts = []
    if column == ORIGINAL and comparison.float32_bytes:
        parts.append(f"{formats.megabytes(comparison.float32_bytes)} in {FLOAT32}")
    elif column in comparison.sizes:
        parts.append(formats.megabytes(comparison.sizes[column]))
    timed = None if comparison.latency is None else comparison.latency.of(column)
    if timed is not None:
        parts.append(formats.milliseconds(timed.median_ms, timed.pictures))
    return tuple(parts)


def strip_headline(variant: str, changed: int, pictures: int, listed: Sequence[bool]) -> str:
    """Say how many answers a variant changes, and which pictures are listed below.

    Args:
        variant: The variant.
        changed: Pictures whose answer it changes.
        pictures: All pictures.
        listed: Of each picture in the list, whether its answer changed.
    """
    flips, closest = sum(listed), len(listed) - sum(listed)
    if changed == 0:
        who = formats.title_at_start(variant)
        few = f"Here {verb(closest, 'is the closest call', 'are the closest calls')}."
        return f"{who} keeps the answer on {formats.all_of(pictures, 'picture')}. {few}"
    count = formats.number(changed).capitalize()
    change = verb(changed, "changes its answer", "change their answer")
    of_all = f"{count} of {formats.plural(pictures, 'picture')}"
    sentence = f"{of_all} {change} in {title_of_model(variant)}."
    if flips < changed:
        return f"{sentence} Here are the {flips} that tell most."
    if closest:
        few = verb(closest, "The other one is the closest call", "The others are the closest calls")
        return f"{sentence} {few}."
    return sentence


def stage_label(comparison: Comparison, variant: str) -> str:
    """Name the stage, for people who do not see it."""
    return f"One picture under {reference_title(comparison)} and {title_of_model(variant)}"


def handle_label(comparison: Comparison, variant: str) -> str:
    """Name the handle, for people who do not see it."""
    return f"Share of {reference_title(comparison)} beside {title_of_model(variant)}"


def handle_values(comparison: Comparison, variant: str) -> str:
    """Write what the handle shows; ``{left}`` and ``{right}`` stand for two shares in percent."""
    return f"{{left}}\xa0% {reference_title(comparison)}, {{right}}\xa0% {title_of_model(variant)}"


def race_headline(race: Race, latency: Latency) -> str:
    """Say who races, over how many pictures, and where the speeds come from."""
    sides = (race.rival, race.variant)
    speeds = " and ".join(
        f"{_title(side)} at {formats.milliseconds(side.median_ms)}" for side in sides
    )
    sentence = (
        f"{formats.spell_count(race.calls, 'picture')} each, one after another, in real time: "
        f"{speeds} a picture, the medians measured on {latency.host}."
    )
    noisy = [_title(side) for side in sides if not side.trusted]
    if noisy:
        sentence += f" Timing was noisy for {join_names(noisy)}."
    return sentence


def race_result(race: Race) -> str:
    """Say how long both took, and how much faster one was; nothing is faster within `SAME`."""
    sides = sorted((race.rival, race.variant), key=lambda side: side.median_ms)
    quick, slow = sides
    ratio = slow.median_ms / quick.median_ms
    slack = max(side.slack for side in sides)
    took = f"{_title(quick)} took {formats.seconds(race.seconds(quick))}, {_title(slow)}"
    sentence = f"{took} {formats.seconds(race.seconds(slow))}"
    if ratio - 1 <= max(slack, SAME):
        return f"{sentence}: no difference found."
    return f"{sentence}: {_title(quick)} is {formats.times(ratio)} faster."


def no_race(comparison: Comparison, variant: str, run: str) -> str:
    """Say why there is no race, and how to measure."""
    timed = comparison.latency
    if timed is None:
        what = "no model is timed yet"
    elif timed.of(variant) is None:
        what = f"{title_of_model(variant)} is not timed yet"
    else:
        what = f"no model is timed beside {title_of_model(variant)}"
    return (
        f"No race: {what}. Measure on the page Speed and size, or by "
        f"python -m engine latency --run {run}."
    )


def _title(side: LatencySamples) -> str:
    return title_of_model(side.variant)
