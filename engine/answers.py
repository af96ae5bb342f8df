"""The answers of a run on pictures, with their comparison: what pages and reports show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine import service as service_module
from engine.comparison import metrics as metrics_module
from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency
from engine.comparison.outputs import Outputs
from engine.core import parity
from engine.core.types import ORIGINAL, FloatArray, IntArray
from engine.images.labels import label_of
from engine.images.pictures import Picture
from engine.runs.run import Run
from engine.workers import host as host_module


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

    def outputs(self, column: str) -> Outputs:
        """Outputs of a column, with their kind."""
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
        found: FloatArray = parity.difference(
            *(self.outputs(column).scores(as_probabilities=softmax) for column in columns)
        )
        return found

    def probabilities(self, column: str, row: int) -> FloatArray:
        """What a column believes of one picture, shape (answers,)."""
        outputs = self.outputs(column)
        shares = Outputs(outputs.values[row : row + 1], outputs.probabilities).shares()
        return np.asarray(shares[0])

    def first_answers(self, column: str) -> IntArray:
        """The class that a column answers, shape (pictures,), or `metrics.NO_ANSWER`."""
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


def answers_of(
    run: Run,
    pictures: tuple[Picture, ...],
    host: host_module.Host,
    *,
    reference: str = ORIGINAL,
    labels: IntArray | None = None,
    latency: Latency | None = None,
) -> Evaluation:
    """Show pictures to the reference and every variant of a run, and compare what they answer.

    Args:
        run: The run.
        pictures: At least one picture.
        host: Gets the worker and its progress.
        reference: One of `Run.columns`.
        labels: Right answers, shape (pictures,), -1 for unknown.
        latency: Timings to show beside.

    Returns:
        Answers and comparison; what was computed before is read from the run.

    Raises:
        UserMistake: A name or picture is wrong.
        WorkerError: The worker process failed.
    """
    columns = tuple(dict.fromkeys((reference, *run.runnable)))
    logits = service_module.evaluate(run, pictures, columns, host)
    comparison = service_module.compare_run(
        run, pictures, host, reference=reference, labels=labels, latency=latency
    )
    return Evaluation(run, pictures, comparison, logits)
