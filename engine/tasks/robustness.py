"""Measure what it takes to change models' answers: over a set of pictures, and on one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from engine.comparison.robustness import (
    FlipStrength,
    PictureFlips,
    Robustness,
    RobustnessPoint,
    flip_strengths,
    robustness_points,
)
from engine.core.errors import OptionError
from engine.core.types import ORIGINAL, IntArray
from engine.images.changes import (
    CHANGE_KINDS,
    SCALES,
    Change,
    ChangeKind,
)
from engine.images.pictures import DEFAULT_CURVE_COUNT, Picture
from engine.runs.changed_predictions import (
    ChangedPicture,
    ChangedPredictions,
    first_class,
)
from engine.runs.results import NETWORK, answering, spread_pictures
from engine.runs.run import Run
from engine.tasks.changed_pictures import ask_models
from engine.tasks.evaluate import evaluate
from engine.tasks.evaluation import Evaluation
from engine.workers.process import Host, share_worker


def check_kinds(kinds: Iterable[str]) -> tuple[ChangeKind, ...]:
    """Take names of kinds of changes, all where there are none, in the order of `CHANGE_KINDS`.

    Raises:
        OptionError: One is none.
    """
    names = set(kinds)
    for name in sorted(names - set(CHANGE_KINDS)):
        raise OptionError(
            "Choosing the changes",
            got=f"'{name}'",
            expected="one of " + ", ".join(CHANGE_KINDS),
            todo="Name one of these.",
        )
    return tuple(kind for kind in CHANGE_KINDS if not names or kind in names)


def measure_robustness(
    run: Run,
    pictures: tuple[Picture, ...],
    host: Host,
    *,
    kinds: Iterable[str] = (),
    reference: str = ORIGINAL,
    variants: tuple[str, ...] = (),
    count: int = DEFAULT_CURVE_COUNT,
) -> Robustness:
    """Measure how answers stand up to changes of a set of pictures; see `engine.robustness`."""
    chosen, names = spread_pictures(pictures, count), check_kinds(kinds)
    with share_worker(host) as shared:
        clean = evaluate(run, chosen, shared, reference=reference, variants=variants)
        measured = _measure(clean, chosen, names, shared)
    assert measured is not None, "there is a host"
    return measured


def read_robustness(
    evaluation: Evaluation, *, count: int = DEFAULT_CURVE_COUNT
) -> Robustness | None:
    """Read what was measured for the models and pictures of an evaluation.

    Returns:
        The kinds of changes that were shown to all of its models, on as many of its pictures as
        ``count`` leaves; None where there is no such kind.
    """
    chosen = spread_pictures(evaluation.pictures, count)
    stored = ChangedPredictions(evaluation.run, chosen)
    names = tuple(
        kind
        for kind in CHANGE_KINDS
        if not any(
            stored.missing(model, _curve_of(chosen, (kind,))) for model in models_of(evaluation)
        )
    )
    return _measure(evaluation, chosen, names, None) if names else None


def models_of(evaluation: Evaluation) -> tuple[str, ...]:
    """Name the reference of an evaluation, and what is compared with it."""
    comparison = evaluation.comparison
    variants = (variant.variant for variant in comparison.variants)
    return tuple(dict.fromkeys((comparison.reference, *variants)))


def _curve_of(
    pictures: Iterable[Picture], kinds: Iterable[ChangeKind]
) -> tuple[ChangedPicture, ...]:
    """List pictures under every strength of a curve, those of one picture together."""
    changes = [(Change(kind, strength),) for kind in kinds for strength in SCALES[kind].curve]
    return tuple(ChangedPicture(picture, change) for picture in pictures for change in changes)


def _measure(
    evaluation: Evaluation,
    pictures: tuple[Picture, ...],
    kinds: tuple[ChangeKind, ...],
    host: Host | None,
) -> Robustness | None:
    """Count answers to pictures of an evaluation under every strength of some kinds of changes."""
    models, comparison = models_of(evaluation), evaluation.comparison
    stored = ask_models(evaluation.run, _curve_of(pictures, kinds), models, host)
    if stored is None:
        return None
    rows = _rows_of(evaluation, pictures)
    clean = {model: evaluation.first_answers(model)[rows] for model in models}
    points: list[RobustnessPoint] = []
    for kind in kinds:
        scale = SCALES[kind]
        for strength in (s for s in scale.positions if s in {*scale.curve, scale.unchanged}):
            change = Change(kind, strength)
            changed = clean if change.idle else _classes(evaluation, stored, pictures, change)
            points += robustness_points(change, comparison.reference, clean, changed)
    return Robustness(
        run=comparison.run,
        reference=comparison.reference,
        pictures=tuple(comparison.pictures[row] for row in rows),
        points=tuple(points),
        notes=(*_notes(evaluation, pictures), *comparison.notes),
    )


def _rows_of(evaluation: Evaluation, pictures: Iterable[Picture]) -> list[int]:
    rows = {picture.sha256: row for row, picture in enumerate(evaluation.pictures)}
    return [rows[picture.sha256] for picture in pictures]


def _classes(
    evaluation: Evaluation,
    stored: ChangedPredictions,
    pictures: tuple[Picture, ...],
    change: Change,
) -> dict[str, IntArray]:
    """Look up the first class of each model on each picture, shape (pictures,)."""
    return {
        model: np.array(
            [_class_of(evaluation, stored, model, picture, change) for picture in pictures]
        )
        for model in models_of(evaluation)
    }


def _class_of(
    evaluation: Evaluation,
    stored: ChangedPredictions,
    model: str,
    picture: Picture,
    change: Change,
) -> int:
    prediction = stored.of(model, picture, (change,))
    assert prediction is not None, "it was asked for"
    return first_class(prediction, evaluation.comparison.gives_probabilities(model))


def _notes(evaluation: Evaluation, pictures: tuple[Picture, ...]) -> tuple[str, ...]:
    own = answering(evaluation.run, pictures, ORIGINAL) == NETWORK
    if not own or ORIGINAL not in models_of(evaluation):
        return ()
    return (
        "On changed pictures the original is the ONNX file that was exported from the network; on "
        "pictures as they are its logits are the network's own.",
    )


def find_flips(
    evaluation: Evaluation, picture: Picture, host: Host | None, *, kinds: Iterable[str] = ()
) -> PictureFlips | None:
    """Find the weakest changes of a picture that change the answers of models.

    Args:
        evaluation: With the answers to the picture as it is.
        picture: One of its pictures.
        host: Gets the worker and its progress; None asks nothing.
        kinds: Kinds of changes; all where there are none.

    Returns:
        One record a kind and model; without a host only kinds that were searched before, None
        where there is none.

    Raises:
        UserMistake: A kind or the picture is wrong.
        WorkerError: The worker process failed.
    """
    models, names = models_of(evaluation), check_kinds(kinds)
    if host is not None:
        ask_models(evaluation.run, _search_of(picture, names), models, host)
    stored = ChangedPredictions(evaluation.run, (picture,))
    (row,) = _rows_of(evaluation, (picture,))
    clean = {model: int(evaluation.first_answers(model)[row]) for model in models}
    flips: list[FlipStrength] = []
    for kind in names:
        if any(stored.missing(model, _search_of(picture, (kind,))) for model in models):
            continue
        changed = {
            model: [
                _class_of(evaluation, stored, model, picture, Change(kind, strength))
                for strength in SCALES[kind].search
            ]
            for model in models
        }
        flips += flip_strengths(kind, clean, changed)
    if not flips:
        return None
    comparison = evaluation.comparison
    return PictureFlips(comparison.run, comparison.pictures[row], tuple(flips))


def _search_of(picture: Picture, kinds: Iterable[ChangeKind]) -> tuple[ChangedPicture, ...]:
    return tuple(
        ChangedPicture(picture, (Change(kind, strength),))
        for kind in kinds
        for strength in SCALES[kind].search
    )
