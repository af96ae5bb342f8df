"""Stored predictions of a run on changed pictures: ``RUN/robustness/<picture>.json``.

A file holds what models predict on one picture, by name of the model with its versions, then by
change. A prediction is the first classes alone: a whole row of logits for every strength of every
change would take a hundred times the room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.comparison import metrics
from engine.comparison.outputs import Outputs
from engine.core.checksums import find_record, write_record
from engine.core.locks import exclusive_lock
from engine.core.types import FloatArray
from engine.images.changes import Change, key_of_changes
from engine.images.pictures import Picture
from engine.runs.results import file_name
from engine.runs.run import ROBUSTNESS, Run

Changes = tuple[Change, ...]
_MOST_CLASSES = 5


@dataclass(frozen=True, slots=True)
class Prediction:
    """The first classes of a model on a changed picture.

    Attributes:
        classes: The largest outputs' classes, at most five, largest first; empty for NaN or Inf.
        values: Those outputs, as the model gives them.
        log_sum: Logarithm of the sum of the exponentials of all outputs.
    """

    classes: tuple[int, ...]
    values: tuple[float, ...]
    log_sum: float


def predict(logits: FloatArray) -> Prediction:
    """Take the first classes of a model's outputs, shape (classes,)."""
    best = metrics.top_k(logits[None], min(_MOST_CLASSES, len(logits)))[0].tolist()
    if metrics.NO_ANSWER in best:
        return Prediction((), (), 0.0)
    values = logits.astype(np.float64)
    peak = float(values.max())
    log_sum = peak + float(np.log(np.exp(values - peak).sum()))
    return Prediction(tuple(best), tuple(float(values[index]) for index in best), log_sum)


def first_class(prediction: Prediction, probabilities: bool) -> int:
    """Give the class that a prediction puts first, or `metrics.NO_ANSWER`.

    One output alone is read as two classes, as `Outputs` does; ``probabilities`` say of which kind
    the model's outputs are.
    """
    if not prediction.classes:
        return metrics.NO_ANSWER
    if len(prediction.values) > 1:
        return prediction.classes[0]
    alone = np.array([prediction.values], dtype=np.float64)
    return int(metrics.top_k(Outputs(alone, probabilities).answers, 1)[0, 0])


def best_classes(prediction: Prediction, probabilities: bool) -> tuple[tuple[int, float], ...]:
    """Give the first classes of a prediction with the model's belief in each, 0 to 1."""
    if len(prediction.values) == 1:
        alone = np.array([prediction.values], dtype=np.float64)
        shares = Outputs(alone, probabilities).shares()[0]
        order = np.argsort(-shares, kind="stable").tolist()
        return tuple((index, float(shares[index])) for index in order)
    values = np.array(prediction.values)
    shares = values if probabilities else np.exp(values - prediction.log_sum)
    return tuple(zip(prediction.classes, map(float, shares), strict=True))


@dataclass(frozen=True, slots=True)
class ChangedPicture:
    """A picture, and what is to be done to it before a model sees it."""

    picture: Picture
    changes: Changes


@dataclass(frozen=True, slots=True)
class StoredPredictions:
    """What models predict on one picture: by name of the model with its versions, then change."""

    models: dict[str, dict[str, Prediction]] = field(default_factory=dict)


def _file(run: Run, picture: Picture) -> Path:
    return run.folder / ROBUSTNESS / f"{picture.sha256[:32]}.json"


def _model_key(run: Run, model: str) -> str:
    return file_name(run, model).removesuffix(".npy")


class ChangedPredictions:
    """Stored predictions of a run on changed pictures, read once.

    Args:
        run: The run.
        pictures: Those to read.
    """

    def __init__(self, run: Run, pictures: Iterable[Picture]) -> None:
        self._run = run
        self._pictures = {picture.sha256: picture for picture in pictures}
        self._keys: dict[str, str] = {}
        self._stored: dict[str, StoredPredictions] = {}
        self.read()

    def read(self) -> None:
        """Read what is stored now."""
        for digest, picture in self._pictures.items():
            stored = find_record(_file(self._run, picture), StoredPredictions)
            self._stored[digest] = StoredPredictions() if stored is None else stored

    def of(self, model: str, picture: Picture, changes: Changes) -> Prediction | None:
        """Find what a model predicts; None where it was not asked yet."""
        if model not in self._keys:
            self._keys[model] = _model_key(self._run, model)
        by_change = self._stored[picture.sha256].models.get(self._keys[model], {})
        return by_change.get(key_of_changes(changes))

    def missing(self, model: str, wanted: Sequence[ChangedPicture]) -> tuple[int, ...]:
        """List by their index the changed pictures that a model was not shown yet."""
        return tuple(
            index
            for index, shown in enumerate(wanted)
            if self.of(model, shown.picture, shown.changes) is None
        )


Asked = Mapping[str, Mapping[ChangedPicture, Prediction]]
"""What models predict, by name and changed picture."""


def store_predictions(run: Run, predictions: Asked) -> None:
    """Add predictions to those that are stored.

    Raises:
        StorageError: The disk refuses.
    """
    new: dict[Path, dict[str, dict[str, Prediction]]] = {}
    for model, by_picture in predictions.items():
        for shown, prediction in by_picture.items():
            by_model = new.setdefault(_file(run, shown.picture), {})
            by_change = by_model.setdefault(_model_key(run, model), {})
            by_change[key_of_changes(shown.changes)] = prediction
    # Another process may have stored some meanwhile.
    with exclusive_lock(run.folder / ROBUSTNESS):
        for file, by_model in new.items():
            stored = find_record(file, StoredPredictions) or StoredPredictions()
            for key, by_change in by_model.items():
                stored.models.setdefault(key, {}).update(by_change)
            write_record(file, stored)
