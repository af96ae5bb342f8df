"""`Evaluation`: the answers of models to pictures, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.comparison import metrics as metrics_module
from engine.comparison.comparison import Comparison, compare
from engine.comparison.latency import Latency
from engine.comparison.outputs import Outputs
from engine.comparison.slices import Slices, Traits, make_slices
from engine.conversion.missing_variants import missing_sentences
from engine.core import parity
from engine.core.formats import batch_note
from engine.core.types import ORIGINAL, FloatArray, IntArray
from engine.images.cache import FittedPictures
from engine.images.labels import label_of
from engine.images.pictures import Picture, brightness_of, megapixels_of
from engine.runs.results import original_note
from engine.runs.run import ONNX_COLUMN, Run
from engine.tasks.targets import read_memory


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that a view of answers shows.

    Attributes:
        run: The run.
        pictures: The pictures, in the order of the rows.
        comparison: Its variants against the reference.
        logits: What each column gave, shape (pictures, classes).
    """

    run: Run
    pictures: tuple[Picture, ...]
    comparison: Comparison
    logits: Mapping[str, FloatArray]

    def compare_with(self, labels: IntArray) -> Comparison:
        """Compare the same answers with labels, shape (pictures,), -1 for unknown."""
        before = self.comparison
        columns = (before.reference, *(variant.variant for variant in before.variants))
        return compare_models(
            self.run,
            self.pictures,
            {column: self.logits[column] for column in columns},
            reference=before.reference,
            labels=labels,
            latency=before.latency,
        )

    def slices(
        self, labels: IntArray | None = None, tags: Sequence[Sequence[str]] | None = None
    ) -> Slices:
        """Count on named groups of the pictures how often models agree and are right.

        Args:
            labels: Right answers, shape (pictures,), -1 for unknown.
            tags: The tags of each picture.

        Raises:
            PictureError: A picture cannot be read any more.
        """
        fitted = FittedPictures(
            self.run.manifest.preprocess, {picture.sha256 for picture in self.pictures}
        )
        traits = Traits(
            labels=labels,
            brightness=np.array([brightness_of(fitted.pixels_of(p)) for p in self.pictures]),
            megapixels=np.array([megapixels_of(picture) for picture in self.pictures]),
            tags=[()] * len(self.pictures) if tags is None else tags,
        )
        comparison = self.comparison
        models = (comparison.reference, *(variant.variant for variant in comparison.variants))
        answers = {model: self.first_answers(model) for model in models}
        return make_slices(comparison.run, comparison.reference, answers, traits, self.label)

    def outputs(self, column: str) -> Outputs:
        """Return the outputs of a column, with their kind."""
        return Outputs(self.logits[column], self.comparison.gives_probabilities(column))

    def comparable(self, column: str, *beside: str) -> FloatArray:
        """Logits to show beside those of other columns, shape (pictures, answers).

        Args:
            column: Whose logits.
            beside: The other columns; the reference where none is given.

        Returns:
            Logarithms of probabilities where one of the columns gives probabilities, else logits.
        """
        columns = (column, *(beside or (self.comparison.reference,)))
        softmax = any(map(self.comparison.gives_probabilities, columns))
        return self.outputs(column).logits(as_probabilities=softmax)

    def differences(self, variant: str) -> FloatArray:
        """Differences to the reference, each row's mean removed, shape (pictures, classes)."""
        columns = self.comparison.reference, variant
        softmax = any(map(self.comparison.gives_probabilities, columns))
        scores = (self.outputs(column).scores(as_probabilities=softmax) for column in columns)
        moved: FloatArray = parity.difference(*scores)
        return moved

    def probabilities(self, column: str, row: int) -> FloatArray:
        """Compute a column's probabilities for one picture, shape (answers,)."""
        outputs = self.outputs(column)
        shares = Outputs(outputs.values[row : row + 1], outputs.probabilities).shares()
        return np.asarray(shares[0])

    def first_answers(self, column: str) -> IntArray:
        """Return the class that a column answers, shape (pictures,), or `metrics.NO_ANSWER`."""
        first: IntArray = metrics_module.top_k(self.outputs(column).answers, 1)[:, 0]
        return first

    def label(self, index: int) -> str:
        """Name of a class."""
        return label_of(self.run.manifest.labels, index)

    def disagreement(self) -> FloatArray:
        """How far the variants moved each picture: the largest rms, plus a step for every flip.

        Returns:
            Shape (pictures,); larger is worse, NaN counts as worst.
        """
        worst = np.zeros(len(self.pictures))
        flips = np.zeros(len(self.pictures))
        for variant in self.comparison.variants:
            worst = np.maximum(worst, np.nan_to_num(variant.picture_rms, nan=np.inf))
            for flip in variant.flips:
                flips[flip.index] += 1
        order: FloatArray = flips * 1e6 + worst
        return order


def compare_models(
    run: Run,
    pictures: tuple[Picture, ...],
    logits: Mapping[str, FloatArray],
    *,
    reference: str,
    labels: IntArray | None = None,
    latency: Latency | None = None,
) -> Comparison:
    """Compare columns of a run with one of them, by their logits on pictures."""
    manifest = run.manifest
    calibrated = {recipe.name for recipe in manifest.recipes if recipe.calibrated}
    demo = manifest.calibration is not None and manifest.calibration.demo
    return compare(
        run=run.folder.name,
        reference_name=reference,
        logits=logits,
        pictures=tuple(picture.name for picture in pictures),
        labels=labels,
        sizes=run.sizes,
        float32_bytes=manifest.float32_bytes,
        latency=latency,
        random_weights=manifest.model.random,
        demo_calibration=demo and bool(calibrated & set(logits)),
        added={added.artifact.variant for added in run.added},
        notes=_notes(run, pictures, tuple(logits)),
        known_faults=run.faults,
        missing=missing_sentences(run.missing),
        memory=read_memory(run),
        normalizing=_normalizing(run),
    )


def _notes(run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...]) -> tuple[str, ...]:
    note = original_note(run, pictures) if ORIGINAL in columns else None
    batches = [
        batch_note(card.variant, card.inputs[0].batch, depends=card.depends_on_batch)
        for card in (added.artifact for added in run.added)
        if card.variant in columns and card.inputs[0].batch > 1
    ]
    return (*run.manifest.notes, *([note] if note is not None else []), *batches)


def _normalizing(run: Run) -> set[str]:
    """Columns whose models hold a softmax, or, where there is one output, a sigmoid."""
    operator = "LOGISTIC" if run.manifest.model.classes == 1 else "SOFTMAX"
    names = {card.variant for card in run.artifacts if operator in card.operators}
    return names if names.isdisjoint(run.variants) else {*names, ORIGINAL, ONNX_COLUMN}
