"""Sentences of the page Overview: recommendation, evidence, timings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency
from engine.comparison.recommendation import (
    Candidate,
    Choice,
    candidates,
    clearly_quicker,
    clearly_smaller,
    closest,
    count_unanswered,
    pictures_to_prove,
    quickest,
    quickest_of,
    select_timed,
    smallest,
    smallest_of,
)
from engine.comparison.records import FLOAT32
from engine.core import formats
from engine.core.formats import join_names, number, spell_count, verb
from engine.core.types import SAME
from engine.reporting.text.runs import (
    MOST_NAMED,
    names_or_count,
    reference_title,
    weight_of_pictures,
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the three cards.

    Attributes:
        title: What it is best at.
        figure: The figure that says so.
        variant: Whose it is.
        detail: Beside what it stands.
    """

    title: str
    figure: str
    variant: str
    detail: str


def headline(comparison: Comparison, choice: Choice) -> str:
    """Give the answer in one sentence, about the variant to take, or else the nearest one."""
    about = choice.about
    if not comparison.variants:
        return "There is no variant to compare"
    if about is None and count_unanswered(comparison) == len(comparison.pictures):
        return f"{_reference_at_start(comparison)} itself gives answers that are not numbers"
    if about is None and all(v.fault == "not_finite" for v in comparison.variants):
        return "Every variant gives answers that are not numbers. These models are broken"
    if about is None:
        return "No variant gives answers that are of use. These models are broken"
    total = about.pictures
    where = "On this one picture" if total == 1 else f"On these {total} pictures"
    gain = _gain(about)
    answers = f"answers like {reference_title(comparison)} on {_same_answers(about)}"
    sentence = f"{where}, {about.variant} {gain}{' and ' if gain else ''}{answers}"
    return f"{sentence}; its weakest picture is {about.weakest}"


def _reference_at_start(comparison: Comparison) -> str:
    title = reference_title(comparison)
    return "The original" if title == "the original" else title


def _gain(about: Candidate) -> str:
    if about.variant == FLOAT32:
        return ""
    parts = []
    if about.smaller is not None:
        parts.append(_ratio(about.smaller, "smaller", "larger"))
    if about.quicker is not None:
        parts.append(_ratio(about.quicker, "quicker", "slower", about.latency_slack))
    return f"is {_beside(parts)}" if parts else ""


def _beside(parts: list[str]) -> str:
    return f"{' and '.join(parts)} {'as' if parts[-1].startswith('as ') else 'than'} float32"


def _ratio(ratio: float, more: str, less: str, slack: float = SAME) -> str:
    if max(ratio, 1 / ratio) <= 1 + slack:
        return {"smaller": "as large", "quicker": "as quick"}[more]
    return f"{formats.times(ratio)} {more}" if ratio > 1 else f"{formats.times(1 / ratio)} {less}"


def _same_answers(about: Candidate) -> str:
    if about.pictures == 1:
        return "it" if about.agreeing else "none"
    return f"all {about.pictures}" if about.agreeing == about.pictures else f"{about.agreeing}"


def proof(choice: Choice) -> str:
    """Say how much these pictures prove about the variant that the headline names."""
    about = choice.about
    if about is None:
        return ""
    low, high = formats.bounds(about.interval)
    sentence = (
        f"{weight_of_pictures(about.pictures)}: of all pictures, between {low} % and {high} % "
        "would keep their answer (95 % interval)."
    )
    needed = pictures_to_prove(choice.need)
    if about.interval.low >= choice.need:
        return f"{sentence} That is the {_share(choice.need)} asked for."
    if needed is None:
        return f"{sentence} No number of pictures proves 100 %."
    return (
        f"{sentence} To prove {_share(choice.need)}, {needed} pictures without one changed answer "
        "are needed."
    )


def recommendation(choice: Choice) -> str:
    """Say which variant to take."""
    if choice.taken is None:
        return f"No variant keeps {_share(choice.need)} of the answers"
    return f"Take {choice.taken.variant}"


