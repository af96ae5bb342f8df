"""Slices of pictures, with figures known by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.comparison.metrics import fisher_exact, wilson_interval
from engine.comparison.slices import SliceKind, Slices, Traits, make_slices
from engine.core.types import IntArray
from engine.reporting.text.accuracy import (
    slice_row,
    slices_headline,
    slices_note,
    slices_shown_first,
)


def sliced(
    first: list[int],
    other: list[int],
    *,
    labels: list[int] | None = None,
    brightness: list[float] | None = None,
    tags: list[tuple[str, ...]] | None = None,
) -> Slices:
    count = len(first)
    traits = Traits(
        labels=None if labels is None else np.array(labels),
        brightness=np.array(brightness or [0.5] * count),
        megapixels=np.full(count, 0.3),
        tags=tags or [()] * count,
    )
    answers: dict[str, IntArray] = {"original": np.array(first), "int8": np.array(other)}
    return make_slices("run", "original", answers, traits, lambda index: f"class {index}")


def names(slices: Slices, kind: SliceKind) -> list[tuple[str, str, int, int]]:
    return [(part.name, part.limits, part.pictures, part.rest) for part in slices.of(kind)]


def test_pictures_are_grouped_by_label_answer_brightness_and_tag() -> None:
    slices = sliced(
        [0, 0, 1, -1],
        [0, 1, 1, 1],
        labels=[0, 0, 1, -1],
        brightness=[0.1, 0.4, 0.8, 0.4],
        tags=[("night",), (), (), ("night", "rain")],
    )
    assert names(slices, "class") == [("class 0", "", 2, 1), ("class 1", "", 1, 2)]
    assert names(slices, "answer") == [("class 0", "", 2, 1), ("class 1", "", 1, 2)]
    assert names(slices, "brightness") == [
        ("dark", "below 80\xa0%", 3, 1),
        ("bright", "from 80\xa0%", 1, 3),
    ]
    assert names(slices, "size") == []
    assert names(slices, "tag") == [("night", "", 2, 2), ("rain", "", 1, 3)]
    first = slices.of("class")[0]
    share = first.of("int8")
    assert (share.agreeing, share.rest_agreeing, share.right) == (1, 1, 1)
    assert share.agreement_interval == share.right_interval == wilson_interval(1, 2)
    assert slices.of("tag")[1].of("int8").agreeing == 0, "the original gave NaN there"
    assert slices.of("tag")[1].of("int8").right is None
    with pytest.raises(KeyError):
        first.of("int16x8")


def test_three_values_make_three_thirds() -> None:
    slices = sliced([0] * 6, [0] * 6, brightness=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert names(slices, "brightness") == [
        ("dark", "below 30\xa0%", 2, 4),
        ("medium", "30 to 50\xa0%", 2, 4),
        ("bright", "from 50\xa0%", 2, 4),
    ]
    assert slices_headline(slices, "int8") == "int8 keeps every answer in every slice"
    assert slices_note(slices, "int8") == ""


def night(changed: int, of: int, elsewhere: int, days: int) -> Slices:
    other = [1] * changed + [0] * (of - changed) + [1] * elsewhere + [0] * (days - elsewhere)
    tags: list[tuple[str, ...]] = [("night",)] * of + [()] * days
    return sliced([0] * (of + days), other, tags=tags)


def test_a_proven_difference_is_said_with_both_shares() -> None:
    slices = night(9, 100, 1, 150)
    weakest = slices.weakest("int8")
    assert weakest is not None
    assert weakest.name == "night"
    assert slices_headline(slices, "int8") == (
        "int8 does worse on pictures tagged night: 91.0\xa0% kept, 99.3\xa0% elsewhere"
    )
    assert slice_row(weakest, "int8").proven
    assert not slice_row(weakest, "original").proven


def test_few_pictures_prove_nothing_and_are_counted() -> None:
    slices = night(1, 4, 0, 9)
    assert slices.weakest("int8") is None
    assert slices_headline(slices, "int8") == "No slice is proven worse than the rest in int8"
    assert slices_note(slices, "int8") == (
        "Fewest kept: pictures tagged night, 3 of 4. That may be chance."
    )
    assert slice_row(slices.of("tag")[0], "int8").same == "3 of 4 (30 to 96\xa0%)"


def test_one_bad_class_among_a_hundred_by_chance_is_not_proven() -> None:
    # Twelve pictures a class; 1 % change at random: two in one class are a matter of luck.
    first = [index for index in range(100) for _ in range(12)]
    other = first.copy()
    for at in (0, 1, 300, 500, 700, 900, 1000, 1100):
        other[at] = -1
    slices = sliced(first, other)
    assert slices.weakest("int8") is None
    shown = slices_shown_first(slices, "int8")
    assert [part.name for part in shown] == ["class 0", "class 1", "class 25"]


def test_slices_without_rest_are_no_proof() -> None:
    slices = sliced([0, 0], [1, 1], tags=[("night",), ("night",)])
    assert slices.of("tag")[0].rest == 0
    assert slices.weakest("int8") is None
    alike = sliced([-1], [-1])
    assert alike.slices == ()
    assert slices_headline(alike, "int8") == "Nothing tells these pictures apart"


def test_records_are_json_and_a_table() -> None:
    slices = night(1, 4, 0, 9)
    plain = json.loads(json.dumps(slices.to_dict(), allow_nan=False))
    assert plain["slices"][1]["shares"][1]["agreeing"] == 3
    frame = slices.to_frame()
    row = frame[(frame["kind"] == "tag") & (frame["model"] == "int8")].iloc[0]
    assert (row["agreeing"], row["pictures"], row["rest_agreeing"], row["rest"]) == (3, 4, 9, 9)


@pytest.mark.parametrize(
    ("counts", "p"),
    [
        # scipy.stats.fisher_exact of the same tables, and 1 / C(14, 2).
        ((91, 100, 149, 150), 0.00138190746290455),
        ((0, 2, 12, 12), 1 / 91),
        ((3, 4, 8, 9), 1.0),
        ((0, 0, 5, 9), 1.0),
    ],
)
def test_fishers_exact_test(counts: tuple[int, int, int, int], p: float) -> None:
    assert fisher_exact(*counts) == pytest.approx(p, rel=1e-9)
    with pytest.raises(ValueError, match="3 of 2"):
        fisher_exact(3, 2, 0, 1)
