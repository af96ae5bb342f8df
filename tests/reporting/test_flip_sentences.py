from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.comparison.records import Flip
from engine.images.pictures import Picture
from engine.reporting.text import flips as flip_sentences
from engine.tasks.evaluation import Evaluation
from tests.helpers.factories import LOGITS, comparison
from tests.helpers.tiny_run import tiny_run


def evaluation(folder: Path, **rows: list[float]) -> Evaluation:
    """Variants that answer the second picture as given and the others as the original does."""
    logits = {"original": LOGITS}
    for variant, row in rows.items():
        logits[variant] = LOGITS.copy()
        logits[variant][1] = row
    found = comparison({name: values for name, values in logits.items() if name != "original"})
    pictures = tuple(Picture(name, folder / name, name) for name in found.pictures)
    return Evaluation(tiny_run(folder / "tiny"), pictures, found, logits)


def flip_of(made: Evaluation, variant: str) -> Flip:
    (flip,) = made.comparison.variant(variant).flips
    return flip


@pytest.mark.parametrize(
    ("row", "margin"),
    [
        # The original's second picture has the logits 0, 2 and 1.5.
        (
            [0.0, 1.25, 1.5],
            "The original prefers class 1 to class 2 by 0.500. int8 takes 0.750 of that, so "
            "class 2 leads by 0.250.",
        ),
        (
            [2.5, 2.0, 1.5],
            "The original prefers class 1 to class 0 by 2.000. int8 takes 2.500 of that, so "
            "class 0 leads by 0.500. Its margin over its second answer was 0.500.",
        ),
        (
            [2.0, 2.0, 1.5],
            "The original prefers class 1 to class 0 by 2.000. In int8 the two tie, and a tie goes "
            "to the class that comes first. Its margin over its second answer "
            "was 0.500.",
        ),
    ],
)
def test_margin(tmp_path: Path, row: list[float], margin: str) -> None:
    made = evaluation(tmp_path, int8=row)
    assert flip_sentences.flip_margin(made, "int8", flip_of(made, "int8")) == margin


def test_headline(tmp_path: Path) -> None:
    made = evaluation(tmp_path, int8=[0.0, 1.25, 1.5])
    assert flip_sentences.flip_headline(made, "int8", flip_of(made, "int8")) == (
        "int8 answers class 2, the original class 1"
    )


def test_company(tmp_path: Path) -> None:
    right, wrong = [0.0, 2.0, 1.5], [0.0, 1.25, 1.5]
    company = flip_sentences.flip_company
    made = evaluation(tmp_path / "a", float16=right, int8=wrong)
    assert company(made, flip_of(made, "int8")) == (
        "float16 answers class 1, as the original does; int8 alone changes its answer."
    )
    made = evaluation(tmp_path / "b", float16=right, int16x8=right, int8=wrong, uint8=wrong)
    assert company(made, flip_of(made, "uint8")) == (
        "float16 and int16x8 answer class 1, as the original does; int8 and uint8 change their "
        "answer."
    )
    made = evaluation(tmp_path / "c", int8=wrong, uint8=[np.nan] * 3)
    assert company(made, flip_of(made, "int8")) == (
        "No variant answers class 1; uint8 gives NaN or Inf."
    )
