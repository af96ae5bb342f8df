"""Rounding of weights that lets later weights make up for the error of earlier ones.

Frantar, Ashkboos, Hoefler, Alistarh: GPTQ (2022), in the batched form with one Hessian a group.
"""

from __future__ import annotations

import numpy as np

from engine.core.types import FloatArray

LIMIT = 127
"""Weights stay symmetric: TFLite's specification has -127 to 127."""
DAMPING = 0.01
_BLOCK = 128
_SHRINKS = np.linspace(1.0, 0.7, 16)


def nearest(weights: FloatArray, steps: FloatArray) -> FloatArray:
    """Round weights plainly to -127 to 127 steps.

    Args:
        weights: Shape (groups, channels, length).
        steps: Shape (groups, channels).
    """
    return np.asarray(np.clip(np.rint(weights / steps[..., None]), -LIMIT, LIMIT))


def best_steps(weights: FloatArray, steps: FloatArray, power: FloatArray) -> FloatArray:
    """Choose for each channel the step, at most the given one, of least error of plain rounding.

    Args:
        weights: Shape (groups, channels, length).
        steps: Shape (groups, channels); those that reach the largest weight.
        power: Variance of each input, shape (groups, length), that weighs the squared errors.

    Returns:
        Shape (groups, channels), float32.
    """
    best = np.full(steps.shape, np.inf)
    chosen = steps.copy()
    for shrink in _SHRINKS:
        tried = (steps * shrink).astype(np.float32)
        errors = weights - nearest(weights, tried) * tried[..., None]
        losses = np.einsum("gok,gk->go", errors * errors, power)
        better = losses < best
        best[better], chosen[better] = losses[better], tried[better]
    return chosen.astype(np.float32)


def gptq(weights: FloatArray, steps: FloatArray, hessian: FloatArray) -> FloatArray:
    """Round weights so that the error of the products, not of the weights, is small.

    Args:
        weights: Shape (groups, channels, length).
        steps: Shape (groups, channels).
        hessian: Shape (groups, length, length); inputs that never vary have a zero diagonal and
            their weights are rounded plainly.

    Returns:
        Whole numbers from -127 to 127, shape (groups, channels, length).
    """
    diagonal = np.einsum("gkk->gk", hessian)
    order = np.argsort(-diagonal, axis=1, kind="stable")
    left = np.take_along_axis(weights.astype(np.float64), order[:, None, :], axis=2)
    factor = _factor(_reorder(hessian, order))
    chosen = _round_columns(left, steps.astype(np.float64), factor)
    back = np.argsort(order, axis=1)
    return np.asarray(np.take_along_axis(chosen, back[:, None, :], axis=2))


def _round_columns(left: FloatArray, steps: FloatArray, factor: FloatArray) -> FloatArray:
    length = left.shape[2]
    chosen = np.empty_like(left)
    for start in range(0, length, _BLOCK):
        end = min(start + _BLOCK, length)
        errors = np.empty((*left.shape[:2], end - start))
        for k in range(start, end):
            column = np.clip(np.rint(left[:, :, k] / steps), -LIMIT, LIMIT)
            error = (left[:, :, k] - column * steps) / factor[:, None, k, k]
            left[:, :, k + 1 : end] -= error[:, :, None] * factor[:, None, k, k + 1 : end]
            chosen[:, :, k], errors[:, :, k - start] = column, error
        left[:, :, end:] -= np.matmul(errors, factor[:, start:end, end:])
    return chosen


def _reorder(hessian: FloatArray, order: np.ndarray) -> FloatArray:
    rows = np.take_along_axis(hessian, order[:, :, None], axis=1)
    return np.asarray(np.take_along_axis(rows, order[:, None, :], axis=2))


def _factor(hessian: FloatArray) -> FloatArray:
    """Compute the upper Cholesky factor of the inverse of the damped Hessian.

    With the Hessian as ``M M^T``, M upper, the inverse is ``M^-T M^-1``: the factor is ``M^-1``,
    and M is the lower factor of the Hessian in reverse order, in reverse order.
    """
    import torch

    damped = torch.from_numpy(hessian.copy())
    diagonal = damped.diagonal(dim1=1, dim2=2)
    mean = diagonal.mean(dim=1, keepdim=True)
    # An input that never varies would make the matrix singular; nothing depends on its weight.
    diagonal += torch.where(mean > 0, DAMPING * mean, 1.0)
    unit = torch.eye(hessian.shape[1], dtype=torch.float64)
    # LAPACK's last bits depend on the number of threads, and with them which way a weight goes.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        upper = torch.linalg.cholesky(damped.flip(1, 2)).flip(1, 2)
        return np.asarray(torch.linalg.solve_triangular(upper, unit, upper=True).numpy())
    finally:
        torch.set_num_threads(threads)
