"""Sentences and lines about changed pictures: none, some and all models; ties; no figures."""

from __future__ import annotations

import numpy as np
import pytest

from engine.comparison.robustness import (
    FlipStrength,
    Robustness,
    robustness_points,
)
from engine.images.changes import Change, ChangeKind
from engine.reporting import plots
from engine.reporting.plots.frame import headline_of
from engine.reporting.plots.palette import style_of
from engine.reporting.text.robustness import (
    agreement_headline,
    back_sentence,
    flips_sentence,
    measured_sentence,
    stability_headline,
    tried_sentence,
    worst_headline,
)


def text(sentence: str) -> str:
    return sentence.replace("\N{NO-BREAK SPACE}", " ")


def flip(
    model: str, strength: float | None, *, back: float | None = None, kind: ChangeKind = "blur"
) -> FlipStrength:
    return FlipStrength(kind, model, 1, strength, None if strength is None else 2, back)


def test_each_model_has_its_strength_the_least_first() -> None:
    flips = [flip("original", 1.4), flip("int8", 1.2)]
    assert text(flips_sentence(flips)) == (
        "int8 changes its answer at blur 1.2 px, the original at 1.4 px."
    )


def test_models_of_equal_strength_stand_together() -> None:
    flips = [flip("original", 0.8), flip("float32", 0.8), flip("int8", None)]
    assert text(flips_sentence(flips)) == (
        "The original and float32 change their answer at blur 0.8 px; int8 does at none tried."
    )


def test_of_many_models_some_are_named() -> None:
    names = ("a", "b", "c", "d", "e")
    assert text(flips_sentence([flip(name, 2.0) for name in names])) == (
        "a, b and 3 more change their answer at blur 2 px."
    )


def test_sides_of_a_scale_go_by_distance() -> None:
    flips = [flip("original", 30.0, kind="rotation"), flip("int8", -15.0, kind="rotation")]
    assert text(flips_sentence(flips)) == (
        "int8 changes its answer at rotation \N{MINUS SIGN}15°, the original at +30°."
    )


def test_no_flip_and_no_answer_are_said() -> None:
    assert flips_sentence([flip("int8", None)]) == "No model changes its answer at any blur tried."
    broken = FlipStrength("jpeg", "int8", None, None, None, None)
    assert flips_sentence([broken]) == "No model gives an answer at any JPEG quality tried."
    both = [flip("original", 40.0, kind="jpeg"), broken]
    assert flips_sentence(both) == (
        "The original changes its answer at JPEG quality 40; int8 gives NaN or Inf."
    )


def test_an_answer_that_comes_back_is_said() -> None:
    assert back_sentence([flip("int8", 1.2)]) == ""
    assert text(back_sentence([flip("int8", 1.2, back=1.6), flip("original", None)])) == (
        "Back at the first answer: int8 at 1.6 px."
    )


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("blur", "Tried: 20 strengths, 0.2 px to 4 px."),
        ("jpeg", "Tried: 19 strengths, 95 to 5."),
        ("rotation", "Tried: 18 strengths, \N{MINUS SIGN}45° to +45°."),
    ],
)
def test_what_was_tried_is_said(kind: ChangeKind, sentence: str) -> None:
    assert text(tried_sentence(kind)) == sentence


def measured(*, int8: int, float32: int = 4, own: int = 4, total: int = 4) -> Robustness:
    """At blur 4 px int8 and float32 agree on some pictures; the original is stable on some."""
    clean = {model: np.arange(total) for model in ("original", "float32", "int8")}
    original = np.where(np.arange(total) < own, np.arange(total), 90)
    changed = {
        "original": original,
        "float32": np.where(np.arange(total) < float32, original, 91),
        "int8": np.where(np.arange(total) < int8, original, 92),
    }
    made = (
        *robustness_points(Change("blur", 0.0), "original", clean, clean),
        *robustness_points(Change("blur", 4.0), "original", clean, changed),
    )
    return Robustness("run", "original", tuple("abcd"[:total]), made)


def test_the_worst_variant_is_named_with_where_and_how_many() -> None:
    assert text(agreement_headline(measured(int8=3), "blur")) == (
        "At blur 4 px, int8 answers like the original on 3 of 4 pictures"
    )
    assert text(worst_headline(measured(int8=2, float32=2))) == (
        "At blur 4 px, float32 and int8 answer like the original on 2 of 4 pictures"
    )


def test_no_difference_is_said() -> None:
    assert agreement_headline(measured(int8=4), "blur") == (
        "Every variant answers like the original on all 4 pictures under blur: no difference found"
    )


def test_what_the_original_itself_keeps_is_said() -> None:
    assert text(stability_headline(measured(int8=3, own=2), "blur")) == (
        "At blur 4 px, the original keeps 2 of 4 answers"
    )
    assert text(stability_headline(measured(int8=1, own=3), "blur")) == (
        "At blur 4 px, the original keeps 3 of 4 answers, int8 1"
    )
    assert stability_headline(measured(int8=4), "blur") == (
        "Blur changes none of the answers of the original"
    )


def test_no_variant_is_no_headline_of_figures() -> None:
    clean = {"original": np.arange(2)}
    alone = robustness_points(Change("blur", 0.0), "original", clean, clean)
    robustness = Robustness("run", "original", ("a", "b"), alone)
    assert agreement_headline(robustness, "blur") == "There is no variant to compare"
    assert worst_headline(robustness) == "There is no variant to compare"
    assert stability_headline(robustness, "blur").startswith("Blur changes none")


def test_what_the_figures_are_on_is_said() -> None:
    assert measured_sentence(measured(int8=3)) == (
        "Four pictures were changed by blur, in the network's own size, and shown to the original "
        "and to 2 variants."
    )


def test_lines_have_the_variants_looks_and_their_intervals() -> None:
    robustness = measured(int8=3, own=2)
    agreement = plots.agreement_lines(robustness, "blur")
    assert [trace.name for trace in agreement.data] == ["float32", "int8"]
    int8 = agreement.data[1]
    assert int8.line.color == style_of("int8").hue
    assert list(int8.y) == [1.0, 0.75]
    low, high = 0.75 - int8.error_y.arrayminus[1], 0.75 + int8.error_y.array[1]
    point = robustness.line("blur", "int8")[1]
    assert (low, high) == pytest.approx(
        (point.agreement_interval.low, point.agreement_interval.high)
    )
    assert list(agreement.layout.xaxis.ticktext) == ["none", "4"]
    assert headline_of(agreement) == agreement_headline(robustness, "blur")
    stability = plots.stability_lines(robustness, "blur")
    assert [trace.name for trace in stability.data] == ["original", "float32", "int8"]
    assert list(stability.data[0].y) == [1.0, 0.5]
    assert stability.layout.xaxis.title.text == "blur, px (right is stronger)"