def reason(comparison: Comparison, choice: Choice) -> str:
    """Say why that one, and what a lower need would gain."""
    taken, nearest = choice.taken, choice.nearest
    if taken is not None:
        sentence = " ".join((_why(taken, choice), *_what_speed_decides(comparison, choice)))
    elif nearest is not None:
        sentence = (
            f"{nearest.variant} comes nearest with {formats.percent(nearest.agreement)}, "
            f"{nearest.agreeing} of {nearest.pictures}."
        )
    elif all(v.fault == "not_finite" for v in comparison.variants):
        sentence = "Every variant gives NaN or Inf."
    else:
        sentence = "Every variant gives NaN or Inf, or answers the same for every picture."
    if count := count_unanswered(comparison):
        sentence += (
            f" {_reference_at_start(comparison)} gives NaN or Inf on {count} of "
            f"{len(comparison.pictures)} pictures, where nothing can answer like it."
        )
    if taken is not None and comparison.random_weights:
        sentence += " The weights are random: agreement says nothing about a trained model."
    return sentence


def _why(taken: Candidate, choice: Choice) -> str:
    share = f"at least {_share(choice.need)} of the answers"
    if len(choice.eligible) == 1:
        sentence = f"It is the only variant that keeps {share}."
    else:
        timed = select_timed(choice.eligible)
        compared = timed or choice.eligible
        quickest_ones = quickest_of(choice.eligible)
        smaller = timed and len(smallest_of(quickest_ones)) < len(quickest_ones)
        best = "quickest" if timed else "smallest"
        if smaller:
            best = f"smallest of the {number(len(quickest_ones))} quickest"
        which = "timed variants" if len(compared) < len(choice.eligible) else "variants"
        sentence = f"Of {len(compared)} {which} that keep {share}, it is the {best}"
        if choice.alike:
            what = "quick and small" if timed else "small"
            who = names_or_count(choice.alike)
            sentence += f"; {who} {verb(len(choice.alike), 'is', 'are')} as {what}, but further off"
        sentence += "."
    return sentence if choice.bolder is None else f"{sentence} {_bolder(choice.bolder, taken)}"


def _what_speed_decides(comparison: Comparison, choice: Choice) -> Iterator[str]:
    """Yield what to know about the timings behind a choice."""
    untimed = [c.variant for c in choice.eligible if c.latency_ms is None]
    if comparison.latency is None:
        yield "Nothing is timed yet: speed may change this."
    elif untimed and select_timed(choice.eligible):
        verbs = verb(len(untimed), "is", "are"), verb(len(untimed), "was", "were")
        who = names_or_count(untimed)
        yield f"{who} {verbs[0]} not timed and {verbs[1]} not considered for speed."
    elif untimed and len(choice.eligible) > 1:
        timed = [c.variant for c in choice.eligible if c.latency_ms is not None]
        who = f"Only {timed[0]}" if timed else "None of them"
        yield f"{who} is timed, so that no speed can be compared: size decides."
    unsteady = [c.variant for c in choice.eligible if not c.steady]
    if unsteady:
        yield (
            f"{names_or_count(unsteady)} {verb(len(unsteady), 'is', 'are')} timed unsteadily: "
            "differences of speed within the spread count as none."
        )


def _bolder(bold: Candidate, taken: Candidate) -> str:
    gains = []
    if clearly_quicker(bold, taken) and bold.latency_ms and taken.latency_ms:
        gains.append(f"{formats.times(taken.latency_ms / bold.latency_ms)} quicker")
    if clearly_smaller(bold, taken) and bold.size_bytes and taken.size_bytes:
        gains.append(f"{formats.times(taken.size_bytes / bold.size_bytes)} smaller")
    share = formats.percent(bold.agreement)
    return f"If {share} were enough, {bold.variant} would be {' and '.join(gains)}."


def describe_measurement(comparison: Comparison, converted_at: str) -> str:
    """Say where and when the figures were made."""
    conversion = f"Converted {_minute(converted_at)}"
    timed = comparison.latency
    if timed is None:
        return f"{conversion}; speed is not measured yet."
    return f"{conversion}; timed {moments(timed)} on {where(timed)}."


def timing_note(timed: Latency) -> str:
    """Say in one sentence which timings are not to be trusted; empty where all are."""
    unsteady = [entry.variant for entry in timed.entries if not entry.trusted]
    if not unsteady:
        return ""
    several = f"{len(unsteady)} of {len(timed.entries)}"
    who = join_names(unsteady) if len(unsteady) <= MOST_NAMED else several
    return (
        f"{who} {verb(len(unsteady), 'is', 'are')} timed unsteadily, so that small differences of "
        "speed mean nothing: measure again while nothing else runs."
    )


