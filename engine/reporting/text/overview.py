"""Sentences of the page Result: the verdict and its figures, evidence, timings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency
from engine.comparison.recommendation import (
    Candidate,
    Choice,
    candidates,
    clearly_quicker,
    clearly_smaller,
    count_unanswered,
    pictures_to_prove,
    quickest_of,
    select_timed,
    smallest_of,
)
from engine.comparison.records import FLOAT32
from engine.core import formats
from engine.core.formats import (
    cut_name,
    join_names,
    number,
    plural,
    spell_count,
    verb,
    whole_percent,
)
from engine.core.types import SAME
from engine.reporting.text.destination import runs_there, target_lines, what_the_target_decides
from engine.reporting.text.runs import (
    MOST_NAMED,
    names_or_count,
    reference_at_start,
    reference_title,
)

CONFIDENCE = "95\xa0% confidence"
_RUN = 22


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the variant that the verdict names, beside the original's.

    Attributes:
        title: What is measured.
        figure: The variant's.
        detail: The original's, and what lies between.
    """

    title: str
    figure: str
    detail: str


ChipState = Literal["proven", "likely", "few", "unmet"]


@dataclass(frozen=True, slots=True)
class Chip:
    """How far the pictures prove what the verdict says.

    Attributes:
        state: ``proven``: the interval lies above the need; ``few``: more pictures without a
            change would prove it; ``likely``: the pictures keep as many answers, and the interval
            reaches below the need; ``unmet``: no variant keeps as many.
        words: For people.
    """

    state: ChipState
    words: str


def headline(comparison: Comparison, choice: Choice) -> str:
    """Give the answer in one sentence, about the variant to take, or else the nearest one."""
    about = choice.about
    if not comparison.variants:
        return "There is no variant to compare"
    if about is None and count_unanswered(comparison) == len(comparison.pictures):
        return f"{reference_at_start(comparison)} itself gives answers that are not numbers"
    if about is None and all(v.fault == "not_finite" for v in comparison.variants):
        return "Every variant gives answers that are not numbers. These models are broken"
    if about is None:
        return "No variant gives answers that are of use. These models are broken"
    gains = _gains(about)
    if comparison.random_weights:
        return f"{about.variant} with random weights: {', '.join(gains) or 'as large as float32'}"
    if choice.taken is None:
        sentence = recommendation(choice)
        if _refused(choice):
            return sentence
        nearest = f"{about.variant} comes closest with {about.agreeing} of {about.pictures}"
        return f"{sentence}; {nearest}"
    if there := runs_there(choice):
        # Speed was measured here, and equal answers stand below: a phone has room for three lines.
        return f"Ship {about.variant}: {', '.join((*_gains(replace(about, quicker=None)), there))}"
    return f"Ship {about.variant}: {', '.join((*gains, _same_answers(comparison, about)))}"


def _refused(choice: Choice) -> bool:
    """Whether the chosen target refuses every variant, even the one to speak about."""
    if choice.destination is None or choice.about is None:
        return False
    return choice.destination.fit(choice.about.variant).level == "refused"


def _gains(about: Candidate) -> list[str]:
    if about.variant == FLOAT32:
        return []
    gains = []
    if about.smaller is not None:
        gains.append(_ratio(about.smaller, "smaller", "larger"))
    if about.quicker is not None:
        gains.append(_ratio(about.quicker, "faster", "slower", about.latency_slack))
    return gains


def _ratio(ratio: float, more: str, less: str, slack: float = SAME) -> str:
    if max(ratio, 1 / ratio) <= 1 + slack:
        return f"as {_ALIKE[more]} as float32"
    return f"{formats.times(ratio)} {more}" if ratio > 1 else f"{formats.times(1 / ratio)} {less}"


_ALIKE = {"smaller": "large", "faster": "fast", "less": "much"}


def _same_answers(comparison: Comparison, about: Candidate) -> str:
    title = reference_title(comparison)
    beside = "" if title == "the original" else f" as {title}"
    if about.pictures == 1:
        return f"{'same' if about.agreeing else 'another'} answer{beside} on this one picture"
    of = "all" if about.agreeing == about.pictures else f"{about.agreeing} of"
    return f"same answer{beside} on {of} {about.pictures} pictures"


