"""How much a variant leaves of the reference's margin, picture by picture."""

from __future__ import annotations

import numpy as np

from engine.comparison import metrics as metrics_module
from engine.core import parity
from engine.core.types import FloatArray, IntArray


def kept_margins(variant: FloatArray, first: IntArray) -> parity.DoubleArray:
    """The logit of the reference's first class minus the largest of the others.

    Args:
        variant: The variant's logits, shape (pictures, classes).
        first: The reference's first class of each picture, shape (pictures,);
            `metrics.NO_ANSWER` where it has none.

    Returns:
        Shape (pictures,), in logits: negative where another class comes first; NaN where either
        side gave NaN or Inf; 0 for a model of one class.

    Raises:
        ValueError: Not one class a row.
    """
    if first.shape != variant.shape[:1]:
        raise ValueError(f"{first.shape} first classes for logits of {variant.shape}")
    answered = parity.finite_rows(variant) & (first != metrics_module.NO_ANSWER)
    kept = np.full(len(variant), np.nan)
    if variant.shape[1] == 1:
        kept[answered] = 0.0
        return kept
    values = np.asarray(variant[answered], dtype=np.float64)
    rows = np.arange(len(values))
    own = values[rows, first[answered]].copy()
    values[rows, first[answered]] = -np.inf
    kept[answered] = own - values.max(axis=1)
    return kept
