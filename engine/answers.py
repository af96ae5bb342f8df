"""The answers of a run on pictures, with their comparison: what pages and reports show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine import service
from engine.comparison import metrics
from engine.comparison.comparison import Comparison
from engine.images import Picture
from engine.networks.labels import label_of
from engine.runs import Run
from engine.types import ORIGINAL, FloatArray, IntArray, Latency


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

    def comparable(self, column: str) -> FloatArray:
        """What the comparison looked at: logits, or logarithms of a softmax's output."""
        if self.comparison.probabilities:
            return metrics.log_probabilities(self.logits[column])
        return self.logits[column]

    def differences(self, variant: str) -> FloatArray:
        """Differences to the reference, each row's mean removed, shape (pictures, classes)."""
        reference = self.comparable(self.comparison.reference)
        found: FloatArray = metrics.difference(reference, self.comparable(variant))
        return found

    def probabilities(self, column: str, row: int) -> FloatArray:
        """What a column believes of one picture, shape (classes,)."""
        values = np.asarray(self.logits[column][row], dtype=np.float64)
        if self.comparison.probabilities:
            return values
        exponents = np.exp(values - values.max())
        shares: FloatArray = exponents / exponents.sum()
        return shares

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
    host: service.Host,
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
    logits = service.evaluate(run, pictures, columns, host)
    comparison = service.compare_run(
        run, pictures, host, reference=reference, labels=labels, latency=latency
    )
    return Evaluation(run, pictures, comparison, logits)
