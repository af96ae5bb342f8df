"""Sentences about what it takes to change an answer."""

from __future__ import annotations

from collections.abc import Sequence

from engine.comparison.robustness import FlipStrength, Robustness, RobustnessPoint
from engine.core.formats import all_of, join_names, plural, spell_count, title_of_model, verb
from engine.images.changes import SCALES, ChangeKind
from engine.reporting.text.runs import MOST_NAMED


def kind_in_sentence(kind: ChangeKind) -> str:
    """Name a kind of change within a sentence."""
    title = SCALES[kind].title
    return title if title.startswith("JPEG") else title.lower()


def change_in_sentence(kind: ChangeKind, strength: float) -> str:
    """Name a change with its strength: "blur 1.2 px"."""
    return f"{kind_in_sentence(kind)} {SCALES[kind].of(strength)}"


def flips_sentence(flips: Sequence[FlipStrength]) -> str:
    """Say at which strength of one kind of change each model changes its answer to a picture."""
    kind = flips[0].kind
    unchanged = SCALES[kind].unchanged
    answering = [flip for flip in flips if flip.clean_class is not None]
    by_strength: dict[float, list[str]] = {}
    for flip in answering:
        if flip.strength is not None:
            by_strength.setdefault(flip.strength, []).append(flip.model)
    parts: list[str] = []
    for strength in sorted(by_strength, key=lambda s: (abs(s - unchanged), s)):
        names = by_strength[strength]
        if parts:
            parts.append(f"{_models(names)} at {SCALES[kind].of(strength)}")
        else:
            changes = verb(len(names), "changes its", "change their")
            at = change_in_sentence(kind, strength)
            parts.append(f"{_models(names)} {changes} answer at {at}")
    steady = [flip.model for flip in answering if flip.strength is None]
    if not parts:
        who = "No model changes its answer" if answering else "No model gives an answer"
        sentence = f"{who} at any {kind_in_sentence(kind)} tried"
    elif steady:
        keeps = verb(len(steady), "does", "do")
        sentence = f"{', '.join(parts)}; {_models(steady)} {keeps} at none tried"
    else:
        sentence = ", ".join(parts)
    if answering and len(answering) < len(flips):
        broken = [flip.model for flip in flips if flip.clean_class is None]
        sentence += f"; {_models(broken)} {verb(len(broken), 'gives', 'give')} NaN or Inf"
    return f"{_upper(sentence)}."


def differing_sentence(reference: str, differing: Sequence[str]) -> str:
    """Say which variants answer otherwise than the reference on the picture on show."""
    base = title_of_model(reference)
    if reference in differing:
        return f"{_upper(base)} gives NaN or Inf here"
    if not differing:
        return f"Every variant answers like {base} here"
    return f"{_models(differing)} {verb(len(differing), 'differs', 'differ')} from {base} here"


def back_sentence(flips: Sequence[FlipStrength]) -> str:
    """Say which models are back at their first answer at a stronger change; empty for none."""
    by_strength: dict[float, list[str]] = {}
    for flip in flips:
        if flip.back_at is not None:
            by_strength.setdefault(flip.back_at, []).append(flip.model)
    if not by_strength:
        return ""
    kind = flips[0].kind
    parts = [
        f"{_models(names)} at {SCALES[kind].of(strength)}"
        for strength, names in by_strength.items()
    ]
    return f"Back at the first answer: {', '.join(parts)}."


def tried_sentence(kind: ChangeKind) -> str:
    """Say which strengths a search tried."""
    scale = SCALES[kind]
    tried = sorted(scale.search, reverse=scale.unchanged == max(scale.positions))
    ends = f"{scale.of(tried[0])} to {scale.of(tried[-1])}"
    return f"Tried: {len(tried)} strengths, {ends}."


def agreement_headline(robustness: Robustness, kind: ChangeKind) -> str:
    """Say which variants leave the reference most under one kind of change, and where."""
    reference = title_of_model(robustness.reference)
    least = robustness.least_agreement(kind)
    if least is None:
        return "There is no variant to compare"
    if least.agreeing == least.pictures:
        where = all_of(least.pictures, "picture")
        every = (
            "Every variant answers"
            if len(robustness.variants) > 1
            else f"{robustness.variants[0]} answers"
        )
        return (
            f"{every} like {reference} on {where} under {kind_in_sentence(kind)}: no difference "
            "found"
        )
    names = [
        point.model
        for name in robustness.variants
        for point in robustness.line(kind, name)
        if (point.strength, point.agreeing) == (least.strength, least.agreeing)
    ]
    change = change_in_sentence(kind, least.strength)
    at = "Even unchanged" if least.strength == SCALES[kind].unchanged else f"At {change}"
    answer = verb(len(names), "answers", "answer")
    return f"{at}, {_models(names)} {answer} like {reference} on {_share(least, least.agreeing)}"


def worst_headline(robustness: Robustness) -> str:
    """Say under which change variants leave the reference most; see `agreement_headline`."""
    kinds = robustness.kinds_by_agreement
    least = robustness.least_agreement(kinds[0]) if kinds else None
    if least is None:
        return "There is no variant to compare"
    if least.agreeing < least.pictures or len(kinds) == 1:
        return agreement_headline(robustness, kinds[0])
    changes = plural(len(kinds), "kind")
    return (
        f"No difference found: under {changes} of changes every variant answers like "
        f"{title_of_model(robustness.reference)} on {all_of(least.pictures, 'picture')}"
    )


def stability_headline(robustness: Robustness, kind: ChangeKind) -> str:
    """Say how many of its own answers the reference keeps at most change, and who keeps fewest."""
    own = robustness.line(kind, robustness.reference)
    weakest = min(own, key=lambda point: point.stable)
    reference = title_of_model(robustness.reference)
    if weakest.stable == weakest.pictures:
        return f"{kind_title(kind)} changes none of the answers of {reference}"
    start = f"At {change_in_sentence(kind, weakest.strength)}, {reference} keeps "
    sentence = f"{start}{weakest.stable} of {weakest.pictures} answers"
    beside = [
        point
        for name in robustness.variants
        for point in robustness.line(kind, name)
        if point.strength == weakest.strength
    ]
    fewest = min(beside, key=lambda point: point.stable, default=None)
    if fewest is None or fewest.stable == weakest.stable:
        return sentence
    return f"{sentence}, {fewest.model} {fewest.stable}"


def kind_title(kind: ChangeKind) -> str:
    """Name a kind of change at the start of a sentence."""
    return SCALES[kind].title


def _upper(sentence: str) -> str:
    """Begin a sentence; names of variants stay as they are."""
    return f"T{sentence[1:]}" if sentence.startswith("the ") else sentence


def _share(point: RobustnessPoint, count: int) -> str:
    return f"{count} of {plural(point.pictures, 'picture')}"


def _models(names: Sequence[str]) -> str:
    """Join names of models; of many the first are named, and the rest counted."""
    titles = [title_of_model(name) for name in names]
    if len(titles) <= MOST_NAMED:
        return join_names(titles)
    return f"{', '.join(titles[: MOST_NAMED - 1])} and {len(titles) - MOST_NAMED + 1} more"


def measured_sentence(robustness: Robustness) -> str:
    """Say on what the figures are."""
    pictures = spell_count(len(robustness.pictures), "picture")
    names = join_names([kind_in_sentence(kind) for kind in robustness.kinds])
    shown = verb(len(robustness.pictures), "was", "were")
    models = plural(len(robustness.variants), "variant")
    return (
        f"{pictures} {shown} changed by {names}, in the network's own size, and shown to "
        f"{title_of_model(robustness.reference)} and to {models}."
    )
