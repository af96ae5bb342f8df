"""What the stage shows: which picture first, the pair of answers, and its sentences."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.comparison.latency import plan_race
from engine.images.pictures import Picture
from engine.reporting.picture_cards import (
    PairCard,
    Telling,
    measure_telling,
    pair_card,
    rank_by_telling,
)
from engine.reporting.text import flips as sentences
from engine.tasks.evaluation import Evaluation
from tests.helpers.factories import LOGITS, comparison, latency
from tests.helpers.tiny_run import tiny_run

CHANGED = LOGITS.copy()
CHANGED[1] = [0.0, 1.25, 1.5]
MEDIANS = {"original": 20.0, "float32": 10.0, "int8": 4.0}


def evaluation(folder: Path, int8: np.ndarray, **options: object) -> Evaluation:
    found = comparison({"int8": int8}, **options)
    pictures = tuple(Picture(name, folder / name, name) for name in found.pictures)
    return Evaluation(
        tiny_run(folder / "tiny"), pictures, found, {"original": LOGITS, "int8": int8}
    )


def telling(
    changed: list[bool], loss: list[float], shares: list[float], right: list[int]
) -> Telling:
    return Telling(np.array(changed), np.array(loss), np.array(shares), np.array(right))


def test_a_lost_right_answer_tells_most_and_the_surest_of_them_first() -> None:
    of = telling([True, True, True, False], [9, 2, 3, 8], [0.9, 0.6, 0.8, 0.99], [0, 1, 1, 1])
    assert rank_by_telling(of) == (2, 1, 3, 0)


def test_without_labels_a_changed_answer_counts_where_the_original_was_sure() -> None:
    of = telling([True, True, False], [1, 2, 0.5], [0.4, 0.7, 0.9], [-1, -1, -1])
    assert rank_by_telling(of) == (1, 2, 0)


def test_otherwise_the_largest_loss_of_margin_of_a_sure_answer() -> None:
    of = telling([False] * 4, [0.2, 3, 0.5, 7], [0.9, 0.3, 0.6, 0.95], [-1, -1, 1, 0])
    assert rank_by_telling(of) == (2, 0, 3, 1)


def test_where_nothing_is_sure_the_surest_is_first_and_a_tie_keeps_the_order() -> None:
    of = telling([False] * 3, [1, 2, 3], [0.3, 0.4, 0.4], [-1, -1, -1])
    assert rank_by_telling(of) == (1, 2, 0)


def test_a_broken_answer_of_the_variant_tells_much_and_one_of_the_original_nothing() -> None:
    nan = math.nan
    of = telling([False, True, False], [nan, nan, 5], [nan, 0.7, 0.8], [-1, -1, -1])
    assert rank_by_telling(of) == (1, 2, 0)


def test_what_decides_is_read_from_the_answers(tmp_path: Path) -> None:
    of = measure_telling(evaluation(tmp_path, CHANGED), "int8", np.array([0, -1, 1]))
    assert of.changed.tolist() == [False, True, False]
    # 2 leads 1.5 by a half; int8 has 1.25 against 1.5.
    assert of.loss.tolist() == [0.0, 0.75, 0.0]
    assert of.right.tolist() == [1, -1, 0]
    assert of.shares[1] == pytest.approx(math.exp(2) / (1 + math.exp(2) + math.exp(1.5)))


def card(folder: Path, int8: np.ndarray, row: int = 1, label: int = -1) -> PairCard:
    return pair_card(evaluation(folder, int8), "int8", row, label)


def test_a_pair_has_the_originals_classes_in_its_order(tmp_path: Path) -> None:
    pair = card(tmp_path, CHANGED, label=2)
    assert [each.name for each in pair.classes] == ["class 1", "class 2", "class 0"]
    assert (pair.reference.label, pair.variant.label) == ("class 1", "class 2")
    assert pair.classes[1].variant > pair.classes[0].variant
    assert sentences.write_stamp(pair) == "CHANGED: class 1 → class 2"
    assert sentences.write_change(pair) == "class 1 → class 2"
    assert sentences.caption(pair) == "picture_1.jpg: the right answer is class 2; int8 is right"


def test_the_variants_answer_is_among_five_of_more_classes(tmp_path: Path) -> None:
    logits = np.arange(8.0)[None, ::-1].astype(np.float32)
    moved = logits.copy()
    moved[0, 7] = 20.0
    found = comparison({"original": logits, "int8": moved})
    pictures = (Picture("a.jpg", tmp_path / "a.jpg", "a"),)
    both = {"original": logits, "int8": moved}
    pair = pair_card(Evaluation(tiny_run(tmp_path / "tiny"), pictures, found, both), "int8", 0, -1)
    assert [each.name for each in pair.classes] == [f"class {i}" for i in (0, 1, 2, 3, 7)]


def test_the_same_answer_has_no_stamp(tmp_path: Path) -> None:
    pair = card(tmp_path, LOGITS, label=0)
    assert sentences.write_stamp(pair) == ""
    assert sentences.caption(pair) == "picture_1.jpg: the right answer is class 0; both are wrong"
    right = card(tmp_path / "again", LOGITS, label=1)
    assert sentences.caption(right).endswith("; the original and int8 are right")


def test_a_broken_answer_is_no_answer(tmp_path: Path) -> None:
    broken = np.full_like(LOGITS, np.nan)
    pair = card(tmp_path, broken)
    assert sentences.write_stamp(pair) == "CHANGED: class 1 → NaN or Inf"
    assert sentences.caption(pair) == "picture_1.jpg"
    assert [math.isnan(each.variant) for each in pair.classes] == [True] * 3
    spoken = "picture_1.jpg: the original answers class 1 (57.4\xa0%) and int8 answers NaN or Inf."
    assert sentences.both_answers(pair) == spoken


def test_a_picture_without_answers_says_that_they_are_coming() -> None:
    assert sentences.say_answers_are_coming("a.jpg", 1) == "a.jpg: 1 model is about to answer"
    assert sentences.say_answers_are_coming("a.jpg", 8) == "a.jpg: 8 models are about to answer"


def test_costs_are_those_that_are_known(tmp_path: Path) -> None:
    options = {"sizes": {"int8": 5_300_000}, "float32_bytes": 18_500_000}
    untimed = comparison({"int8": LOGITS}, **options)
    assert sentences.costs(untimed, "original") == ("18.5\xa0MB in float32",)
    assert sentences.costs(untimed, "int8") == ("5.3\xa0MB",)
    timed = comparison({"int8": LOGITS}, **options, latency=latency(MEDIANS))
    assert sentences.costs(timed, "int8") == ("5.3\xa0MB", "4.0\xa0ms")
    assert sentences.costs(comparison({"int8": LOGITS}), "int8") == ()


@pytest.mark.parametrize(
    ("changed", "pictures", "listed", "sentence"),
    [
        (0, 1, [False], "int8 keeps the answer on the one picture. Here is the closest call."),
        (0, 9, [False] * 6, "int8 keeps the answer on all 9 pictures. Here are the closest calls."),
        (1, 1, [True], "One of 1 picture changes its answer in int8."),
        (1, 2, [True, False], "One of 2 pictures changes its answer in int8. The other one is the "
         "closest call."),
        (2, 9, [True, True, False, False], "Two of 9 pictures change their answer in int8. The "
         "others are the closest calls."),
        (30, 30, [True] * 24, "30 of 30 pictures change their answer in int8. Here are the 24 that "
         "tell most."),
    ],
)  # fmt: skip
def test_the_film_strip_says_how_many_changed(
    changed: int, pictures: int, listed: list[bool], sentence: str
) -> None:
    assert sentences.strip_headline("int8", changed, pictures, listed) == sentence


def test_the_handle_says_what_it_shows() -> None:
    of = comparison({"int8": LOGITS})
    values = sentences.handle_values(of, "int8")
    assert values.format(left=30, right=70) == "30\xa0% the original, 70\xa0% int8"
    assert sentences.handle_label(of, "int8") == "Share of the original beside int8"
    assert sentences.stage_label(of, "int8") == "One picture under the original and int8"


def test_the_original_may_be_the_one_that_is_compared() -> None:
    of = replace(comparison({"int8": LOGITS}), reference="int8")
    assert sentences.handle_values(of, "original").endswith("{right}\xa0% the original")
    assert sentences.strip_headline("original", 0, 2, [False]).startswith("The original keeps")
    assert sentences.strip_headline("original", 2, 2, [True, True]).endswith("in the original.")


def test_a_race_lasts_until_the_slower_has_run_five_seconds() -> None:
    timed = latency(MEDIANS)
    race = plan_race(timed, "int8", ("float32", "original"))
    assert race is not None
    assert (race.rival.variant, race.variant.variant, race.calls) == ("float32", "int8", 500)
    assert (race.seconds(race.rival), race.seconds(race.variant)) == (5.0, 2.0)
    assert sentences.race_headline(race, timed) == (
        "500 pictures each, one after another, in real time: float32 at 10.0\xa0ms and int8 at "
        "4.0\xa0ms a picture, the medians measured on a machine."
    )
    assert sentences.race_result(race) == (
        "int8 took 2.0\xa0s, float32 5.0\xa0s: int8 is 2.5\xa0× faster."
    )


def test_nobody_races_against_itself_and_a_slow_one_runs_once() -> None:
    race = plan_race(latency({**MEDIANS, "original": 9000.0}), "float32", ("float32", "original"))
    assert race is not None
    assert (race.rival.variant, race.calls) == ("original", 1)


def test_timings_that_are_too_near_or_noisy_have_no_winner() -> None:
    timed = latency({"float32": 10.0, "int8": 9.9})
    race = plan_race(timed, "int8", ("float32",))
    assert race is not None
    assert sentences.race_result(race).endswith("float32 5.0\xa0s: no difference found.")
    noisy = latency({"float32": 10.0, "int8": 8.0}, spread=0.5)
    race = plan_race(noisy, "int8", ("float32",))
    assert race is not None
    assert sentences.race_headline(race, noisy).endswith("noisy for float32 and int8.")
    assert sentences.race_result(race).endswith("no difference found.")


@pytest.mark.parametrize(
    ("medians", "what"),
    [
        (None, "no model is timed yet"),
        ({"float32": 1.0}, "int8 is not timed yet"),
        ({"int8": 1.0}, "no model is timed beside int8"),
    ],
)
def test_without_times_there_is_no_race_but_the_way_to_measure(
    medians: dict[str, float] | None, what: str
) -> None:
    timed = None if medians is None else latency(medians)
    found = replace(comparison({"int8": LOGITS}), latency=timed)
    assert plan_race(timed, "int8", ("float32", "original")) is None
    assert sentences.no_race(found, "int8", "my_run") == (
        f"No race: {what}. Measure on the page Speed and size, or by "
        "python -m engine latency --run my_run."
    )
