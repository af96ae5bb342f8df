"""Numerical parity: how far logits move between two stages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.core.types import FloatArray

FLOAT_TOLERANCE = 1e-3
"""Largest relative error of a stage that computes in float32."""


def hop_errors(before: FloatArray, after: FloatArray) -> tuple[float, float]:
    """Measure how far logits moved between two stages.

    Args:
        before: Logits of the stage before, shape (pictures, classes).
        after: Logits of this stage on the same pictures.

    Returns:
        The largest absolute difference, and a relative one: that divided by the largest absolute
        logit of ``before`` (0 where both are 0 everywhere, infinite where only ``before`` is), or
        the same with each row's mean removed where that is more. Logits with a large common offset
        could otherwise change places unnoticed.
    """
    absolute = float(np.max(np.abs(after.astype(np.float64) - before)))
    moved = float(np.max(np.abs(difference(before, after))))
    shares = (
        _share(absolute, float(np.max(np.abs(before)))),
        _share(moved, float(np.max(np.abs(center_rows(before))))),
    )
    return absolute, max(shares)


def _share(part: float, whole: float) -> float:
    if whole == 0:
        return 0.0 if part == 0 else float("inf")
    return part / whole


DoubleArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def require_same_shape(reference: FloatArray, variant: FloatArray) -> None:
    """Raise ValueError unless both have one shape, with at least one picture and one class."""
    if reference.shape != variant.shape:
        raise ValueError(
            f"the baseline has shape {reference.shape} and the variant {variant.shape}; "
            "both need the same pictures and classes"
        )
    _require_rows(reference)


def _require_rows(logits: FloatArray) -> None:
    if logits.ndim != 2 or 0 in logits.shape:
        raise ValueError(
            f"logits have shape {logits.shape}; expected (pictures, classes) with at least one "
            "picture and one class"
        )


def finite_rows(logits: FloatArray) -> BoolArray:
    """Tell the rows without NaN and Inf, shape (pictures,); beyond float32's range is Inf.

    Raises:
        ValueError: Not an array of shape (pictures, classes).
    """
    _require_rows(logits)
    with np.errstate(over="ignore", invalid="ignore"):
        as_float32 = np.asarray(logits, dtype=np.float32)
    return np.asarray(np.isfinite(as_float32).all(axis=1))


def _doubles(logits: FloatArray) -> DoubleArray:
    """Copy in float64 whose non-finite rows are NaN throughout."""
    rows = finite_rows(logits)
    with np.errstate(invalid="ignore"):  # the cast of a signalling NaN sets that flag
        values = np.array(logits, dtype=np.float64)
    # Inf would meet Inf in later sums and warn; NaN spreads in silence and stays visible.
    values[~rows] = np.nan
    return values


def center_rows(logits: FloatArray) -> DoubleArray:
    """Remove each row's mean: ``x[i, c] - mean_c x[i, c]``, shape kept; NaN in non-finite rows.

    A single column stays as it is.
    """
    values = _doubles(logits)
    if values.shape[1] > 1:
        values -= values.mean(axis=1, keepdims=True)
    return values


def difference(reference: FloatArray, variant: FloatArray) -> DoubleArray:
    """Subtract the centered rows of two models; shape (pictures, classes), in logits.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(reference, variant)
    result = center_rows(variant)
    result -= center_rows(reference)
    return result