def proof(choice: Choice) -> str:
    """Say how much these pictures prove about the variant that the headline names."""
    about = choice.about
    if about is None:
        return ""
    low, high = formats.bounds(about.interval)
    between = (
        f"On {plural(about.pictures, 'picture')} agreement is {low} to "
        f"{formats.with_unit(high, '%')} ({CONFIDENCE})"
    )
    if choice.proven:
        return f"{between}, above your {whole_percent(choice.need)} target."
    needed = pictures_to_prove(choice.need)
    if needed is None:
        return f"{between}. No number of pictures proves 100\xa0%."
    if not choice.pictures_missing:
        return f"{between}; your target is {whole_percent(choice.need)}."
    count = spell_count(about.pictures, "picture")
    return (
        f"{count} {verb(about.pictures, 'is', 'are')} too few to be sure: true agreement could be "
        f"as low as {formats.with_unit(low, '%')} ({CONFIDENCE}). {needed} pictures without a "
        f"change would show at least {whole_percent(choice.need)}."
    )


def chip(choice: Choice) -> Chip | None:
    """Say in two words how far the pictures prove the verdict; None where no model is of use."""
    if choice.about is None:
        return None
    if choice.taken is None:
        words = "Refused there" if _refused(choice) else f"Below {whole_percent(choice.need)}"
        return Chip("unmet", words)
    if choice.proven:
        return Chip("proven", "Proven")
    if missing := choice.pictures_missing:
        return Chip("few", f"Too few pictures ({missing} more)")
    return Chip("likely", "Likely")


def recommendation(choice: Choice) -> str:
    """Say which variant to take."""
    target = choice.destination
    if choice.taken is not None:
        return f"Take {choice.taken.variant}"
    if target is not None and _refused(choice):
        return f"No variant runs {target.where}"
    runs = (
        target is not None
        and choice.about is not None
        and (target.fit(choice.about.variant).level != "unknown")
    )
    which = f"variant that runs {target.where}" if target is not None and runs else "variant"
    return f"No {which} keeps {whole_percent(choice.need)} of the answers"


def reason(comparison: Comparison, choice: Choice) -> str:
    """Say why that one, and what a lower need would gain."""
    taken, nearest = choice.taken, choice.nearest
    if taken is not None:
        decided = *_what_speed_decides(comparison, choice), *what_the_target_decides(choice)
        sentence = " ".join((_why(taken, choice), *decided))
    elif nearest is not None and _refused(choice):
        sentence = "Choose another target, or add a variant that it takes."
    elif nearest is not None:
        closest = f"{nearest.variant} comes closest with {nearest.agreeing} of {nearest.pictures}."
        sentence = " ".join((closest, *what_the_target_decides(choice)))
    elif all(v.fault == "not_finite" for v in comparison.variants):
        sentence = "Every variant gives NaN or Inf."
    else:
        sentence = "Every variant gives NaN or Inf, or answers the same for every picture."
    if count := count_unanswered(comparison):
        sentence += (
            f" {reference_at_start(comparison)} gives NaN or Inf on {count} of "
            f"{len(comparison.pictures)} pictures, where nothing can answer like it."
        )
    if taken is not None and comparison.random_weights:
        sentence += " The weights are random: agreement says nothing about a trained model."
    return sentence


def _why(taken: Candidate, choice: Choice) -> str:
    share = f"at least {whole_percent(choice.need)} of the answers"
    if choice.need == 1:
        share = "every answer"
    there = runs_there(choice, len(choice.eligible))
    share += f" and {there}" if there else ""
    if len(choice.eligible) == 1:
        sentence = f"It is the only variant that keeps {share}."
    else:
        timed = select_timed(choice.eligible)
        compared = timed or choice.eligible
        quickest_ones = quickest_of(choice.eligible)
        smaller = timed and len(smallest_of(quickest_ones)) < len(quickest_ones)
        best = "fastest" if timed else "smallest"
        if smaller:
            best = f"smallest of the {number(len(quickest_ones))} fastest"
        which = "timed variants" if len(compared) < len(choice.eligible) else "variants"
        sentence = f"Of {len(compared)} {which} that keep {share}, it is the {best}"
        if choice.alike:
            what = "fast and small" if timed else "small"
            who = names_or_count(choice.alike)
            verbs = verb(len(choice.alike), "is", "are")
            sentence += f"; {who} {verbs} just as {what}, but less faithful"
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
            f"Timing was noisy for {names_or_count(unsteady)}: differences within the spread count "
            "as none."
        )


