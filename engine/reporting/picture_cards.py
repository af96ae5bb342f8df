"""Pictures of a report: a thumbnail, and what every model answers."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from engine.core import formats
from engine.images.pictures import Picture
from engine.tasks.evaluation import Evaluation

THUMBNAIL_SIDE = 256
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class AnswerCard:
    """What one model answers on one picture.

    Attributes:
        column: The model.
        state: Whether it answers like the reference; ``broken`` for NaN or Inf.
        label: Its first class; empty when broken.
        share: What it believes of that class, 0 to 1.
    """

    column: str
    state: Literal["same", "flipped", "broken"]
    label: str
    share: float

    @property
    def percent(self) -> str:
        """The share as text; empty for a broken answer."""
        return "" if self.state == "broken" else formats.percent(self.share)


@dataclass(frozen=True, slots=True)
class PictureCard:
    """One picture with all answers.

    Attributes:
        name: Of the picture.
        thumbnail: A JPEG as ``data:`` address.
        margin: The reference's first logit minus its second.
        answers: The reference's, then each variant's.
    """

    name: str
    thumbnail: str
    margin: float
    answers: tuple[AnswerCard, ...]

    @property
    def reference(self) -> AnswerCard:
        """What the reference answers."""
        return self.answers[0]

    @property
    def agreeing(self) -> tuple[AnswerCard, ...]:
        """The variants that answer like the reference."""
        return tuple(answer for answer in self.answers[1:] if answer.state == "same")

    @property
    def differing(self) -> tuple[AnswerCard, ...]:
        """The variants that answer otherwise, or not at all."""
        return tuple(answer for answer in self.answers[1:] if answer.state != "same")


def picture_card(evaluation: Evaluation, row: int) -> PictureCard:
    """Make the card of one picture.

    Args:
        evaluation: The answers.
        row: Row of the picture in the logits.

    Returns:
        Its card.
    """
    comparison = evaluation.comparison
    flipped = {
        variant.variant
        for variant in comparison.variants
        if any(flip.index == row for flip in variant.flips)
    }
    columns = (comparison.reference, *(variant.variant for variant in comparison.variants))
    margins = [float(variant.reference_margins[row]) for variant in comparison.variants[:1]]
    return PictureCard(
        name=evaluation.pictures[row].name,
        thumbnail=thumbnail(evaluation.pictures[row]),
        margin=margins[0] if margins else float("nan"),
        answers=tuple(_answer(evaluation, name, row, name in flipped) for name in columns),
    )


def _answer(evaluation: Evaluation, column: str, row: int, flipped: bool) -> AnswerCard:
    if not np.isfinite(np.asarray(evaluation.logits[column][row])).all():
        return AnswerCard(column, "broken", "", 0.0)
    shares = evaluation.probabilities(column, row)
    first = int(np.argmax(shares))
    state: Literal["same", "flipped"] = "flipped" if flipped else "same"
    return AnswerCard(column, state, evaluation.label(first), float(shares[first]))


def thumbnail(picture: Picture) -> str:
    """A small JPEG of a picture, as ``data:`` address."""
    small = Image.fromarray(picture.decode())
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
