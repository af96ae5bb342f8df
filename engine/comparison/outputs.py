"""Outputs of a model: logits or probabilities, one for each class or one alone.

Each side of a comparison is read by its own kind, since a file from elsewhere may end in a softmax
where the reference does not. One output alone is the logit, or the sigmoid of it, of a class
against its absence. It is read as two classes: 0, below the threshold, and 1, above it, because
``sigmoid(z)`` is the second entry of ``softmax([0, z])``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from engine.comparison import metrics as metrics_module
from engine.core import parity
from engine.core.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """Outputs of one model with their kind.

    Attributes:
        values: As the model gives them, shape (pictures, classes).
        probabilities: They are those of a softmax (a sigmoid, where there is one) and not logits.
    """

    values: FloatArray
    probabilities: bool = False

    @property
    def answers(self) -> FloatArray:
        """One column a class to choose among, at least two, in the unit of ``values``."""
        if self.values.shape[1] != 1:
            return self.values
        below = 1 - self.values if self.probabilities else np.zeros_like(self.values)
        return np.hstack([below, self.values])

    def logits(self, *, as_probabilities: bool) -> FloatArray:
        """Give one logit, or its stand-in, for each column of ``answers``.

        The stand-in is `metrics.log_probabilities`: needed for both sides as soon as one of them
        gives probabilities, since these tell nothing of what lies below the floor.
        """
        if not as_probabilities:
            return self.answers
        return metrics_module.log_probabilities(self.shares())

    def scores(self, *, as_probabilities: bool) -> FloatArray:
        """Give `logits` in the shape of ``values``: one output is its two classes' difference."""
        logits = self.logits(as_probabilities=as_probabilities)
        return logits[:, 1:] - logits[:, :1] if self.values.shape[1] == 1 else logits

    def shares(self) -> FloatArray:
        """Give the probabilities of the columns of ``answers``; NaN in non-finite rows."""
        if self.probabilities:
            return np.asarray(self.answers, dtype=np.float64)
        return np.asarray(np.exp(metrics_module.log_softmax(self.answers)))


def probability_sides(
    sides: Mapping[str, FloatArray],
    added: Collection[str] = (),
    normalizing: Collection[str] | None = None,
) -> frozenset[str]:
    """Name the sides whose outputs are probabilities; rows with NaN or Inf tell nothing.

    Args:
        sides: Outputs of each side, shape (pictures, classes).
        added: Names of the files from elsewhere; all other sides are made of one model.
        normalizing: Names of the sides whose files hold a softmax, or, where there is one output,
            a sigmoid; None where that is not known.
    """
    finite = {name: _finite(side) for name, side in sides.items()}
    unit = {name for name, rows in finite.items() if len(rows) and metrics_module.within_unit(rows)}
    if any(side.shape[1] == 1 for side in sides.values()):
        if normalizing is not None:
            unit &= set(normalizing)
        own = sides.keys() - set(added)
        # A few logits may lie in [0, 1] by chance; those of all variants of a model hardly do.
        return frozenset(unit if own <= unit else unit - own)
    exact = {name for name in unit if metrics_module.looks_like_probabilities(finite[name])}
    if exact:
        # A softmax in 8 bits loses every class below half a step, and with many classes its rows
        # then sum to less than 1; another side of the same model tells what it is.
        return frozenset(unit)
    return frozenset(
        name for name in unit & set(normalizing or ()) if _sums_of_8_bits(finite[name])
    )


def _finite(side: FloatArray) -> FloatArray:
    rows = parity.finite_rows(side)
    return side if rows.all() else side[rows]


def _sums_of_8_bits(rows: FloatArray) -> bool:
    largest = rows.sum(axis=1, dtype=np.float64).max()
    return bool(0 < largest <= 1 + rows.shape[1] * metrics_module.PROBABILITY_FLOOR)
