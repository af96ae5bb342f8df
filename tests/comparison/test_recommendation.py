from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from engine.comparison import recommendation as overview
from engine.comparison.comparison import Comparison
from engine.comparison.metrics import wilson_interval
from engine.comparison.records import latency_dict
from engine.core import formats
from engine.reporting.plots import figures, titles
from engine.reporting.text import overview as overview_sentences
from engine.reporting.text import runs
from tests.helpers.factories import LOGITS, comparison, latency, memory_use

FLIPPED = LOGITS[:, [1, 0, 2]]
NEAR = LOGITS + np.array([[0.1, -0.1, 0.0]], np.float32)
SIZES = {"float32": 400, "int8": 100, "int8_optimized": 101, "float16": 200, "dynamic_range": 90}
MEDIANS = {
    "float32": 8.0,
    "int8": 4.0,
    "int8_optimized": 4.1,
    "float16": 8.1,
    "dynamic_range": 12.0,
}
ANSWERS = {
    "float32": LOGITS,
    "int8": FLIPPED,
    "int8_optimized": NEAR,
    "float16": LOGITS + np.array([[0.01, 0, 0]], np.float32),
    "dynamic_range": NEAR * np.float32(1.1),
}


def made(answers: Mapping[str, np.ndarray] = ANSWERS, **options: object) -> Comparison:
    given = {"sizes": SIZES, "float32_bytes": 400, "latency": latency(MEDIANS)} | options
    return comparison(answers, **given)


def test_the_figures_of_a_candidate() -> None:
    found = overview.candidates(made())
    assert [c.variant for c in found] == list(ANSWERS)
    int8 = found[1]
    assert (int8.smaller, int8.quicker, int8.agreeing, int8.pictures) == (4.0, 2.0, 1, 3)
    assert int8.weakest == "picture_0.jpg"
    assert int8.interval == wilson_interval(1, 3)


def tiles(found: Comparison, need: float = 0.9) -> dict[str, tuple[str, str]]:
    choice = overview.recommend(overview.candidates(found), need)
    shown = overview_sentences.tiles(found, choice)
    return {tile.title: (tile.figure, tile.detail) for tile in shown}


def test_the_figures_beside_those_of_the_original() -> None:
    sizes = {"float32": 4_000_000, "int8_optimized": 1_000_000}
    assert tiles(made(float32_bytes=4_000_000, sizes=sizes)) == {
        "Size": ("1.0\xa0MB", "4.0\xa0MB in float32: 4.0\xa0× smaller"),
        "Latency": ("4.1\xa0ms", "8.0\xa0ms in float32: 2.0\xa0× faster"),
        "Same answers": ("3 of 3", "43 to 100\xa0% of all pictures (95\xa0% confidence)"),
    }
    assert tiles(made(latency=None))["Latency"] == ("–", "not timed yet")
    assert tiles(made({"float32": LOGITS}))["Latency"] == ("8.0\xa0ms", "8.0\xa0ms in float32")
    with_memory = tiles(made(memory=memory_use({"float32": 46e6, "int8_optimized": 15e6})))
    assert list(with_memory) == ["Size", "Latency", "Peak memory", "Same answers"]
    assert with_memory["Peak memory"] == (
        "15.0\xa0MB",
        "46.0\xa0MB in float32: 3.1\xa0× less; loads in 2.0\xa0ms",
    )
    alone = tiles(made(memory=memory_use({"int8_optimized": 15e6})))
    assert alone["Peak memory"] == ("15.0\xa0MB", "loads in 2.0\xa0ms")
    assert "Peak memory" not in tiles(made(memory=memory_use({"float32": 46e6})))
    labelled = made({"int8": FLIPPED}, labels=np.array([0, 1, 2]))
    assert tiles(labelled)["Right answers"] == ("1 of 3", "The original: 3 of 3; 2 lost, 0 gained")
    assert tiles(made({"int8": np.full_like(LOGITS, np.nan)})) == {}


