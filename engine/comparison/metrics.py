"""Figures over logits: arrays of shape (pictures, classes), reference first, variant second.

Inputs are float32 as the runners give them; all sums are float64. Two arrays that are compared
must have the same shape, with at least one picture and one class.

NaN and Inf are never smoothed away. A row that holds one on either side

- makes every global figure about differences NaN (rms, mean, maximum, SQNR, cosine, class rms),
- has a per-picture rms and KL of NaN,
- never agrees on the first answer and shares nothing in the first five, so that those two shares
  stay defined and count it against the variant,
- has no answer in `top_k` and a margin of NaN.

Because softmax does not see a constant added to a whole row, differences are taken after each
row's mean is removed; but for a single column, which a sigmoid reads as it is. First answers and
softmaxes of a single column always agree: `engine.comparison.outputs` gives it a second one.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from engine.core import parity
from engine.core.parity import (
    BoolArray,
    DoubleArray,
    _doubles,
    _require_rows,
    center_rows,
    difference,
    require_same_shape,
)
from engine.core.types import FloatArray, IntArray, Interval

PROBABILITY_FLOOR = 1 / 512
"""Half a step of an 8-bit softmax (256 steps): such a model answers 0 for anything smaller, so
every variant is held to that resolution."""
NO_ANSWER = -1
"""What stands in `top_k` for the classes of a row that holds NaN or Inf."""
SUM_TOLERANCE = 1e-3
Z_95 = 1.959963984540054


def rms(differences: DoubleArray) -> float:
    """Compute the root mean square ``sqrt(mean d^2)`` of a `difference`, in logits."""
    return float(np.sqrt(np.mean(np.square(differences))))


def rms_along(differences: DoubleArray, axis: Literal[0, 1]) -> DoubleArray:
    """Compute the rms of each class (``axis=0``) or of each picture (``axis=1``), in logits."""
    return np.asarray(np.sqrt(np.mean(np.square(differences), axis=axis)))


def mean_absolute(differences: DoubleArray) -> float:
    """Compute the mean ``mean |d|`` of a `difference`, in logits."""
    return float(np.mean(np.abs(differences)))


def max_absolute(differences: DoubleArray) -> float:
    """Find the largest ``max |d|`` of a `difference`, in logits."""
    return float(np.max(np.abs(differences)))


def sqnr_db(reference: FloatArray, variant: FloatArray) -> float:
    """Compute the signal to quantization noise ratio ``10 log10(sum r^2 / sum d^2)`` in dB.

    ``r`` is `centred` of the reference and ``d`` the `difference`. Inf where nothing differs
    (even without a signal); -Inf where only the variant has a signal.

    Raises:
        ValueError: The shapes differ.
    """
    noise = float(np.sum(np.square(difference(reference, variant))))
    signal = float(np.sum(np.square(center_rows(reference))))
    if noise == 0.0:
        return math.inf
    return -math.inf if signal == 0.0 else 10.0 * (math.log10(signal) - math.log10(noise))


def cosine(reference: FloatArray, variant: FloatArray) -> float:
    """Average ``r . v / (|r| |v|)`` over the rows, from -1 to 1, without unit.

    Row means stay in here: without them two classes could only give -1 or 1. A row of zeros on
    both sides counts 1, on one side 0.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(reference, variant)
    r, v = _doubles(reference), _doubles(variant)
    r_power, v_power = np.sum(r * r, axis=1), np.sum(v * v, axis=1)
    power = r_power * v_power
    rows = np.where((r_power == 0.0) & (v_power == 0.0), 1.0, 0.0)
    np.divide(np.sum(r * v, axis=1), np.sqrt(power), out=rows, where=power != 0.0)
    return float(np.mean(np.clip(rows, -1.0, 1.0)))


def log_softmax(logits: FloatArray) -> DoubleArray:
    """Compute logarithms of each row's softmax in nats, same shape; NaN in non-finite rows."""
    values = _doubles(logits)
    values -= values.max(axis=1, keepdims=True)
    values -= np.log(np.sum(np.exp(values), axis=1, keepdims=True))
    return values


def kl(reference: FloatArray, variant: FloatArray) -> DoubleArray:
    """Compute the divergence ``sum_c p_c (log p_c - log q_c)`` of each row's softmaxes.

    Kullback-Leibler: ``p`` is the reference's softmax, ``q`` the variant's; shape (pictures,), in
    nats, 0 or more.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(reference, variant)
    log_p, log_q = log_softmax(reference), log_softmax(variant)
    # By Gibbs' inequality anything below 0 is rounding.
    return np.asarray(np.maximum(np.sum(np.exp(log_p) * (log_p - log_q), axis=1), 0.0))


def top_k(logits: FloatArray, k: int) -> IntArray:
    """List each row's k largest classes, largest first; of equal ones the lowest index first.

    Shape (pictures, k); `NO_ANSWER` throughout a row that holds NaN or Inf.

    Raises:
        ValueError: ``k`` is below 1 or above the number of classes.
    """
    values = _doubles(logits)
    if not 1 <= k <= values.shape[1]:
        raise ValueError(f"k is {k}; expected 1 to {values.shape[1]}, the number of classes")
    without_answer, rows = np.isnan(values[:, 0]), np.arange(len(values))
    order = np.empty((len(values), k), dtype=np.int64)
    # A stable sort gives the same order; of 1,000 classes it takes some 50 times as long.
    for rank in range(k):
        order[:, rank] = values.argmax(axis=1)
        values[rows, order[:, rank]] = -np.inf
    order[without_answer] = NO_ANSWER
    return order


def agreeing_rows(reference: FloatArray, variant: FloatArray) -> BoolArray:
    """Find the rows with the same first answer, shape (pictures,); never a non-finite row.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(reference, variant)
    first, second = top_k(reference, 1)[:, 0], top_k(variant, 1)[:, 0]
    return np.asarray((first == second) & (first != NO_ANSWER))


