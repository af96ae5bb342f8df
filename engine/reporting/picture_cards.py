"""Picture cards of pages and reports: what every model answers on one picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from engine.core import formats
from engine.images.pictures import Picture, RgbPicture
from engine.tasks.evaluation import Evaluation

THUMBNAIL_SIDE = 256
_QUALITY = 80
_MOST_CLASSES = 5


@dataclass(frozen=True, slots=True)
class AnswerCard:
    """What one model answers on one picture.

    Attributes:
        column: The model.
        state: Whether it answers like the reference; ``broken`` for NaN or Inf.
        best: Its first five classes and what it believes of each, 0 to 1; empty when broken.
    """

    column: str
    state: Literal["same", "flipped", "broken"]
    best: tuple[tuple[str, float], ...]

    @property
    def label(self) -> str:
        """Its first class; empty for a broken answer."""
        return self.best[0][0] if self.best else ""

    @property
    def percent(self) -> str:
        """What it believes of that class as text; empty for a broken answer."""
        return formats.percent(self.best[0][1]) if self.best else ""


@dataclass(frozen=True, slots=True)
class PictureCard:
    """One picture with the answers of several models.

    Attributes:
        picture: The picture.
        margin: The reference's first logit minus its second.
        answers: The reference's, then the others'.
    """

    picture: Picture
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


def picture_card(
    evaluation: Evaluation, row: int, columns: Sequence[str] | None = None
) -> PictureCard:
    """Make the card of the picture in a row of the logits, with all models or some of them."""
    variants = evaluation.comparison.variants
    flipped = {v.variant for v in variants if any(flip.index == row for flip in v.flips)}
    if columns is None:
        columns = (evaluation.comparison.reference, *(v.variant for v in variants))
    return PictureCard(
        picture=evaluation.pictures[row],
        margin=float(variants[0].reference_margins[row]) if variants else float("nan"),
        answers=tuple(_answer(evaluation, name, row, name in flipped) for name in columns),
    )


def _answer(evaluation: Evaluation, column: str, row: int, flipped: bool) -> AnswerCard:
    if not np.isfinite(np.asarray(evaluation.logits[column][row])).all():
        return AnswerCard(column, "broken", ())
    shares = evaluation.probabilities(column, row)
    best = np.argsort(-shares, kind="stable")[:_MOST_CLASSES].tolist()
    classes = tuple((evaluation.label(index), float(shares[index])) for index in best)
    return AnswerCard(column, "flipped" if flipped else "same", classes)


def thumbnail(pixels: RgbPicture, side: int = THUMBNAIL_SIDE) -> str:
    """Shrink a decoded picture into a square, as a JPEG with a ``data:`` address."""
    small = Image.fromarray(pixels)
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
