"""How models' answers stand up to changed pictures: over a set, and on one picture.

Two questions are kept apart. Whether a variant *agrees* is asked on the changed picture: does it
answer what the reference answers there? Whether a model is *stable* is asked of it alone: does it
answer what it answered before the change? A model whose answer is NaN or Inf does neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.comparison.metrics import NO_ANSWER, wilson_interval
from engine.comparison.records import plain
from engine.core.types import IntArray, Interval
from engine.images.changes import CHANGE_KINDS, SCALES, Change, ChangeKind

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class RobustnessPoint:
    """Answers of one model to a set of pictures, all changed alike.

    Attributes:
        kind: Kind of the change.
        strength: Its strength; the unchanged one is among the points.
        model: ``original``, ``onnx`` or a variant.
        pictures: Pictures shown.
        agreeing: On how many it answers what the reference answers on the same changed picture.
        agreement_interval: Wilson score interval of that share.
        stable: On how many it answers what it answers on the picture as it is.
        stability_interval: Wilson score interval of that share.
    """

    kind: ChangeKind
    strength: float
    model: str
    pictures: int
    agreeing: int
    agreement_interval: Interval
    stable: int
    stability_interval: Interval

    @property
    def agreement(self) -> float:
        """Share of pictures with the reference's answer, 0 to 1."""
        return self.agreeing / self.pictures

    @property
    def stability(self) -> float:
        """Share of pictures with the model's own answer from before, 0 to 1."""
        return self.stable / self.pictures


