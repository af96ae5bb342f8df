"""Which slides there are for which results, and that they show the figures of Result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.comparison.recommendation import candidates, recommend
from engine.images.pictures import Picture
from engine.reporting import slides
from engine.reporting.picture_cards import pair_card
from engine.reporting.text.flips import pair_headline
from engine.runs.run import Run
from engine.tasks.evaluation import Evaluation
from tests.helpers.factories import LOGITS, comparison, latency, manifest
from tests.helpers.tiny_run import tiny_run

CHANGED = LOGITS.copy()
CHANGED[1] = [0.0, 1.25, 1.5]
NEAR = LOGITS + np.array([[0.01, 0, 0]], dtype=np.float32)
UNLABELLED = np.full(len(LOGITS), -1)
MEDIANS = {"original": 20.0, "float32": 10.0, "int8": 4.0, "int8_optimized": 4.0}
SIZES = {"float32": 400, "int8": 100, "int8_optimized": 100}


def run_of(folder: Path, *variants: str) -> Run:
    run = tiny_run(folder / "tiny")
    return replace(run, manifest=manifest(*variants))


def evaluation(folder: Path, **logits: np.ndarray) -> Evaluation:
    compared = comparison(logits, latency=latency(MEDIANS), sizes=SIZES, float32_bytes=400)
    pictures = tuple(Picture(name, folder / name, name) for name in compared.pictures)
    rows = {"original": LOGITS, **logits}
    return Evaluation(run_of(folder, *logits), pictures, compared, rows)


@pytest.fixture
def whole(tmp_path: Path) -> Evaluation:
    return evaluation(tmp_path, float32=LOGITS, int8=CHANGED, int8_optimized=NEAR)


def test_the_trade_off_begins_with_float32_and_ends_with_what_is_recommended(
    whole: Evaluation,
) -> None:
    choice = recommend(candidates(whole.comparison), 1.0)
    drawing = slides.draw_trade_off(whole.comparison, choice)
    assert drawing is not None
    assert [point.variant for point in drawing.points] == ["float32", "int8", "int8_optimized"]
    assert [point.order for point in drawing.points] == [0, 1, 2]
    assert drawing.taken == "int8_optimized"
    assert [point.pale for point in drawing.points] == [False, True, False]
    slow, quick = drawing.points[0], drawing.points[2]
    assert 0 < quick.x < slow.x < 1
    assert slow.y > quick.y > drawing.points[1].y
    # On an axis from 0 places are to each other as the milliseconds.
    assert quick.x / slow.x == pytest.approx(0.4)
    assert {text for mark in drawing.labels for text in mark.text.split(", ")} == set(SIZES)
    assert all(0 <= tick.x <= 1 for tick in drawing.x_ticks)
    assert {"0", "10"} <= {tick.text for tick in drawing.x_ticks}


def test_one_variant_is_no_trade_off(tmp_path: Path) -> None:
    lone = evaluation(tmp_path, int8=NEAR)
    choice = recommend(candidates(lone.comparison), 1.0)
    assert slides.draw_trade_off(lone.comparison, choice) is None


def test_the_flip_is_that_of_the_variant_which_the_recommended_one_improves(
    whole: Evaluation,
) -> None:
    choice = recommend(candidates(whole.comparison), 1.0)
    told = slides.choose_flip(whole, choice, UNLABELLED)
    assert told is not None
    assert (told.variant, told.flip.index) == ("int8", 1)
    pair = slides.choose_pair(whole.run, whole.comparison, choice)
    assert pair is not None
    assert [side.variant for side in pair] == ["int8", "int8_optimized"]
    assert slides.first_row(whole, "int8", UNLABELLED) == 1


def test_without_a_changed_answer_or_a_counterpart_their_slides_are_not_there(
    tmp_path: Path,
) -> None:
    calm = evaluation(tmp_path, float32=LOGITS, int8=NEAR)
    choice = recommend(candidates(calm.comparison), 1.0)
    assert slides.choose_flip(calm, choice, UNLABELLED) is None
    assert slides.choose_pair(calm.run, calm.comparison, choice) is None


def test_a_broken_variant_flips_nothing_that_is_worth_an_explanation(tmp_path: Path) -> None:
    broken = np.full_like(LOGITS, np.nan)
    both = evaluation(tmp_path, float32=LOGITS, int8=broken, int8_optimized=broken)
    choice = recommend(candidates(both.comparison), 1.0)
    assert slides.choose_flip(both, choice, UNLABELLED) is None
    assert slides.choose_pair(both.run, both.comparison, choice) is None
    drawing = slides.draw_trade_off(both.comparison, choice)
    assert drawing is None or [point.variant for point in drawing.points] == ["float32"]


def test_a_headline_says_both_answers(whole: Evaluation) -> None:
    same, changed = (
        pair_headline(pair_card(whole, variant, 1, -1)) for variant in ("int8_optimized", "int8")
    )
    assert same == "Both answer dog"
    assert changed == "dog for the original, <b>owl</b> for int8"
