"""What would make a run better: each with its gain and its cost, and what needs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from engine.comparison.comparison import Comparison
from engine.comparison.recommendation import Choice
from engine.comparison.records import VariantComparison
from engine.core import formats
from engine.core.formats import list_some, plural
from engine.quantization.recipes import recipe_named
from engine.runs.run import Run
from engine.tasks.improve import improvable, name_optimized
from engine.tasks.targets import list_unmeasured

Kind = Literal["optimize", "mix", "prove", "time", "memory", "label", "calibrate"]
LABELLED_AT_FIRST = 20
_MIXED_FROM = "int8_optimized"


@dataclass(frozen=True, slots=True)
class Opportunity:
    """One thing to do.

    Attributes:
        kind: Which.
        what: To do, in a few words.
        gain: What it brings.
        cost: What it takes or needs, as a sentence without its full stop.
        variant: Which it is about; empty for all.
    """

    kind: Kind
    what: str
    gain: str
    cost: str
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Opportunities:
    """What to do about a run, the most useful first, and what was checked and needs nothing."""

    offered: tuple[Opportunity, ...]
    passed: tuple[str, ...]


def find_opportunities(run: Run, comparison: Comparison, choice: Choice) -> Opportunities:
    """Check a run by its answers.

    Args:
        run: The run.
        comparison: Its variants on the pictures on show, with accuracy where labels are there.
        choice: The recommendation.
    """
    checked = (
        *_optimize(run, comparison, choice),
        *_mix(run, comparison),
        *_prove(choice),
        *_time(comparison),
        *_measure_memory(run, comparison),
        *_label(comparison),
        *_calibrate(run),
    )
    return Opportunities(
        tuple(item for item in checked if isinstance(item, Opportunity)),
        tuple(item for item in checked if isinstance(item, str)),
    )


def _optimize(run: Run, comparison: Comparison, choice: Choice) -> Iterator[Opportunity | str]:
    sides = {side.variant: side for side in comparison.variants if side.fault is None}
    bases = [name for name in improvable(run) if name in sides]
    left = [name for name in bases if name_optimized(run, name) not in run.variants]
    for name in bases:
        after = sides.get(name_optimized(run, name))
        if name not in left and after is not None:
            yield _closer(sides[name], after)
    if not left:
        return
    bolder = choice.bolder.variant if choice.bolder is not None else ""
    base = bolder if bolder in left else left[0]
    if len(left) == len(bases) or base == bolder:
        yield Opportunity(
            "optimize",
            f"Optimize {base}",
            "answers closer to the original at the same size and speed; measured once it is made",
            "Takes about a minute",
            base,
        )


def _mix(run: Run, comparison: Comparison) -> Iterator[Opportunity | str]:
    """Offer layers in float32 once rounding is as good as integers allow."""
    sides = {side.variant: side for side in comparison.variants if side.fault is None}
    base = sides.get(_MIXED_FROM)
    if base is None:
        return
    mixed = [name for name in run.variants if recipe_named(name).mixed]
    yield from (_closer(base, sides[name]) for name in mixed if name in sides)
    if not mixed:
        yield Opportunity(
            "mix",
            "Some layers in float32",
            f"answers closer than {_MIXED_FROM}'s, with as few as that takes",
            "Takes some minutes; the file grows, and is slower",
            _MIXED_FROM,
        )


def _closer(before: VariantComparison, after: VariantComparison) -> str:
    if not before.logit_rms > after.logit_rms:
        return f"{after.variant} is no closer than {before.variant}"
    share = 1 - after.logit_rms / before.logit_rms
    return f"{after.variant} removes {formats.percent(share)} of {before.variant}'s error"


def _prove(choice: Choice) -> Iterator[Opportunity | str]:
    if choice.taken is None:
        return
    share = formats.whole_percent(choice.need)
    if choice.proven:
        yield f"{plural(choice.taken.pictures, 'picture')} prove that {share} of the answers stay"
    elif missing := choice.pictures_missing:
        more = plural(missing, "more picture")
        yield Opportunity(
            "prove",
            f"Show it {more}",
            f"proves that {share} of the answers stay, if none of them changes",
            "Needs photos of yours, or a folder",
        )


def _time(comparison: Comparison) -> Iterator[Opportunity | str]:
    timed, names = comparison.latency, [side.variant for side in comparison.variants]
    untimed = [name for name in names if timed is None or timed.of(name) is None]
    if timed is None or len(untimed) == len(names):
        yield Opportunity(
            "time", "Measure the speed", "speed may change which variant to take", "Takes a minute"
        )
        return
    unsteady = [entry.variant for entry in timed.entries if not entry.trusted]
    if untimed:
        gain = f"so far without {list_some(untimed, 2)}"
        yield Opportunity("time", "Measure the speed", gain, "Takes a minute")
    elif unsteady:
        counts = f"{len(unsteady)} of {len(timed.entries)}"
        yield Opportunity(
            "time",
            "Time again",
            f"{counts} timings were noisy: small differences may be chance",
            "Takes a minute on an idle machine",
        )
    else:
        yield f"{plural(len(timed.entries), 'model')} timed steadily"


def _measure_memory(run: Run, comparison: Comparison) -> Iterator[Opportunity | str]:
    timed, names = comparison.latency, [side.variant for side in comparison.variants]
    if timed is None or any(timed.of(name) is None for name in names):
        return  # measuring the speed measures the memory, too
    unmeasured = [name for name in list_unmeasured(run) if name in names]
    if unmeasured:
        gain = "tells which variants fit where memory is small"
        if comparison.memory:
            gain = f"so far without {list_some(unmeasured, 2)}"
        yield Opportunity("memory", "Measure the memory", gain, "Takes about a second a variant")
    elif comparison.memory:
        yield f"Peak memory of {plural(len(comparison.memory), 'variant')} measured"


def _label(comparison: Comparison) -> Iterator[Opportunity | str]:
    accuracy = comparison.reference_accuracy
    if accuracy is not None:
        yield f"The right answers of {plural(accuracy.pictures, 'picture')} are there"
    elif comparison.variants and not comparison.random_weights:
        count = min(LABELLED_AT_FIRST, len(comparison.pictures))
        yield Opportunity(
            "label",
            f"Label {plural(count, 'picture')}",
            "tells right answers that are lost from wrong ones that change",
            "Needs a minute of clicks, or a CSV",
        )


def _calibrate(run: Run) -> Iterator[Opportunity | str]:
    calibration = run.manifest.calibration
    if calibration is None:
        return
    if calibration.demo:
        yield Opportunity(
            "calibrate",
            "Calibrate with your own pictures",
            "ranges of integers that fit what the model will see",
            "Needs 100 to 500 pictures, and a conversion",
        )
    else:
        yield f"Calibrated with {plural(calibration.count, 'picture')} of yours"
