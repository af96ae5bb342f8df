from __future__ import annotations

import math
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
from tests.helpers.factories import LOGITS, comparison, latency

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


def test_the_three_cards() -> None:
    found = overview.candidates(made())
    assert [c.variant for c in found] == list(ANSWERS)
    cards = overview.smallest(found), overview.quickest(found), overview.closest(found)
    names = [card.variant for card in cards if card]
    assert names == ["dynamic_range", "int8_optimized", "float16"], "int8 is quicker by noise"
    int8 = found[1]
    assert (int8.smaller, int8.quicker, int8.agreeing, int8.pictures) == (4.0, 2.0, 1, 3)
    assert int8.weakest == "picture_0.jpg"
    assert int8.interval == wilson_interval(1, 3)
    alone = overview.candidates(made({"float32": LOGITS}))
    assert overview.closest(alone) is alone[0]
    assert overview.quickest(overview.candidates(made(latency=None))) is None
    assert overview.smallest(()) is None


def test_a_time_of_several_pictures_is_said_to_be_one() -> None:
    timed = latency(MEDIANS)
    fours = replace(timed, entries=tuple(replace(entry, pictures=4) for entry in timed.entries))
    (card,) = [
        tile
        for tile in overview_sentences.tiles(overview.candidates(made(latency=fours)))
        if tile.title == "Quickest"
    ]
    assert card.figure.endswith(" ms (4 pictures)")
    assert " ms (4 pictures), " in titles.latency(fours)
    points = figures.trade_off(made(latency=fours)).to_json()
    assert points.count(" ms (4 pictures), ") == len(MEDIANS)


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
        "It is the only variant that keeps at least 100 % of the answers. If 33.3 % were enough, "
        "int8 would be 2.0 × quicker and 4.0 × smaller."
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
    assert overview_sentences.reason(nothing, none) == "Every variant gives NaN or Inf."


def told(found: Comparison, need: float = 0.9) -> str:
    return overview_sentences.headline(found, overview.recommend(overview.candidates(found), need))


def test_the_headline() -> None:
    assert told(made()) == (
        "On these 3 pictures, int8_optimized is 4.0 × smaller and 2.0 × quicker than float32 and "
        "answers like the original on all 3; its weakest picture is picture_1.jpg"
    )
    assert told(made({"int8": FLIPPED})).endswith(
        "answers like the original on 1; its weakest picture is picture_0.jpg"
    )
    slow = made({"dynamic_range": LOGITS})
    assert "is 4.4 × smaller and 1.5 × slower than float32" in told(slow)
    assert "int8 is 4.0 × smaller than float32 and answers" in told(
        made({"int8": LOGITS}, latency=None)
    )
    assert "float16 is 2.0 × smaller and as quick as float32" in told(made({"float16": LOGITS}))
    assert told(made({"float32": LOGITS})).startswith(
        "On these 3 pictures, float32 answers like the original on all 3"
    )
    assert told(made({"int8": LOGITS[:1]})).startswith("On this one picture, int8 is")
    assert told(made({"original": LOGITS})) == "There is no variant to compare"


def test_the_proof() -> None:
    def proof(need: float, found: Comparison) -> str:
        choice = overview.recommend(overview.candidates(found), need)
        return overview_sentences.proof(choice)

    assert proof(0.95, made()) == (
        "Three pictures prove little: of all pictures, between 43 % and 100 % would keep their "
        "answer (95 % interval). To prove 95 %, 73 pictures without one changed answer are needed."
    )
    assert proof(1.0, made()).endswith("No number of pictures proves 100 %.")
    assert proof(0.4, made()).endswith("That is the 40 % asked for.")
    assert proof(0.4, made({"int8": LOGITS[:1]})).startswith("One picture proves little")


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
        "Of 4 variants that keep at least 90 % of the answers, it is the quickest."
    )
    low = overview.recommend(overview.candidates(found), 0.3)
    assert "int8 is as quick and small, but further off." in overview_sentences.reason(found, low)
    untimed = made(latency=None)
    first = overview.recommend(overview.candidates(untimed), 0.9)
    assert "it is the smallest" in overview_sentences.reason(untimed, first)
    assert overview_sentences.reason(untimed, first).endswith("speed may change this.")
    only = made({"int8": FLIPPED})
    none = overview.recommend(overview.candidates(only), 0.99)
    assert overview_sentences.recommendation(none) == "No variant keeps 99 % of the answers"
    assert overview_sentences.reason(only, none) == "int8 comes nearest with 33.3 %, 1 of 3."
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
        "int8 is timed unsteadily"
    )
    assert overview_sentences.timing_note(latency(MEDIANS, spread=0.5)).startswith("5 of 5 are")


def test_a_median_of_zero_is_unsteady_and_nothing_is_divided_by_it() -> None:
    timed = latency({"float32": 8.0, "int8": 0.0})
    assert overview_sentences.timing_note(timed).startswith("int8 is timed unsteadily")
    assert (timed.ratio("int8", "float32"), timed.ratio("float32", "int8")) == (0.0, None)
    spreads = [entry["spread"] for entry in latency_dict(timed)["entries"]]
    assert spreads == [0.0, None]
    found = made({"float32": LOGITS, "int8": LOGITS}, latency=timed)
    assert told(found).startswith("On these 3 pictures, ")
    assert formats.percent(math.inf) == formats.UNKNOWN


def test_two_runs() -> None:
    one, other = made({"int8": LOGITS}), made({"int8": FLIPPED})
    assert overview_sentences.against_headline(one, other).startswith(
        "int8 of run is closer than that of run: rms 0.000 against"
    )
    assert overview_sentences.against_headline(one, one) == (
        "No difference found between run and run in one variant"
    )
    assert "no variant in common" in overview_sentences.against_headline(
        one, made({"uint8": LOGITS})
    )