def test_a_time_of_several_pictures_is_said_to_be_one() -> None:
    timed = latency(MEDIANS)
    fours = replace(timed, entries=tuple(replace(entry, pictures=4) for entry in timed.entries))
    assert tiles(made(latency=fours))["Latency"][0].endswith("\xa0ms (4 pictures)")
    assert "\xa0ms (4 pictures), " in titles.latency(fours)
    points = figures.trade_off(made(latency=fours)).to_json()
    assert points.count("\\u00a0ms (4 pictures), ") == len(MEDIANS)


def test_the_plot_fades_what_keeps_too_few_answers_and_rings_what_is_taken() -> None:
    found = made()
    choice = overview.recommend(overview.candidates(found), 0.9)
    figure = figures.trade_off(found, choice)
    faded = {trace.name for trace in figure.data if trace.opacity is not None}
    assert faded == {"int8"}
    ring = figure.data[-1]
    (taken,) = [trace for trace in figure.data if trace.name == "int8_optimized"]
    assert (ring.x, ring.y) == (taken.x, taken.y)
    assert ring.marker.symbol == "circle-open"


@pytest.mark.parametrize(
    ("need", "pictures", "agreeing", "state", "words"),
    [
        (0.95, 250, 250, "proven", "Proven"),
        (0.95, 13, 13, "few", "Too few pictures (60 more)"),
        (0.95, 250, 240, "likely", "Likely"),
        (1.0, 250, 250, "likely", "Likely"),
        (0.95, 250, 200, "unmet", "Below 95\xa0%"),
    ],
)
def test_the_chip(need: float, pictures: int, agreeing: int, state: str, words: str) -> None:
    (int8,) = overview.candidates(made({"int8": LOGITS}))
    counted = replace(
        int8,
        pictures=pictures,
        agreeing=agreeing,
        agreement=agreeing / pictures,
        interval=wilson_interval(agreeing, pictures),
    )
    shown = overview_sentences.chip(overview.recommend((counted,), need))
    assert shown == overview_sentences.Chip(state, words)  # type: ignore[arg-type]


def test_the_recommendation_follows_the_need() -> None:
    found = overview.candidates(made())
    high = overview.recommend(found, 0.9)
    assert high.taken is not None
    assert high.taken.variant == "int8_optimized"
    assert high.alike == ()
    assert high.bolder is None, "int8 is neither quicker nor smaller by more than a twentieth"
    low = overview.recommend(found, 0.0)
    assert low.taken is not None
    assert (low.taken.variant, low.alike) == ("int8_optimized", ("int8",))
    flipping = dict.fromkeys(ANSWERS, FLIPPED)
    none = overview.recommend(overview.candidates(made(flipping)), 0.9)
    assert none.taken is None
    assert none.nearest is not None


def test_a_need_that_costs_speed_says_so() -> None:
    answers = {"float32": LOGITS, "int8": FLIPPED}
    choice = overview.recommend(overview.candidates(made(answers)), 1.0)
    assert choice.taken is not None
    assert choice.bolder is not None
    assert (choice.taken.variant, choice.bolder.variant) == ("float32", "int8")
    assert overview_sentences.reason(made(answers), choice) == (
        "It is the only variant that keeps every answer. If 1 of 3 were enough, "
        "int8 would be 2.0\xa0× faster and 4.0\xa0× smaller."
    )


def test_a_broken_variant_is_never_taken() -> None:
    broken = np.full_like(LOGITS, np.nan)
    found = overview.candidates(made({"int8": broken, "float32": LOGITS}))
    assert [c.broken for c in found] == [True, False]
    choice = overview.recommend(found, 0.0)
    assert choice.taken is not None
    assert choice.taken.variant == "float32"
    nothing = made({"int8": broken})
    none = overview.recommend(overview.candidates(nothing), 0.0)
    assert (none.taken, none.nearest) == (None, None)
    assert "broken" in overview_sentences.headline(nothing, none)
    assert overview_sentences.proof(none) == ""
    assert overview_sentences.chip(none) is None
    assert overview_sentences.reason(nothing, none) == "Every variant gives NaN or Inf."


