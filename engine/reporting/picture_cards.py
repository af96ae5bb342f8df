"""Picture cards of pages and reports: what models answer on one picture, and which tells most."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from engine.comparison import metrics
from engine.core import formats
from engine.core.parity import BoolArray
from engine.core.types import FloatArray, IntArray
from engine.images.labels import UNLABELLED
from engine.images.pictures import Picture, RgbPicture
from engine.tasks.evaluation import Evaluation

THUMBNAIL_SIDE = 256
_QUALITY = 80
MOST_CLASSES = 5


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
    best = np.argsort(-shares, kind="stable")[:MOST_CLASSES].tolist()
    classes = tuple((evaluation.label(index), float(shares[index])) for index in best)
    return AnswerCard(column, "flipped" if flipped else "same", classes)


@dataclass(frozen=True, slots=True)
class ClassPair:
    """One class with what two models believe of it.

    Attributes:
        name: Of the class.
        reference: What the reference believes, 0 to 1; NaN for a broken answer.
        variant: What the variant believes, 0 to 1; NaN for a broken answer.
    """

    name: str
    reference: float
    variant: float


@dataclass(frozen=True, slots=True)
class PairCard:
    """One picture with the answers of the reference and of one variant.

    Attributes:
        picture: The picture.
        reference: What the reference answers.
        variant: What the variant answers.
        classes: The first five classes of the reference (all, if there are fewer), or of the
            variant where the reference's answer is broken. Where the variant answers a class beyond
            these, that class is the last.
        label: The right answer; empty where it is unknown.
    """

    picture: Picture
    reference: AnswerCard
    variant: AnswerCard
    classes: tuple[ClassPair, ...]
    label: str


def pair_card(evaluation: Evaluation, variant: str, row: int, label: int) -> PairCard:
    """Make the card of the picture in a row of the logits, with the reference and a variant.

    Args:
        evaluation: The answers.
        variant: Whose answers stand beside the reference's.
        row: Of the picture.
        label: Index of the right class; -1 for unknown.
    """
    name = evaluation.comparison.reference
    first, variants_first = (_first_answer(evaluation, side, row) for side in (name, variant))
    sides = [evaluation.probabilities(column, row) for column in (name, variant)]
    answered = metrics.NO_ANSWER not in (first, variants_first)
    leading = sides[0] if first != metrics.NO_ANSWER else sides[1]
    classes = np.argsort(-leading, kind="stable")[:MOST_CLASSES].tolist()
    if answered and variants_first not in classes:
        classes[-1] = variants_first
    return PairCard(
        picture=evaluation.pictures[row],
        reference=_answer(evaluation, name, row, False),
        variant=_answer(evaluation, variant, row, answered and first != variants_first),
        classes=tuple(
            ClassPair(evaluation.label(index), float(sides[0][index]), float(sides[1][index]))
            for index in classes
        ),
        label="" if label == UNLABELLED else evaluation.label(label),
    )


def _first_answer(evaluation: Evaluation, column: str, row: int) -> int:
    answers = evaluation.outputs(column).answers[row : row + 1]
    return int(metrics.top_k(answers, 1)[0, 0])


SURE = 0.5
"""What a model believes at least of an answer that it is sure of: more than of all others."""


@dataclass(frozen=True, slots=True, eq=False)
class Telling:
    """What decides which pictures tell most about a variant; arrays of shape (pictures,).

    Attributes:
        changed: Whether the variant answers otherwise, or not at all.
        loss: What the variant took of the reference's margin, in logits; NaN for a broken answer.
        shares: What the reference believes of its first answer, 0 to 1; NaN for a broken answer.
        right: 1 where the reference's first answer is the label, 0 where it is not, and -1 where
            the label is unknown.
    """

    changed: BoolArray
    loss: FloatArray
    shares: FloatArray
    right: IntArray


def rank_by_telling(telling: Telling) -> tuple[int, ...]:
    """Order pictures by how much each tells about a variant, the most telling first.

    First come changed answers of which the reference was right, then changed answers of unknown
    label that it was sure of (`SURE`), the surest first. They are followed by the pictures that
    the reference answers surely, and not wrongly, by the loss of margin, and by all others, the
    surest first.

    Returns:
        Rows of the arrays, each once.
    """
    sure = np.nan_to_num(telling.shares, nan=-1.0)
    loss = np.nan_to_num(telling.loss, nan=np.inf)
    surely = sure >= SURE
    groups = (
        telling.changed & (telling.right == 1),
        telling.changed & (telling.right == UNLABELLED) & surely,
        surely & (telling.right != 0),
    )
    rank = np.select(groups, range(len(groups)), len(groups))
    within = np.where(rank == 2, -loss, -sure)
    order = np.lexsort((np.arange(len(rank)), within, rank))
    return tuple(order.tolist())


def measure_telling(evaluation: Evaluation, variant: str, labels: IntArray | None) -> Telling:
    """Find what decides which pictures tell most about a variant.

    Args:
        evaluation: The answers.
        variant: The variant.
        labels: Class indices, shape (pictures,), -1 for unknown; None where none is known.
    """
    reference = evaluation.comparison.reference
    first = evaluation.first_answers(reference)
    answered = first != metrics.NO_ANSWER
    shares = evaluation.outputs(reference).shares().max(axis=1)
    side = evaluation.comparison.variant(variant)
    unlabelled = np.full(len(first), UNLABELLED)
    labels = unlabelled if labels is None else labels
    return Telling(
        changed=answered & (evaluation.first_answers(variant) != first),
        loss=np.asarray(side.reference_margins) - np.asarray(side.kept_margins),
        shares=np.where(answered, shares, np.nan),
        right=np.where(labels == UNLABELLED, UNLABELLED, (labels == first).astype(np.int64)),
    )


def thumbnail(pixels: RgbPicture, side: int = THUMBNAIL_SIDE) -> str:
    """Shrink a decoded picture into a square, as a JPEG with a ``data:`` address."""
    small = Image.fromarray(pixels)
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