def moments(timed: Latency) -> str:
    """Say when some timings were taken; those of one moment took turns."""
    first, last = _minute(timed.moments[0]), _minute(timed.moments[-1])
    return last if first == last else f"in several measurements, {first} to {last},"


def rounds(timed: Latency) -> str:
    """Write how often each model was called: "50", or "20 to 50" where that differs."""
    counts = sorted({len(entry.samples_ms) for entry in timed.entries})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def where(timed: Latency) -> str:
    """Name the machine of some timings."""
    threads = "one thread" if timed.threads == 1 else f"{timed.threads} threads"
    return f"{timed.host}, {timed.cores} cores, {threads}"


def _minute(moment: str) -> str:
    return f"{moment[:16].replace('T', ' ')} UTC"


def _share(need: float) -> str:
    return f"{need * 100:g} %"


def against_headline(comparison: Comparison, against: Comparison) -> str:
    """Say what variants gained or lost against those of another run, on the same pictures."""
    ours, theirs = comparison.run, against.run
    sides = {c.variant: c for c in candidates(against)}
    pairs = [(c, sides[c.variant]) for c in candidates(comparison) if c.variant in sides]
    if not pairs:
        return f"{ours} and {theirs} have no variant in common"
    unequal = [(a, b) for a, b in pairs if a.difference != b.difference or a.agreeing != b.agreeing]
    if not unequal:
        names = spell_count(len(pairs), "variant")
        return f"No difference found between {ours} and {theirs} in {names.lower()}"
    a, b = max(unequal, key=lambda pair: abs(pair[0].difference - pair[1].difference))
    closer = "closer" if a.difference < b.difference else "further off"
    return (
        f"{a.variant} of {ours} is {closer} than that of {theirs}: rms "
        f"{formats.logits(a.difference)} against {formats.logits(b.difference)}, same answer on "
        f"{a.agreeing} against {b.agreeing} of {a.pictures} pictures"
    )


def tiles(of: tuple[Candidate, ...]) -> tuple[Tile, ...]:
    """Make the three cards: smallest, quickest, closest; fewer where a figure is not known."""
    sound = [c for c in of if not c.broken]
    cards = []
    if (small := smallest(of)) is not None:
        beside = "float32 is not known"
        if small.smaller is not None:
            beside = _beside([_ratio(small.smaller, "smaller", "larger")])
        beside += _ties(small, smallest_of(sound), "small")
        cards.append(Tile("Smallest", formats.megabytes(small.size_bytes), small.variant, beside))
    if (quick := quickest(of)) is not None:
        beside = "float32 was not timed"
        if quick.quicker is not None:
            beside = _beside([_ratio(quick.quicker, "quicker", "slower", quick.latency_slack)])
        beside += _ties(quick, quickest_of(sound), "quick")
        time = formats.milliseconds(quick.latency_ms, quick.timed_pictures)
        cards.append(Tile("Quickest", time, quick.variant, beside))
    if (close := closest(of)) is not None:
        beside = f"same answer on {close.agreeing} of {close.pictures}"
        rms = f"rms {formats.logits(close.difference)}"
        cards.append(Tile("Closest", rms, close.variant, beside))
    return tuple(cards)


def _ties(best: Candidate, level: Sequence[Candidate], how: str) -> str:
    """Name those whose figure differs from that on a card by nothing that counts."""
    others = [c.variant for c in level if c is not best]
    if not others:
        return ""
    return f"; {names_or_count(others)} {verb(len(others), 'is', 'are')} as {how}"


def not_recommended(choice: Choice, variant: str) -> str:
    """Warn before a variant is shipped that is not the recommended one; else empty."""
    if choice.taken is not None and choice.taken.variant == variant:
        return ""
    if choice.taken is None:
        return f"{recommendation(choice)}: {variant} is not recommended."
    return (
        f"{choice.taken.variant} is recommended where at least {_share(choice.need)} of the "
        f"answers must stay, not {variant}."
    )
