"""Accuracy and calibration of answers against labels."""

from __future__ import annotations

import math

import numpy as np

from engine.comparison import metrics as metrics_module
from engine.comparison.records import Accuracy, ClassChange, ConfidenceBin, Reliability
from engine.core import parity
from engine.core.errors import LabelsError
from engine.core.types import FloatArray, IntArray

NO_LABEL = -1
"""The label of a picture that has none."""


def accuracy(
    logits: FloatArray,
    labels: IntArray,
    reference_logits: FloatArray | None = None,
    *,
    probabilities: bool = False,
) -> Accuracy:
    """Count how often a model's first answer, or one of its first five, is the label.

    Pictures without a label are left out. A row that holds NaN or Inf is wrong, in the top-1, in
    the top-5 and in McNemar's test. With fewer than five classes the top-5 share is that of all
    classes.

    ``logits`` and ``reference_logits`` have the shape (pictures, classes), ``labels`` are class
    indices, -1 for a picture without one. Without a reference ``mcnemar_p``, ``lost`` and ``won``
    are None and ``changes`` is empty.

    Raises:
        LabelsError: No picture has a label, or a label is no class of the model.
        ValueError: The shapes do not belong together, or the labels are no integers.
    """
    counted = _check_labels(labels, logits.shape)
    rows, truth = logits[counted], labels[counted]
    first_right = _holds(rows, truth, 1)
    five_right = _holds(rows, truth, min(5, rows.shape[1]))
    total, top1, top5 = len(truth), int(first_right.sum()), int(five_right.sum())
    lost, won = _one_sided(first_right, logits, labels, reference_logits)
    return Accuracy(
        pictures=total,
        top1=top1 / total,
        top1_interval=metrics_module.wilson_interval(top1, total),
        top5=top5 / total,
        top5_interval=metrics_module.wilson_interval(top5, total),
        mcnemar_p=None if lost is None or won is None else metrics_module.mcnemar_exact(lost, won),
        lost=lost,
        won=won,
        reliability=reliability(rows, first_right, probabilities=probabilities),
        changes=()
        if reference_logits is None
        else class_changes(reference_logits[counted], rows, truth),
    )


def _check_labels(labels: IntArray, shape: tuple[int, ...]) -> parity.BoolArray:
    """Check labels against logits of a shape and give the rows that have one."""
    if len(shape) != 2 or labels.shape != shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels have shape {labels.shape} and type {labels.dtype}, logits shape {shape}; "
            "expected one integer a row"
        )
    counted = labels != NO_LABEL
    if not counted.any():
        raise LabelsError(
            "counting right answers",
            got=f"{len(labels)} pictures without a label",
            expected="at least one picture with a label",
            todo="Give labels for these pictures, or compare them without accuracy.",
        )
    strange = labels[counted & ((labels < 0) | (labels >= shape[1]))]
    if strange.size:
        raise LabelsError(
            "counting right answers",
            got=f"class {int(strange[0])} as a label",
            expected=f"0 to {shape[1] - 1}, the classes of the model",
            todo="Check that the labels belong to this model.",
        )
    return np.asarray(counted)


def _holds(rows: FloatArray, truth: IntArray, k: int) -> parity.BoolArray:
    answers = metrics_module.top_k(rows, k)
    return np.asarray((answers == truth[:, None]).any(axis=1))


def _one_sided(
    right: parity.BoolArray,
    logits: FloatArray,
    labels: IntArray,
    reference_logits: FloatArray | None,
) -> tuple[int | None, int | None]:
    """Count how often the reference alone, and this model alone, is right."""
    if reference_logits is None:
        return None, None
    parity.require_same_shape(reference_logits, logits)
    counted = labels != NO_LABEL
    reference_right = _holds(reference_logits[counted], labels[counted], 1)
    return int((reference_right & ~right).sum()), int((right & ~reference_right).sum())


def class_changes(
    reference: FloatArray, variant: FloatArray, truth: IntArray
) -> tuple[ClassChange, ...]:
    """List classes that one of two models is right about more often than the other.

    Both outputs are of labelled pictures, shape (pictures, classes). Those that lost most come
    first, then by class.
    """
    before, after = (metrics_module.top_k(side, 1)[:, 0] for side in (reference, variant))
    changes = []
    for index in np.unique(truth):
        own = truth == index
        right, right_now = int((before[own] == index).sum()), int((after[own] == index).sum())
        if right != right_now:
            wrong = after[own & (after != index) & (after != metrics_module.NO_ANSWER)]
            answers, counts = np.unique(wrong, return_counts=True)
            taken_for = int(answers[counts.argmax()]) if answers.size else None
            changes.append(ClassChange(int(index), int(own.sum()), right, right_now, taken_for))
    return tuple(sorted(changes, key=lambda change: (-change.lost, change.index)))


BINS = 10


def reliability(
    outputs: FloatArray, right: parity.BoolArray, *, probabilities: bool
) -> Reliability:
    """Sort labelled pictures by confidence and count how often they are right.

    ``outputs`` are of shape (pictures, classes), ``right`` says whether the first answer is the
    label. Rows with NaN or Inf have no confidence and are counted apart.
    """
    finite = parity.finite_rows(outputs)
    sure = confidence(outputs[finite], probabilities=probabilities)
    hits = right[finite]
    # Bin b holds (b/10, (b + 1)/10], and the first one 0, too.
    indices = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    bins = []
    for index in np.unique(indices):
        own = indices == index
        count, good = int(own.sum()), int(hits[own].sum())
        bins.append(
            ConfidenceBin(
                low=float(index) / BINS,
                high=float(index + 1) / BINS,
                pictures=count,
                confidence=float(sure[own].mean()),
                right=good / count,
                right_interval=metrics_module.wilson_interval(good, count),
            )
        )
    total = len(sure)
    error = (
        sum(part.pictures * abs(part.right - part.confidence) for part in bins) / total
        if total
        else math.nan
    )
    return Reliability(tuple(bins), error, int((~finite).sum()))


def confidence(outputs: FloatArray, *, probabilities: bool) -> FloatArray:
    """Compute the share that each first answer gets, shape (pictures,), of finite outputs."""
    values = np.asarray(outputs, dtype=np.float64)
    if not len(values) or probabilities:
        return np.asarray(values.max(axis=1) if len(values) else values[:, 0])
    # The largest class of a softmax is 1 over the sum of exp(x - max).
    below = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(1 / below.sum(axis=1))
