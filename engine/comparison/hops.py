"""Numerical parity between the stages of a conversion."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from engine.comparison.faults import ignores_pictures
from engine.comparison.metrics import looks_like_probabilities
from engine.core.errors import HopError, ModelError
from engine.core.parity import hop_errors
from engine.core.types import FloatArray

SMALLEST_SPREAD = 1e-5
"""Spread of a logit over the pictures, divided by the largest logit, below which a model's answers
count as constant: float32 rounds the answers of deep networks by as much."""
SMALLEST_PROBABILITY = 1e-30
"""What a softmax gives below it is rounded to 0 in different ways."""
NUDGE = 1 + 1e-6
"""Factor for pixels, some steps of float32 away from 1: what a sound model hardly notices."""
_UNSTEADY = 0.1
"""Share of a difference between two stages that a nudge has to make for the model, not the step,
to be the cause."""


def check_hop(
    hop: str,
    before: FloatArray | None,
    after: FloatArray,
    *,
    tolerance: float | None,
    nudged: Callable[[], FloatArray] | None = None,
    weights: Callable[[], Iterable[tuple[str, np.ndarray]]] | None = None,
) -> tuple[float | None, float | None]:
    """Refuse a stage that broke the model.

    Args:
        hop: The stage and the one before it, for the message.
        before: Logits of the stage before; None for the first.
        after: Logits of this stage.
        tolerance: Largest relative error that passes; None where the answers may move.
        nudged: Gives logits of the pictures times `NUDGE`, for a stage that fails: a broken step,
            or a model that magnifies rounding?
        weights: Gives weights of the first stage by name, for logits that are not finite.

    Returns:
        Absolute and relative error as of `hop_errors`; None for the first stage.

    Raises:
        HopError: The logits are not finite, are of another shape, or moved too far.
    """
    broken = int((~np.isfinite(after)).any(axis=1).sum())
    got = f"NaN or Inf for {broken} of {len(after)} pictures"
    if before is None:
        if broken:
            raise _not_finite(hop, got, weights() if weights is not None else ())
        return None, None
    if broken:
        raise _failure(hop, got, "finite logits")
    if before.shape != after.shape:
        raise _failure(hop, f"logits of shape {after.shape}", f"shape {before.shape}")
    absolute, relative = hop_errors(before, after)
    if tolerance is not None and relative > tolerance:
        got = f"logits that differ by {absolute:.3g} ({relative:.2g} of the largest)"
        by_itself = 0.0 if nudged is None else hop_errors(after, nudged())[1]
        if by_itself < _UNSTEADY * relative:
            raise _failure(hop, got, f"at most {tolerance:g} of the largest")
        raise HopError(
            f"Checking {hop}",
            got=got,
            expected=f"at most {tolerance:g} of the largest",
            todo="The model itself is the likely cause: its logits move by "
            f"{by_itself:.2g} of the largest when every pixel changes by a millionth, so rounding "
            "alone changes its answers, and no step after it can be checked. Untrained weights or "
            "wrong preprocessing do that; give it trained weights and the preprocessing they were "
            "trained with.",
        )
    return absolute, relative


def check_reference(stage: str, logits: FloatArray) -> None:
    """Refuse an original whose logits, shape (pictures, classes), do not follow the picture.

    Every conversion of it would pass, right or wrong.

    Raises:
        ModelError: No logit varies by `SMALLEST_SPREAD` of the largest.
    """
    if len(logits) < 2:
        return
    if looks_like_probabilities(logits):
        # A softmax that is sure says (1, 0, 0) of every picture; what is below it moves.
        logits = np.log(np.maximum(logits, SMALLEST_PROBABILITY))
    spread = float(np.ptp(logits.astype(np.float64), axis=0).max())
    largest = float(np.abs(logits).max())
    if spread > SMALLEST_SPREAD * largest:
        return
    raise ModelError(
        f"Checking {stage}",
        got=f"the same logits for {len(logits)} different pictures"
        + (f" (they vary by {spread / largest:.1g} of the largest)" if spread else ""),
        expected="answers that follow the picture, without which no step can be checked",
        todo="The weights may be untrained, as a head of zeros is, or the preprocessing may turn "
        "every picture into the same input. Check both, or take random weights "
        "(--random-weights), which are chosen so that the answers differ.",
    )


def check_answers_follow(hop: str, before: FloatArray, after: FloatArray) -> None:
    """Refuse a stage that answers the same for every picture although the one before did not.

    Raises:
        HopError: It does.
    """
    if ignores_pictures(before, after):
        raise _failure(hop, "the same logits for every picture", "answers that follow the picture")


def _not_finite(stage: str, got: str, weights: Iterable[tuple[str, np.ndarray]]) -> HopError:
    """Explain a model that gives NaN or Inf before any step was taken."""
    count = {"NaN": np.isnan, "Inf": np.isinf}
    floats = [(name, values) for name, values in weights if values.dtype.kind == "f"]
    # NaN first: an infinity may be meant, as in a mask.
    culprits = [
        f"{what} in {number} of {values.size} values of the weight '{name}'"
        for what, counted in count.items()
        for name, values in floats
        if (number := int(counted(values).sum()))
    ]
    cause = (
        f"It holds {culprits[0]}. Take weights from before they became so."
        if culprits
        else "Its weights are finite, so it overflows or divides by 0 on these pictures. Check the "
        "preprocessing that it was trained with."
    )
    return HopError(
        f"Checking {stage}",
        got=got,
        expected="finite logits",
        todo=f"The model itself gives them. {cause}",
    )


def _failure(hop: str, got: str, expected: str) -> HopError:
    return HopError(
        f"Checking {hop}",
        got=got,
        expected=expected,
        todo="This step broke the model, so its file was not kept. Try --lowering stock or "
        "another operator set (--opset), check the weights and the calibration pictures, or leave "
        "this variant out.",
    )