def told(found: Comparison, need: float = 0.9) -> str:
    return overview_sentences.headline(found, overview.recommend(overview.candidates(found), need))


def test_the_headline() -> None:
    assert told(made()) == (
        "Ship int8_optimized: 4.0\xa0× smaller, 2.0\xa0× faster, same answer on all 3 pictures"
    )
    assert told(made({"int8": FLIPPED})) == (
        "No variant keeps 90\xa0% of the answers; int8 comes closest with 1 of 3"
    )
    assert told(made({"int8": FLIPPED}), 0.3) == (
        "Ship int8: 4.0\xa0× smaller, 2.0\xa0× faster, same answer on 1 of 3 pictures"
    )
    assert "4.4\xa0× smaller, 1.5\xa0× slower, same" in told(made({"dynamic_range": LOGITS}))
    assert told(made({"int8": LOGITS}, latency=None)).startswith(
        "Ship int8: 4.0\xa0× smaller, same"
    )
    assert "2.0\xa0× smaller, as fast as float32, same" in told(made({"float16": LOGITS}))
    assert told(made({"float32": LOGITS})) == "Ship float32: same answer on all 3 pictures"
    assert told(made({"int8": LOGITS[:1]})).endswith("same answer on this one picture")
    assert told(made({"int8": LOGITS}, random_weights=True)) == (
        "int8 with random weights: 4.0\xa0× smaller, 2.0\xa0× faster"
    )
    assert told(made({"original": LOGITS})) == "There is no variant to compare"


def test_the_proof() -> None:
    def proof(need: float, found: Comparison) -> str:
        choice = overview.recommend(overview.candidates(found), need)
        return overview_sentences.proof(choice)

    assert proof(0.95, made()) == (
        "Three pictures are too few to be sure: true agreement could be as low as 43\xa0% (95\xa0% "
        "confidence). 73 pictures without a change would show at least 95\xa0%."
    )
    assert proof(1.0, made()).endswith("No number of pictures proves 100\xa0%.")
    assert proof(0.4, made()) == (
        "On 3 pictures agreement is 43 to 100\xa0% (95\xa0% confidence), above your 40\xa0% target."
    )
    assert proof(0.4, made({"int8": LOGITS[:1]})).startswith("One picture is too few to be sure")


@pytest.mark.parametrize("need", [0.5, 0.9, 0.95, 0.99])
def test_the_number_of_pictures_proves_it_and_one_less_does_not(need: float) -> None:
    count = overview.pictures_to_prove(need)
    assert count is not None
    assert wilson_interval(count, count).low >= need
    assert wilson_interval(count - 1, count - 1).low < need


def test_the_reasons() -> None:
    found = made()
    choice = overview.recommend(overview.candidates(found), 0.9)
    assert overview_sentences.recommendation(choice) == "Take int8_optimized"
    assert overview_sentences.reason(found, choice) == (
        "Of 4 variants that keep at least 90\xa0% of the answers, it is the fastest."
    )
    low = overview.recommend(overview.candidates(found), 0.3)
    assert "int8 is just as fast and small, but less faithful." in overview_sentences.reason(
        found, low
    )
    untimed = made(latency=None)
    first = overview.recommend(overview.candidates(untimed), 0.9)
    assert "it is the smallest" in overview_sentences.reason(untimed, first)
    assert overview_sentences.reason(untimed, first).endswith("speed may change this.")
    only = made({"int8": FLIPPED})
    none = overview.recommend(overview.candidates(only), 0.99)
    assert overview_sentences.recommendation(none) == "No variant keeps 99\xa0% of the answers"
    assert overview_sentences.reason(only, none) == "int8 comes closest with 1 of 3."
    random = made(random_weights=True)
    assert "random" in overview_sentences.reason(
        random, overview.recommend(overview.candidates(random), 0.9)
    )