@dataclass(frozen=True, slots=True)
class Robustness:
    """How far models stay with the reference, and with their own answers, on changed pictures.

    Attributes:
        run: Name of the run.
        reference: What the variants are compared with; it is among the models.
        pictures: Names of the pictures that were changed.
        points: One for each kind, strength and model; by kind and strength.
        notes: What a reader of the figures has to know, one sentence each.
    """

    run: str
    reference: str
    pictures: tuple[str, ...]
    points: tuple[RobustnessPoint, ...]
    notes: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[ChangeKind, ...]:
        """Kinds of changes that were measured."""
        measured = {point.kind for point in self.points}
        return tuple(kind for kind in CHANGE_KINDS if kind in measured)

    @property
    def kinds_by_agreement(self) -> tuple[ChangeKind, ...]:
        """Kinds of changes, that under which a variant leaves the reference most first."""

        def least(kind: ChangeKind) -> int:
            point = self.least_agreement(kind)
            return 0 if point is None else point.agreeing

        return tuple(sorted(self.kinds, key=least))

    @property
    def variants(self) -> tuple[str, ...]:
        """Models that were measured beside the reference."""
        names = dict.fromkeys(point.model for point in self.points)
        return tuple(name for name in names if name != self.reference)

    def line(self, kind: ChangeKind, model: str) -> tuple[RobustnessPoint, ...]:
        """Select the points of a kind and a model, from left to right on the kind's scale."""
        positions = SCALES[kind].positions
        points = (p for p in self.points if p.kind == kind and p.model == model)
        return tuple(sorted(points, key=lambda point: positions.index(point.strength)))

    def least_agreement(self, kind: ChangeKind) -> RobustnessPoint | None:
        """Find the variant and strength that agree on the fewest pictures; the first of equals."""
        points = (p for name in self.variants for p in self.line(kind, name))
        return min(points, key=lambda point: point.agreeing, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Give all figures in plain Python types, ready for JSON.

        Returns:
            The fields of this record; a point has its shares beside its counts, intervals are
            ``[low, high]``.
        """
        return {
            "run": self.run,
            "reference": self.reference,
            "pictures": list(self.pictures),
            "notes": list(self.notes),
            "points": [
                plain(point) | {"agreement": point.agreement, "stability": point.stability}
                for point in self.points
            ],
        }

    def to_frame(self) -> pd.DataFrame:
        """Give one row a point; the ends of intervals are the columns ``..._low``, ``..._high``."""
        import pandas as pd

        rows = [
            {
                "kind": point.kind,
                "strength": point.strength,
                "model": point.model,
                "pictures": point.pictures,
                "agreeing": point.agreeing,
                "agreement": point.agreement,
                "agreement_low": point.agreement_interval.low,
                "agreement_high": point.agreement_interval.high,
                "stable": point.stable,
                "stability": point.stability,
                "stability_low": point.stability_interval.low,
                "stability_high": point.stability_interval.high,
            }
            for point in self.points
        ]
        return pd.DataFrame(rows)


def robustness_points(
    change: Change,
    reference: str,
    clean: Mapping[str, IntArray],
    changed: Mapping[str, IntArray],
) -> tuple[RobustnessPoint, ...]:
    """Count on how many changed pictures each model agrees and is stable.

    Args:
        change: What was done to every picture.
        reference: One of the models.
        clean: First classes of each model on the pictures as they are, shape (pictures,);
            `metrics.NO_ANSWER` for NaN or Inf.
        changed: The same on the changed pictures.

    Returns:
        One point a model of ``changed``.
    """
    points = []
    for model, answers in changed.items():
        answered = answers != NO_ANSWER
        agreeing = int(np.count_nonzero(answered & (answers == changed[reference])))
        stable = int(np.count_nonzero(answered & (answers == clean[model])))
        total = len(answers)
        points.append(
            RobustnessPoint(
                kind=change.kind,
                strength=change.strength,
                model=model,
                pictures=total,
                agreeing=agreeing,
                agreement_interval=wilson_interval(agreeing, total),
                stable=stable,
                stability_interval=wilson_interval(stable, total),
            )
        )
    return tuple(points)


@dataclass(frozen=True, slots=True)
class FlipStrength:
    """What it takes to change one model's answer to one picture by one kind of change.

    Attributes:
        kind: Kind of the change.
        model: ``original``, ``onnx`` or a variant.
        clean_class: Its answer to the picture as it is; None for NaN or Inf.
        strength: The weakest of the strengths tried at which it answers otherwise; None where it
            does at none of them, or has no answer to begin with.
        changed_class: Its answer there; None for NaN or Inf, and where there is no strength.
        back_at: The weakest stronger one, on the same side of the scale, at which its first answer
            is back; None where it is at none.
    """

    kind: ChangeKind
    model: str
    clean_class: int | None
    strength: float | None
    changed_class: int | None
    back_at: float | None


@dataclass(frozen=True, slots=True)
class PictureFlips:
    """What it takes to change models' answers to one picture.

    Attributes:
        run: Name of the run.
        picture: Name of the picture.
        flips: One for each kind and model.
    """

    run: str
    picture: str
    flips: tuple[FlipStrength, ...]

    @property
    def kinds(self) -> tuple[ChangeKind, ...]:
        """Kinds of changes that were tried."""
        tried = {flip.kind for flip in self.flips}
        return tuple(kind for kind in CHANGE_KINDS if kind in tried)

    def of(self, kind: ChangeKind) -> tuple[FlipStrength, ...]:
        """Select those of one kind, in the order of the models."""
        return tuple(flip for flip in self.flips if flip.kind == kind)

    def to_dict(self) -> dict[str, Any]:
        """Give all figures in plain Python types, with the strengths that were tried by kind."""
        return {
            "run": self.run,
            "picture": self.picture,
            "tried": {kind: list(SCALES[kind].search) for kind in self.kinds},
            "flips": [plain(flip) for flip in self.flips],
        }


def flip_strengths(
    kind: ChangeKind, clean: Mapping[str, int], changed: Mapping[str, Sequence[int]]
) -> tuple[FlipStrength, ...]:
    """Find the weakest strength that changes each model's answer to a picture.

    Every strength of the kind's ``search`` is looked at: an answer that changes may be back at a
    stronger one.

    Args:
        kind: Kind of the change.
        clean: First class of each model on the picture as it is; `metrics.NO_ANSWER` for NaN.
        changed: The same at each strength of ``SCALES[kind].search``, in its order.
    """
    tried = SCALES[kind].search
    flips = []
    for model, answers in changed.items():
        before = clean[model]
        pairs = list(zip(tried, answers, strict=True))
        first = next((pair for pair in pairs if pair[1] != before), None)
        if before == NO_ANSWER or first is None:
            flips.append(FlipStrength(kind, model, _class(before), None, None, None))
            continue
        strength, answer = first
        back_at = _back_at(strength, SCALES[kind].unchanged, (s for s, a in pairs if a == before))
        flips.append(FlipStrength(kind, model, _class(before), strength, _class(answer), back_at))
    return tuple(flips)


def _back_at(flip: float, unchanged: float, same: Iterable[float]) -> float | None:
    """Find the weakest of the strengths with the first answer that is beyond the flip."""
    reach = flip - unchanged
    beyond = (s for s in same if (s - unchanged) / reach > 1)
    return next(beyond, None)


def _class(answer: int) -> int | None:
    return None if answer == NO_ANSWER else int(answer)
