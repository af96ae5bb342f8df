"""Counts of answers to changed pictures, by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.comparison.metrics import NO_ANSWER, wilson_interval
from engine.comparison.robustness import (
    PictureFlips,
    Robustness,
    flip_strengths,
    robustness_points,
)
from engine.images.changes import SCALES, Change, ChangeKind


def points(change: Change, **changed: list[int]) -> dict[str, tuple[int, int]]:
    """Agreeing and stable pictures of each model; all answer 1, 2, 3 before the change."""
    clean = {model: np.array([1, 2, 3]) for model in changed}
    made = robustness_points(
        change, "original", clean, {model: np.array(row) for model, row in changed.items()}
    )
    return {point.model: (point.agreeing, point.stable) for point in made}


def test_agreement_is_asked_on_the_changed_picture_and_stability_of_each_alone() -> None:
    counted = points(Change("blur", 0.8), original=[1, 9, 9], float32=[1, 9, 9], int8=[1, 2, 9])
    assert counted == {"original": (3, 1), "float32": (3, 1), "int8": (2, 2)}


def test_no_answer_neither_agrees_nor_is_stable() -> None:
    nothing = [NO_ANSWER] * 3
    assert points(Change("blur", 0.8), original=nothing, int8=nothing) == {
        "original": (0, 0),
        "int8": (0, 0),
    }


def test_intervals_are_wilsons() -> None:
    clean = {"original": np.zeros(20, int)}
    changed = {"original": np.arange(20) // 15}
    (point,) = robustness_points(Change("noise", 10), "original", clean, changed)
    assert point.stability == 0.75
    assert point.stability_interval == wilson_interval(15, 20)
    assert point.agreement_interval == wilson_interval(20, 20)


def measured() -> Robustness:
    clean = {"original": np.array([1, 2]), "int8": np.array([1, 2])}
    changed = {"original": np.array([1, 2]), "int8": np.array([1, 1])}
    made = [
        *robustness_points(Change("blur", 4.0), "original", clean, changed),
        *robustness_points(Change("blur", 0.0), "original", clean, clean),
    ]
    return Robustness("run", "original", ("a.png", "b.png"), tuple(made), ("A note.",))


def test_a_line_goes_from_left_to_right() -> None:
    robustness = measured()
    assert robustness.kinds == ("blur",)
    assert robustness.variants == ("int8",)
    assert [point.strength for point in robustness.line("blur", "int8")] == [0.0, 4.0]
    least = robustness.least_agreement("blur")
    assert least is not None
    assert (least.model, least.strength, least.agreeing) == ("int8", 4.0, 1)


def test_the_kind_that_changes_most_answers_comes_first() -> None:
    noise = replace(measured().points[-1], kind="noise", model="int8", agreeing=0)
    blur = measured()
    assert blur.kinds_by_agreement == ("blur",)
    both = replace(blur, points=(*blur.points, noise))
    assert (both.kinds[0], both.kinds_by_agreement[0]) == ("blur", "noise")


def test_figures_go_to_json_and_tables() -> None:
    content = json.loads(json.dumps(measured().to_dict(), allow_nan=False))
    (point,) = [p for p in content["points"] if p["model"] == "int8" and p["strength"] == 4.0]
    assert (point["agreement"], point["stable"]) == (0.5, 1)
    assert point["agreement_interval"] == pytest.approx([0.0945, 0.9055], abs=1e-3)
    frame = measured().to_frame()
    assert len(frame) == 4
    assert frame["agreement_low"].min() == pytest.approx(0.0945, abs=1e-3)


def answers(kind: ChangeKind, before: int, **changes: int) -> list[int]:
    """Answers at every strength tried: as before, but for some by ``s_<index>``."""
    made = [before] * len(SCALES[kind].search)
    for name, answer in changes.items():
        made[int(name.removeprefix("s_"))] = answer
    return made


def test_the_weakest_strength_is_found_though_the_answer_comes_back() -> None:
    changed = {"original": answers("blur", 7, s_6=8), "int8": answers("blur", 7, s_5=8, s_9=8)}
    original, int8 = flip_strengths("blur", {"original": 7, "int8": 7}, changed)
    assert (original.strength, original.changed_class, original.back_at) == (1.4, 8, 1.6)
    assert (int8.strength, int8.changed_class, int8.back_at) == (1.2, 8, 1.4)


def test_an_answer_that_stays_away_does_not_come_back() -> None:
    changed = {"int8": [7, *[8] * (len(SCALES["jpeg"].search) - 1)]}
    (flip,) = flip_strengths("jpeg", {"int8": 7}, changed)
    assert (flip.strength, flip.back_at) == (90.0, None)


def test_an_answer_that_never_changes_has_no_strength() -> None:
    (flip,) = flip_strengths("crop", {"int8": 7}, {"int8": answers("crop", 7)})
    assert (flip.clean_class, flip.strength, flip.changed_class) == (7, None, None)


def test_to_come_back_counts_on_the_same_side_alone() -> None:
    # -10, +10, -20, +20, ...: it flips at -20, and +20 is the other side.
    tried = SCALES["brightness"].search
    changed = {"int8": [8 if strength <= -20 else 7 for strength in tried]}
    (flip,) = flip_strengths("brightness", {"int8": 7}, changed)
    assert (flip.strength, flip.back_at) == (-20.0, None)


def test_nan_is_a_change_and_no_answer_to_begin_with_is_none() -> None:
    changed = {"a": answers("noise", 7, s_0=NO_ANSWER), "b": answers("noise", 7)}
    a, b = flip_strengths("noise", {"a": 7, "b": NO_ANSWER}, changed)
    assert (a.strength, a.changed_class) == (5.0, None)
    assert (b.clean_class, b.strength) == (None, None)


def test_flips_of_a_picture_say_what_was_tried() -> None:
    flips = flip_strengths("crop", {"int8": 7}, {"int8": answers("crop", 7, s_1=3)})
    content = json.loads(json.dumps(PictureFlips("run", "a.png", flips).to_dict()))
    assert content["tried"] == {"crop": list(SCALES["crop"].search)}
    assert content["flips"][0]["strength"] == 90.0
