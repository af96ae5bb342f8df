"""Sides of different kinds, and models of one output."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.comparison.comparison import ONE_CLASS_NOTE, Comparison, compare
from engine.comparison.outputs import Outputs, probability_sides
from engine.core.types import FloatArray
from engine.images.pictures import Picture
from engine.runs.manifest import AddedFile
from engine.tasks.evaluation import Evaluation, _normalizing
from tests.helpers.tiny_run import tiny_run

LOGITS = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32) * 4
SHARES = (np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)).astype(np.float32)
TRUTH = np.arange(40) % 6
ONE = np.array([[3.0], [-1.0], [0.5], [-2.0]], dtype=np.float32)


def compared(reference: FloatArray, variant: FloatArray, **changes: Any) -> Comparison:
    given: dict[str, Any] = {
        "run": "run",
        "reference_name": "original",
        "logits": {"original": reference, "theirs": variant},
        "pictures": [str(row) for row in range(len(reference))],
        "added": ["theirs"],
    }
    return compare(**given | changes)


def sigmoid(logits: FloatArray) -> FloatArray:
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


@pytest.mark.parametrize(("reference", "variant"), [(LOGITS, SHARES), (SHARES, LOGITS)])
def test_a_softmax_beside_logits_of_the_same_model_differs_in_nothing(
    reference: FloatArray, variant: FloatArray
) -> None:
    found = compared(reference, variant, labels=TRUTH)
    theirs = found.variant("theirs")
    assert (found.probabilities, theirs.probabilities) == (
        reference is SHARES,
        variant is SHARES,
    )
    assert (theirs.top1_agreement, theirs.flips) == (1.0, ())
    assert (theirs.logit_rms, theirs.kl) == pytest.approx((0, 0), abs=1e-5)
    assert theirs.logit_sqnr_db > 100
    right = LOGITS.argmax(1) == TRUTH
    alike = compared(LOGITS, LOGITS, labels=TRUTH).reference_accuracy
    assert alike is not None
    for accuracy in (found.reference_accuracy, theirs.accuracy):
        assert accuracy is not None
        assert accuracy.top1 == right.mean()
        assert accuracy.reliability.error == pytest.approx(alike.reliability.error, abs=1e-6)
        assert all(0 <= b.confidence <= 1 for b in accuracy.reliability.bins)
    (note,) = found.notes
    assert note.startswith("theirs gives logits" if reference is SHARES else "theirs ends in a")


def test_other_variants_keep_their_figures_beside_a_softmax() -> None:
    moved = LOGITS + np.float32(0.5) * (np.arange(6) == 2)
    sides = {"original": LOGITS, "int8": moved, "theirs": SHARES}
    found = compared(LOGITS, SHARES, logits=sides).variant("int8")
    assert not found.probabilities
    assert found.logit_rms == compared(LOGITS, moved).variant("theirs").logit_rms


def test_a_reference_from_elsewhere_is_noted_once() -> None:
    sides = {"theirs": SHARES, "original": LOGITS, "int8": LOGITS}
    (note,) = compared(SHARES, LOGITS, logits=sides, reference_name="theirs").notes
    assert note.startswith("original and int8 give logits and theirs ends in a softmax")


def test_nan_in_a_row_does_not_change_the_kind() -> None:
    hurt = SHARES.copy()
    hurt[3, 1] = np.nan
    found = compared(SHARES, hurt)
    assert found.variant("theirs").probabilities
    assert np.isfinite(found.variant("theirs").picture_rms).sum() == 39
    assert compared(hurt, SHARES).probabilities


def test_a_softmax_whose_kernel_rounds_above_one_is_one() -> None:
    above = np.array([[1.0000001, 0.0], [0.5, 0.5]], dtype=np.float32)
    assert probability_sides({"theirs": above}) == {"theirs"}


def test_an_8_bit_softmax_beside_logits_is_known_by_its_operators() -> None:
    # 300 classes of 1/600 vanish in steps of 1/256; the rest sums to 0.5.
    exact = np.full((2, 301), 1 / 600)
    exact[:, 0] = 0.5
    coarse = np.where(exact < 1 / 512, 0, exact).astype(np.float32)
    sides = {"original": np.log(exact * 600).astype(np.float32), "theirs": coarse}
    assert probability_sides(sides) == frozenset()
    assert probability_sides(sides, normalizing=["theirs"]) == {"theirs"}
    sides["theirs"] = np.zeros_like(coarse)  # logits that collapsed, in a network with attention
    assert probability_sides(sides, normalizing=["theirs"]) == frozenset()


def test_operators_of_a_run_tell_which_columns_end_in_a_softmax(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    assert _normalizing(run) == set()
    softmax = replace(run.artifact("int8"), operators={"RESHAPE": 1, "SOFTMAX": 1})
    theirs = replace(run, added=(AddedFile(replace(softmax, variant="theirs"), "a tool", ""),))
    assert _normalizing(theirs) == {"theirs"}
    own = replace(run.manifest, artifacts=(run.artifact("float32"), softmax))
    assert _normalizing(replace(run, manifest=own)) == {"int8", "original", "onnx"}
    sigmoid = replace(own, model=replace(own.model, classes=1))
    assert _normalizing(replace(run, manifest=sigmoid)) == set()


def test_one_output_is_compared_by_the_side_of_the_threshold() -> None:
    variant = np.array([[3.0], [-1.0], [-0.5], [-2.0]], dtype=np.float32)
    found = compared(ONE, variant, labels=np.array([1, 0, 1, 1]))
    theirs = found.variant("theirs")
    assert theirs.top1_agreement == 0.75
    (flip,) = theirs.flips
    assert (flip.index, flip.reference_class, flip.variant_class) == (2, 1, 0)
    assert (flip.reference_margin, flip.variant_margin) == (0.5, 0.5)
    assert theirs.logit_rms == 0.5  # sqrt(1 / 4)
    assert theirs.class_rms.tolist() == [0.5]
    assert theirs.logit_sqnr_db == pytest.approx(10 * math.log10(14.25))
    p = 1 / (1 + math.exp(-0.5))
    # sigmoid(0.5) = p against 1 - p: log p - log(1 - p) = 0.5.
    assert theirs.picture_kl == pytest.approx([0, 0, (2 * p - 1) * 0.5, 0])
    assert theirs.reference_margins.tolist() == [3, 1, 0.5, 2]
    assert theirs.kept_margins.tolist() == [3, 1, -0.5, 2]
    assert found.reference_accuracy is not None
    assert theirs.accuracy is not None
    assert (found.reference_accuracy.top1, theirs.accuracy.top1) == (0.75, 0.5)
    assert (theirs.accuracy.lost, theirs.accuracy.won) == (1, 0)
    assert all(b.confidence < 1 for b in theirs.accuracy.reliability.bins)
    assert found.notes == (ONE_CLASS_NOTE,)


def test_a_sigmoid_is_compared_by_the_side_of_one_half() -> None:
    found = compared(sigmoid(ONE), sigmoid(-ONE))
    theirs = found.variant("theirs")
    assert (found.probabilities, theirs.probabilities) == (True, True)
    assert (theirs.top1_agreement, len(theirs.flips)) == (0.0, 4)
    assert theirs.logit_rms == pytest.approx(2 * np.sqrt(np.mean(ONE**2)), rel=1e-5)
    assert compared(ONE, sigmoid(ONE)).variant("theirs").logit_rms < 1e-5


def test_a_few_logits_of_one_output_between_0_and_1_are_logits_still() -> None:
    few = np.array([[0.2], [0.9]], dtype=np.float32)
    own = compared(few, few - 0.4, added=[])
    assert not own.probabilities
    assert own.variant("theirs").top1_agreement == 0.5
    assert not compared(few, few, added=[], normalizing=[]).probabilities


def test_nan_of_one_output_never_agrees() -> None:
    hurt = ONE.copy()
    hurt[1] = np.nan
    found = compared(ONE, hurt).variant("theirs")
    assert (found.top1_agreement, found.non_finite) == (0.75, 1)
    assert math.isnan(found.logit_rms)


def test_a_page_shows_both_answers_of_one_output(tmp_path: Path) -> None:
    logits = {"original": ONE, "theirs": sigmoid(ONE)}
    made = Evaluation(
        tiny_run(tmp_path / "tiny"),
        tuple(Picture(str(row), tmp_path, str(row)) for row in range(4)),
        compared(ONE, logits["theirs"]),
        logits,
    )
    for column in logits:
        assert made.probabilities(column, 1) == pytest.approx([0.7310586, 0.2689414])
        assert made.first_answers(column).tolist() == [1, 0, 1, 0]
        assert np.diff(made.comparable(column, *logits))[:, 0] == pytest.approx(ONE[:, 0], abs=1e-5)
    assert made.differences("theirs") == pytest.approx(np.zeros((4, 1)), abs=1e-5)
    assert made.label(1) == "class 1"


def test_outputs_of_several_classes_are_their_own_answers() -> None:
    assert Outputs(LOGITS).answers is LOGITS
    assert Outputs(LOGITS).shares() == pytest.approx(SHARES, abs=1e-6)
