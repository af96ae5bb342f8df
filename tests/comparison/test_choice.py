"""What is recommended, called quickest, drawn as the front and offered in Deploy is one choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go
import pytest

from engine.comparison import recommendation as overview
from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency
from engine.comparison.recommendation import TradeOffPoint, best_of, clearly_quicker
from engine.comparison.trade_off import front_of
from engine.deployment.documents import kit_sentence
from engine.reporting.plots import figures
from engine.reporting.text import overview as overview_sentences
from engine.reporting.text import runs as sentences
from engine.reporting.text.improve import improvement_headline
from tests.helpers.factories import LOGITS, comparison, latency

FLIPPED = LOGITS[:, [1, 0, 2]]


def moved(by: float) -> np.ndarray:
    """Every answer as before, the logits further off by so much."""
    return LOGITS + np.array([[by, -by, 0.0]], np.float32)


@dataclass(frozen=True)
class Situation:
    answers: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]
    timed: Latency | None
    taken: str | None
    reason: str
    front: set[str]
    default: str
    need: float = 0.9


EXACT, CLOSE, NEAR, FAR = LOGITS, moved(0.01), moved(0.02), moved(0.1)
FOUR = {"float32": EXACT, "float16": CLOSE, "int8": FAR, "int8_optimized": NEAR}
SIZES = {"float32": 400, "float16": 200, "int8": 100, "int8_optimized": 101}


def unsteady(medians: Mapping[str, float], **spreads: float) -> Latency:
    entries = (
        latency({name: median}, spreads.get(name, 0.0)).entries[0]
        for name, median in medians.items()
    )
    return replace(latency(medians), entries=tuple(entries))


SITUATIONS = {
    "nothing is timed": Situation(
        FOUR,
        SIZES,
        None,
        taken="int8_optimized",
        reason="Of 4 variants that keep at least 90\xa0% of the answers, it is the smallest; int8 "
        "is just as small, but less faithful. Nothing is timed yet: speed may change this.",
        front={"float32", "float16", "int8_optimized"},
        default="int8_optimized",
    ),
    "all are timed": Situation(
        FOUR,
        SIZES,
        latency({"float32": 9.7, "float16": 9.6, "int8": 4.4, "int8_optimized": 6.0}),
        taken="int8",
        reason="Of 4 variants that keep at least 90\xa0% of the answers, it is the fastest.",
        front={"float32", "float16", "int8", "int8_optimized"},
        default="int8",
    ),
    "a tie by noise": Situation(
        FOUR,
        SIZES,
        latency({"float32": 9.7, "float16": 9.6, "int8": 4.39, "int8_optimized": 4.4}),
        taken="int8_optimized",
        reason="Of 4 variants that keep at least 90\xa0% of the answers, it is the fastest; int8 "
        "is just as fast and small, but less faithful.",
        front={"float32", "float16", "int8_optimized"},
        default="int8_optimized",
    ),
    "a tie of speed, and one of them smaller": Situation(
        {"float32": EXACT, "float16": CLOSE},
        SIZES,
        latency({"float32": 9.6, "float16": 9.7}),
        taken="float16",
        reason="Of 2 variants that keep at least 90\xa0% of the answers, it is the smallest of the "
        "two fastest.",
        front={"float32", "float16"},
        default="float16",
    ),
    "the optimized one came after the timing": Situation(
        {"float32": EXACT, "int8": FAR, "int8_optimized": NEAR},
        SIZES,
        latency({"float32": 9.7, "int8": 4.4}),
        taken="int8",
        reason="Of 2 timed variants that keep at least 90\xa0% of the answers, it is the fastest. "
        "int8_optimized is not timed and was not considered for speed.",
        front={"float32", "int8"},
        default="int8",
    ),
    "only float32 is timed": Situation(
        {"float32": EXACT, "float16": CLOSE, "int8": FAR},
        SIZES,
        latency({"float32": 9.7}),
        taken="int8",
        reason="Of 3 variants that keep at least 90\xa0% of the answers, it is the smallest. Only "
        "float32 is timed, so that no speed can be compared: size decides.",
        front={"float32", "float16", "int8"},
        default="int8",
    ),
    "the quickest is timed unsteadily": Situation(
        {"float32": EXACT, "int8": FAR, "int8_optimized": NEAR},
        SIZES,
        unsteady({"float32": 9.7, "int8": 4.0, "int8_optimized": 4.6}, int8=0.4),
        taken="int8_optimized",
        reason="Of 3 variants that keep at least 90\xa0% of the answers, it is the fastest; int8 "
        "is just as fast and small, but less faithful. Timing was noisy for int8: "
        "differences within the spread count as none.",
        front={"float32", "int8_optimized"},
        default="int8_optimized",
    ),
    "unsteady, and quicker by more than the spread": Situation(
        {"float32": EXACT, "int8": FAR},
        SIZES,
        unsteady({"float32": 20.0, "int8": 4.0}, int8=0.4),
        taken="int8",
        reason="Of 2 variants that keep at least 90\xa0% of the answers, it is the fastest. "
        "Timing was noisy for int8: differences within the spread count as none.",
        front={"float32", "int8"},
        default="int8",
    ),
    "the quickest changes answers": Situation(
        {"float32": EXACT, "int8": FLIPPED},
        SIZES,
        latency({"float32": 8.0, "int8": 4.0}),
        taken="float32",
        reason="It is the only variant that keeps at least 90\xa0% of the answers. If 1 of 3 were "
        "enough, int8 would be 2.0\xa0× faster and 4.0\xa0× smaller.",
        front={"float32", "int8"},
        default="float32",
    ),
    "none keeps enough": Situation(
        {"int8": FLIPPED},
        SIZES,
        latency({"int8": 4.0}),
        taken=None,
        reason="int8 comes closest with 1 of 3.",
        front={"int8"},
        default="int8",
    ),
    "the original gives NaN on a picture": Situation(
        {
            "original": np.vstack([LOGITS, [[np.nan] * 3]]).astype(np.float32),
            "float32": np.vstack([EXACT, [[1.0, 0.0, 0.0]]]).astype(np.float32),
            "int8": np.vstack([FAR, [[1.0, 0.0, 0.0]]]).astype(np.float32),
        },
        SIZES,
        latency({"float32": 8.0, "int8": 4.0}),
        taken="int8",
        reason="Of 2 variants that keep at least 75\xa0% of the answers, it is the fastest. The "
        "original gives NaN or Inf on 1 of 4 pictures, where nothing can answer like it.",
        front={"float32", "int8"},
        default="int8",
        need=0.75,
    ),
    "the quickest gives NaN": Situation(
        {"float32": EXACT, "float16": CLOSE, "int8": np.full_like(LOGITS, np.nan)},
        SIZES,
        latency({"float32": 9.7, "float16": 9.6, "int8": 1.0}),
        taken="float16",
        reason="Of 2 variants that keep at least 90\xa0% of the answers, it is the smallest of the "
        "two fastest.",
        front={"float32", "float16"},
        default="float16",
    ),
}


def compared(situation: Situation) -> Comparison:
    names = [name for name in situation.answers if name != "original"]
    return comparison(
        situation.answers,
        sizes={name: situation.sizes[name] for name in names},
        float32_bytes=400,
        latency=situation.timed,
    )


def drawn_front(figure: go.Figure) -> set[str]:
    """Names of the marks that the line of the front goes through."""
    line, *marks = figure.data
    ends = set(zip(line.x, line.y, strict=True))
    return {mark.name for mark in marks if (mark.x[0], mark.y[0]) in ends}


@pytest.mark.parametrize("name", SITUATIONS)
def test_sentence_cards_front_and_default_are_one_choice(name: str) -> None:
    situation = SITUATIONS[name]
    found = compared(situation)
    every = overview.candidates(found)
    choice = overview.recommend(every, situation.need)
    assert (choice.taken.variant if choice.taken else None) == situation.taken
    assert overview_sentences.reason(found, choice) == situation.reason
    assert drawn_front(figures.trade_off(found)) == situation.front
    assert choice.about is not None
    assert choice.about.variant == situation.default
    assert choice.about.variant in overview_sentences.headline(found, choice)
    assert bool(overview_sentences.not_recommended(choice, situation.default)) is (
        situation.taken is None
    )


def test_no_card_names_a_winner_by_noise() -> None:
    situation = SITUATIONS["a tie by noise"]
    found = compared(situation)
    choice = overview.recommend(overview.candidates(found), situation.need)
    details = {tile.title: tile.detail for tile in overview_sentences.tiles(found, choice)}
    assert details["Size"].endswith(": 4.0\xa0× smaller; int8 is as small")
    assert details["Latency"].endswith(": 2.2\xa0× faster; int8 is as fast")


def test_whatever_is_recommended_is_in_the_front() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        points = [
            TradeOffPoint(
                f"variant {number}",
                float(random.uniform(4, 5)),
                int(random.integers(90, 120)),
                float(random.uniform(0.01, 0.2)),
                float(random.integers(8, 11)) / 10,
                float(random.choice([0.05, 0.05, 0.3])),
            )
            for number in range(5)
        ]
        front = front_of(points)
        for need in (0.8, 0.9, 1.0):
            best = best_of([point for point in points if point.agreement >= need])
            assert best is None or best in front
        quick = best_of(points)
        assert quick is not None
        assert not any(clearly_quicker(point, quick) for point in points)


def test_a_variant_that_is_not_recommended_is_said_to_be_so() -> None:
    situation = SITUATIONS["all are timed"]
    choice = overview.recommend(overview.candidates(compared(situation)), 0.9)
    assert overview_sentences.not_recommended(choice, "int8") == ""
    assert overview_sentences.not_recommended(choice, "float16") == (
        "int8 is recommended where at least 90\xa0% of the answers must stay, not float16."
    )


def test_nan_of_the_original_is_not_blamed_on_a_variant_in_any_sentence() -> None:
    found = compared(SITUATIONS["the original gives NaN on a picture"])
    assert sentences.predictions_headline(found) == (
        "On 1 of 4 pictures, the original gives answers that are not numbers"
    )
    assert "do not ship" not in kit_sentence(found, "int8")
    exact, far = found.variant("float32"), found.variant("int8")
    assert improvement_headline(far, exact) == "float32 removes 100.0\xa0% of int8's error"
    assert "NaN" not in " ".join(
        str(note.text) for note in figures.trade_off(found).layout.annotations
    )


def test_an_original_that_gives_nan_everywhere_blames_no_variant() -> None:
    nothing = np.full_like(LOGITS, np.nan)
    found = comparison({"original": nothing, "int8": LOGITS}, sizes={"int8": 100})
    choice = overview.recommend(overview.candidates(found), 0.9)
    assert overview_sentences.headline(found, choice) == (
        "The original itself gives answers that are not numbers"
    )
    assert "3 of 3 pictures" in overview_sentences.reason(found, choice)