def test_when_and_where() -> None:
    assert overview_sentences.describe_measurement(made(), "2026-01-02T03:04:05+00:00") == (
        "Converted 2026-01-02 03:04 UTC; timed 2026-01-02 03:04 UTC on a machine, 2 cores, one "
        "thread."
    )
    assert "not measured yet" in overview_sentences.describe_measurement(made(latency=None), "2026")


def test_unsteady_timings_are_one_note() -> None:
    assert overview_sentences.timing_note(latency(MEDIANS)) == ""
    assert overview_sentences.timing_note(latency({"int8": 4.0}, spread=0.5)).startswith(
        "Timing was noisy for int8"
    )
    assert overview_sentences.timing_note(latency(MEDIANS, spread=0.5)).startswith(
        "Timing was noisy for 5 of 5"
    )


def test_a_median_of_zero_is_unsteady_and_nothing_is_divided_by_it() -> None:
    timed = latency({"float32": 8.0, "int8": 0.0})
    assert overview_sentences.timing_note(timed).startswith("Timing was noisy for int8")
    assert (timed.ratio("int8", "float32"), timed.ratio("float32", "int8")) == (0.0, None)
    spreads = [entry["spread"] for entry in latency_dict(timed)["entries"]]
    assert spreads == [0.0, None]
    found = made({"float32": LOGITS, "int8": LOGITS}, latency=timed)
    assert told(found) == "Ship int8: 4.0\xa0× smaller, same answer on all 3 pictures"
    assert formats.percent(math.inf) == formats.UNKNOWN


def test_two_runs() -> None:
    one, other = made({"int8": LOGITS}), made({"int8": FLIPPED})
    assert overview_sentences.against_headline(one, other).startswith(
        "int8 is closer in run than in run: rms 0.000 against"
    )
    assert overview_sentences.against_headline(one, one) == (
        "No difference found between run and run in one variant"
    )
    assert "no variant in common" in overview_sentences.against_headline(
        one, made({"uint8": LOGITS})
    )


@pytest.mark.parametrize("seed", range(20))
def test_noise_of_two_measurements_names_no_other_winner(seed: int) -> None:
    """What is as fast in truth is timed twice, at random up to 3 % apart."""
    medians = dict.fromkeys(("int8", "uint8", "int8_float_io", "int8_optimized"), 4.4)
    medians |= {"float32": 9.2, "dynamic_range": 6.1, "int16x8": 260.0}
    sizes = dict.fromkeys(medians, 5250464) | {"float32": 18_544_552}
    distances = {"int8_optimized": 0.1, "float32": 0.0, "dynamic_range": 0.3, "int16x8": 0.25}
    answers = {
        name: LOGITS + np.float32(distances.get(name, 0.2)) * np.eye(3, dtype=np.float32)
        for name in medians
    }
    noise = np.random.default_rng(seed).uniform(1.0, 1.03, (2, len(medians)))
    named = [
        names_in_headlines(
            answers, sizes, dict(zip(medians, row * [*medians.values()], strict=True))
        )
        for row in noise
    ]
    assert named[0] == named[1]
    assert named[0][0] == ["int8_optimized"]


def names_in_headlines(
    answers: Mapping[str, np.ndarray], sizes: Mapping[str, int], medians: Mapping[str, float]
) -> list[list[str]]:
    """Which variants are named by the headlines of Result, its plot, and Speed and size."""
    timed = latency(medians)
    found = comparison(answers, latency=timed, sizes=sizes)
    choice = overview.recommend(overview.candidates(found), 0.95)
    headlines = (
        overview_sentences.headline(found, choice),
        overview_sentences.recommendation(choice),
        figures.trade_off(found, choice).layout.meta["headline"],
        runs.latency_headline(timed, sizes, 18_544_552),
        titles.latency(timed),
    )
    words = [set(re.findall(r"\w+", text)) for text in headlines]
    return [[name for name in medians if name in each] for each in words]
