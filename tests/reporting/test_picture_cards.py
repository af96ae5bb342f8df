"""Picture cards of pages and reports."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.images.pictures import Picture, picture_at
from engine.reporting.picture_cards import picture_card, thumbnail
from engine.tasks.evaluation import Evaluation
from tests.helpers.factories import LOGITS, comparison
from tests.helpers.tiny_run import tiny_run


def evaluation(folder: Path, **logits: np.ndarray) -> Evaluation:
    every = {"original": LOGITS, **logits}
    result = comparison(every)
    pictures = tuple(Picture(name, folder / name, name) for name in result.pictures)
    return Evaluation(tiny_run(folder / "tiny"), pictures, result, every)


def test_a_card_has_the_first_classes_with_their_shares(tmp_path: Path) -> None:
    flipped = LOGITS.copy()
    flipped[0] = [0.0, 4.0, 1.0]
    card = picture_card(evaluation(tmp_path, int8=flipped), 0)
    assert [answer.state for answer in card.answers] == ["same", "flipped"]
    assert [label for label, _ in card.answers[1].best] == ["class 1", "class 2", "class 0"]
    assert sum(share for _, share in card.reference.best) == pytest.approx(1.0)
    assert (card.reference.label, card.margin) == ("class 0", 2.0)


def test_some_models_can_be_chosen(tmp_path: Path) -> None:
    every = evaluation(tmp_path, float32=LOGITS, int8=LOGITS)
    card = picture_card(every, 1, ("original", "int8"))
    assert [answer.column for answer in card.answers] == ["original", "int8"]


def test_nan_is_no_answer_of_the_reference_either(tmp_path: Path) -> None:
    nothing = np.full_like(LOGITS, np.nan)
    card = picture_card(evaluation(tmp_path, original=nothing, int8=LOGITS), 0)
    assert (card.reference.state, card.reference.label, card.reference.percent) == (
        "broken",
        "",
        "",
    )
    assert np.isnan(card.margin)


def test_a_thumbnail_fits_into_a_square(tmp_path: Path) -> None:
    file = tmp_path / "wide.png"
    Image.new("RGB", (600, 300)).save(file)
    address = thumbnail(picture_at(file), 100)
    kind, _, data = address.partition(";base64,")
    assert kind == "data:image/jpeg"
    with Image.open(io.BytesIO(base64.b64decode(data))) as small:
        assert small.size == (100, 50)