def top1_agreement(reference: FloatArray, variant: FloatArray) -> float:
    """Compute the share of rows with the same first answer, 0 to 1; see `agreeing_rows`."""
    return float(np.mean(agreeing_rows(reference, variant)))


def top5_overlap(reference: FloatArray, variant: FloatArray) -> float:
    """Average ``|top_k(r) & top_k(v)| / k`` over the rows, 0 to 1; ``k = min(5, classes)``.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(reference, variant)
    k = min(5, reference.shape[1])
    first, second = top_k(reference, k), top_k(variant, k)
    shared = (first[:, :, None] == second[:, None, :]).any(axis=2) & (first != NO_ANSWER)
    return float(np.mean(shared))


def margins(logits: FloatArray) -> DoubleArray:
    """Subtract the second logit from the first, shape (pictures,); 0 for a model of one class."""
    values = _doubles(logits)
    if values.shape[1] == 1:
        return values[:, 0] - values[:, 0]
    two = np.partition(values, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


def wilson_interval(successes: int, total: int) -> Interval:
    """Compute the 95 % score interval of a proportion (Wilson, 1927, JASA 22:209-212).

    ``(p + z^2/2n -+ z sqrt(p (1 - p) / n + z^2/4n^2)) / (1 + z^2/n)`` with ``z`` = 1.96; from 0
    to 1 where nothing was counted.

    Raises:
        ValueError: Not 0 <= successes <= total.
    """
    if not 0 <= successes <= total:
        raise ValueError(f"{successes} successes of {total}; expected 0 <= successes <= total")
    if total == 0:
        return Interval(0.0, 1.0)
    # `scipy.stats` has it, too, but takes most of a second to import, in every comparison.
    share, z2 = successes / total, Z_95 * Z_95
    middle = share + z2 / (2 * total)
    half = Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    scale = 1 + z2 / total
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if successes == 0 else (middle - half) / scale
    return Interval(low, 1.0 if successes == total else (middle + half) / scale)


def fisher_exact(successes: int, total: int, rest_successes: int, rest: int) -> float:
    """Compute the two-sided p-value of Fisher's exact test of two shares (Fisher, 1935).

    The sum of the hypergeometric probabilities that are not above that of the counts; 1.0 where a
    side is empty.

    Raises:
        ValueError: Not 0 <= successes <= total on both sides.
    """
    if not (0 <= successes <= total and 0 <= rest_successes <= rest):
        raise ValueError(f"{successes} of {total} and {rest_successes} of {rest}")
    failures = total + rest - successes - rest_successes
    least, most = max(0, failures - rest), min(failures, total)

    def log_choose(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    whole = log_choose(total + rest, failures)
    chances = [
        math.exp(log_choose(total, k) + log_choose(rest, failures - k) - whole)
        for k in range(least, most + 1)
    ]
    # Counts as likely as these may differ by rounding.
    limit = chances[total - successes - least] * (1 + 1e-7)
    return min(1.0, math.fsum(chance for chance in chances if chance <= limit))


def mcnemar_exact(only_reference_right: int, only_variant_right: int) -> float:
    """Compute the two-sided p-value of McNemar's exact test.

    The binomial test with share 1/2 over the pictures on which exactly one of them is right;
    1.0 where there are none.

    Raises:
        ValueError: A count is negative.
    """
    if min(only_reference_right, only_variant_right) < 0:
        raise ValueError(f"counts {only_reference_right}, {only_variant_right}; expected 0 or more")
    total = only_reference_right + only_variant_right
    if total == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_reference_right, total, 0.5).pvalue)


def within_unit(outputs: FloatArray) -> bool:
    """Check that every entry lies in [0, 1], as far as float32 kernels hold it; NaN does not."""
    _require_rows(outputs)
    return bool(np.all((outputs >= 0.0) & (outputs <= 1.0 + SUM_TOLERANCE)))


def looks_like_probabilities(outputs: FloatArray) -> bool:
    """Check whether these are outputs of a softmax rather than logits.

    More than one class, every entry in [0, 1] and every row's sum 1 within `SUM_TOLERANCE`.
    """
    if not within_unit(outputs) or outputs.shape[1] == 1:
        return False
    sums = np.sum(outputs, axis=1, dtype=np.float64)
    return bool(np.all(np.abs(sums - 1.0) <= SUM_TOLERANCE))


def log_probabilities(probabilities: FloatArray) -> DoubleArray:
    """Compute stand-ins for logits: ``log(max(p, PROBABILITY_FLOOR))`` in nats, same shape.

    To be applied to both sides. Rows that hold NaN or Inf are NaN. A softmax of the result is
    flatter than ``p``, the more so the more classes lie below the floor, and so `kl` is smaller.
    """
    return np.asarray(np.log(np.maximum(_doubles(probabilities), PROBABILITY_FLOOR)))


def margins_left(variant: FloatArray, first: IntArray) -> DoubleArray:
    """Subtract the largest of the other logits from that of the reference's first class.

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
    answered = parity.finite_rows(variant) & (first != NO_ANSWER)
    left = np.full(len(variant), np.nan)
    if variant.shape[1] == 1:
        left[answered] = 0.0
        return left
    values = np.asarray(variant[answered], dtype=np.float64)
    rows = np.arange(len(values))
    own = values[rows, first[answered]].copy()
    values[rows, first[answered]] = -np.inf
    left[answered] = own - values.max(axis=1)
    return left