def _bolder(bold: Candidate, taken: Candidate) -> str:
    gains = []
    if clearly_quicker(bold, taken) and bold.latency_ms and taken.latency_ms:
        gains.append(f"{formats.times(taken.latency_ms / bold.latency_ms)} faster")
    if clearly_smaller(bold, taken) and bold.size_bytes and taken.size_bytes:
        gains.append(f"{formats.times(taken.size_bytes / bold.size_bytes)} smaller")
    share = formats.count_or_percent(bold.agreement, bold.pictures)
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
    several = f"{len(unsteady)} of {len(timed.entries)} models"
    who = join_names(unsteady) if len(unsteady) <= MOST_NAMED else several
    return (
        f"Timing was noisy for {who}; ignore small differences and measure again on an idle "
        "machine."
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
    closer = "closer" if a.difference < b.difference else "less faithful"
    return (
        f"{a.variant} is {closer} in {cut_name(ours, _RUN)} than in {cut_name(theirs, _RUN)}: rms "
        f"{formats.logits(a.difference)} against {formats.logits(b.difference)}, same answer on "
        f"{a.agreeing} against {b.agreeing} of {a.pictures}"
    )


def tiles(comparison: Comparison, choice: Choice) -> tuple[Tile, ...]:
    """Set the figures of the variant that the verdict names beside the original's.

    Args:
        comparison: With accuracy where right answers are known; their tile is left out otherwise.
        choice: The recommendation.

    Returns:
        Size, latency, peak memory where it was measured, same answers, right answers; none where
        no model is of use.
    """
    about = choice.about
    if about is None:
        return ()
    return (
        _size_tile(comparison, choice, about),
        _latency_tile(comparison, choice, about),
        *_memory_tile(comparison, about),
        Tile(
            "Same answers",
            f"{about.agreeing} of {about.pictures}",
            f"{formats.interval(about.interval)} of all pictures ({CONFIDENCE})",
        ),
        *_right_tile(comparison, about),
    )


def _size_tile(comparison: Comparison, choice: Choice, about: Candidate) -> Tile:
    detail = "float32 is not in the run"
    if about.smaller is not None:
        detail = f"{formats.megabytes(comparison.float32_bytes)} in float32"
        detail += _beside(about, _ratio(about.smaller, "smaller", "larger"))
    return Tile(
        "Size",
        formats.megabytes(about.size_bytes),
        detail + _ties(about, smallest_of(choice.eligible), "small"),
    )


def _latency_tile(comparison: Comparison, choice: Choice, about: Candidate) -> Tile:
    timed = comparison.latency
    if timed is None or about.latency_ms is None:
        return Tile("Latency", formats.UNKNOWN, "not timed yet")
    time = formats.milliseconds(about.latency_ms, about.timed_pictures)
    base = timed.of(FLOAT32)
    detail = "float32 was not timed"
    if base is not None and about.quicker is not None:
        detail = f"{formats.milliseconds(base.median_ms, base.pictures)} in float32"
        detail += _beside(about, _ratio(about.quicker, "faster", "slower", about.latency_slack))
    return Tile("Latency", time, detail + _ties(about, quickest_of(choice.eligible), "fast"))


def _memory_tile(comparison: Comparison, about: Candidate) -> Iterator[Tile]:
    use, ratio = comparison.memory.get(about.variant), comparison.memory_ratio(about.variant)
    if use is None:
        return
    detail = f"loads in {formats.milliseconds(use.load_ms)}"
    if ratio:
        base = formats.megabytes(comparison.memory[FLOAT32].peak_bytes)
        beside = _beside(about, _ratio(1 / ratio, "less", "more"))
        detail = f"{base} in float32{beside}; {detail}"
    yield Tile("Peak memory", formats.megabytes(use.peak_bytes), detail)


def _beside(about: Candidate, ratio: str) -> str:
    if about.variant == FLOAT32:
        return ""
    return ": no difference" if ratio.startswith("as ") else f": {ratio}"


def _right_tile(comparison: Comparison, about: Candidate) -> Iterator[Tile]:
    base = comparison.reference_accuracy
    own = comparison.variant(about.variant).accuracy
    if base is None or own is None:
        return
    counts = [round(side.top1 * side.pictures) for side in (own, base)]
    detail = f"{reference_at_start(comparison)}: {counts[1]} of {base.pictures}"
    if own.lost or own.won:
        detail += f"; {own.lost} lost, {own.won} gained"
    yield Tile("Right answers", f"{counts[0]} of {own.pictures}", detail)


def _ties(best: Candidate, level: Sequence[Candidate], how: str) -> str:
    """Name those whose figure differs from that on a card by nothing that counts."""
    others = [c.variant for c in level if c is not best and c.variant != FLOAT32]
    if not others:
        return ""
    return f"; {names_or_count(others)} {verb(len(others), 'is', 'are')} as {how}"


def not_recommended(choice: Choice, variant: str) -> str:
    """Warn before a variant is shipped that is not the recommended one; else empty."""
    if choice.taken is not None and choice.taken.variant == variant:
        return ""
    target = choice.destination
    if target is not None and target.fit(variant).level == "refused":
        return f"{target_lines((variant,), target)[0].rstrip('.')}."
    if choice.taken is None:
        return f"{recommendation(choice)}: {variant} is not recommended."
    return (
        f"{choice.taken.variant} is recommended where at least {whole_percent(choice.need)} of "
        f"the answers must stay, not {variant}."
    )
