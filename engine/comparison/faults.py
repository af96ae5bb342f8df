"""Detection of useless answers: the same for every picture, or not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.core.formats import join_names
from engine.core.parity import finite_rows
from engine.core.types import FAULT_WORDS, Fault, FloatArray

FEW_PICTURES = 3
"""Pictures below which equal answers of a comparison are no finding."""

_FOLLOWED = 0.01
"""Share of the reference's movement over the pictures up to which a model does not follow them."""


def fault_of(reference: FloatArray, logits: FloatArray) -> Fault | None:
    """Find what makes a model's answers useless.

    Both outputs are of one kind, shape (pictures, classes). Pictures on which the reference is
    not finite are no evidence.
    """
    expected = finite_rows(reference)
    if (expected & ~finite_rows(logits)).any():
        return "not_finite"
    # The arrays may be mapped from a disk: all rows are no copy.
    rows = slice(None) if expected.all() else expected
    return "same_answer" if ignores_pictures(reference[rows], logits[rows]) else None


def ignores_pictures(reference: FloatArray, logits: FloatArray) -> bool:
    """Check whether finite answers stand still over pictures over which the reference's move.

    Reference answers that move by less than a step of 8 bits may be rounded to the same.
    """
    if len(reference) < 2:
        return False
    span = max(float(reference.max()), 0.0) - min(float(reference.min()), 0.0)
    expected, movement = (float(np.ptp(side, axis=0).max()) for side in (reference, logits))
    return expected > span / 255 and movement <= _FOLLOWED * expected


def fault_sentences(faults: Mapping[str, Fault]) -> tuple[str, ...]:
    """Say what is wrong with variants, and what can be done: a sentence for each fault."""
    sentences = []
    for fault, words in FAULT_WORDS.items():
        names = [name for name, its_fault in faults.items() if its_fault == fault]
        if names:
            what = words if len(names) == 1 else words.replace("answers", "answer", 1)
            which = "it" if len(names) == 1 else "them"
            way_out = _ways_back(names) if fault == "same_answer" else _OVERFLOW
            sentences.append(f"{join_names(names)} {what}: do not use {which}. {way_out}")
    return tuple(sentences)


_OVERFLOW = (
    "A value in it overflows: check the weights, or take a variant that stores them otherwise."
)


def _ways_back(names: Sequence[str]) -> str:
    """Name what can bring the answers back, but for what these variants show to be in vain."""
    ways = {
        "_optimized": "an optimized variant (improve)",
        "int8_mixed": "int8_mixed with some layers in float32 (mix)",
        "int16x8": "int16x8",
    }
    left = [way for part, way in ways.items() if not any(part in name for name in names)]
    return (
        "The page Layers, or python -m engine layers, names the layers that did it, and why. "
        f"What can help: {', '.join((*left, 'other calibration pictures (--calibration)'))}."
    )
