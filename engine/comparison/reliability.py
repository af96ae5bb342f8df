"""Whether a model is as often right as it is sure.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017: pictures are sorted into bins of
equal width by the confidence of the first answer; the expected calibration error is the mean over
the bins of ``|share right - mean confidence|``, weighted by pictures.
"""

from __future__ import annotations

import math

import numpy as np

from engine.comparison import metrics as metrics_module
from engine.core import parity
from engine.core.types import FloatArray
from engine.types import ConfidenceBin, Reliability

BINS = 10


def reliability(
    outputs: FloatArray, right: parity.BoolArray, *, probabilities: bool
) -> Reliability:
    """Sort labelled pictures by confidence and count how often they are right.

    Args:
        outputs: Outputs on labelled pictures, shape (pictures, classes).
        right: Whether the first answer is the label, shape (pictures,).
        probabilities: The outputs are those of a softmax already; else their softmax is taken.

    Returns:
        The calibration curve. Rows with NaN or Inf have no confidence and are counted apart.
    """
    finite = parity.finite_rows(outputs)
    sure = confidence(outputs[finite], probabilities=probabilities)
    hits = right[finite]
    # Bin b holds (b/10, (b + 1)/10], and the first one 0, too.
    places = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    bins = []
    for place in np.unique(places):
        own = places == place
        count, good = int(own.sum()), int(hits[own].sum())
        bins.append(
            ConfidenceBin(
                low=float(place) / BINS,
                high=float(place + 1) / BINS,
                pictures=count,
                confidence=float(sure[own].mean()),
                right=good / count,
                right_interval=metrics_module.wilson_interval(good, count),
            )
        )
    total = len(sure)
    error = (
        sum(found.pictures * abs(found.right - found.confidence) for found in bins) / total
        if total
        else math.nan
    )
    return Reliability(tuple(bins), error, int((~finite).sum()))


def confidence(outputs: FloatArray, *, probabilities: bool) -> FloatArray:
    """The share that each first answer gets, shape (pictures,), 0 to 1.

    Args:
        outputs: Finite outputs, shape (pictures, classes).
        probabilities: They are those of a softmax already; else their softmax is taken.
    """
    values = np.asarray(outputs, dtype=np.float64)
    if not len(values) or probabilities:
        return np.asarray(values.max(axis=1) if len(values) else values[:, 0])
    # The largest class of a softmax is 1 over the sum of exp(x - max).
    below = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(1 / below.sum(axis=1))
