"""What to tell about files from elsewhere, whose making is not known here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from engine.comparison import metrics
from engine.types import FloatArray, VariantComparison

MOSTLY = 0.5
CLOSE_DB = 3.0
"""Logits as near as this (half of their energy) come from the same pixels, however quantized."""


def findings(
    variants: Sequence[VariantComparison],
    logits: Mapping[str, FloatArray],
    added: Collection[str],
    *,
    probabilities: bool,
) -> Iterator[str]:
    """Sentences about files whose answers suggest that they are fed or read otherwise.

    A file says nothing of its preprocessing, so wrong pixels show only in its answers.

    Args:
        variants: The comparisons.
        logits: Outputs of every side.
        added: Names of the files from elsewhere.
        probabilities: Whether the sides were compared as outputs of a softmax.

    Yields:
        One sentence a finding.
    """
    for variant in variants:
        name, total = variant.variant, variant.pictures
        if name not in added:
            continue
        # NaN, which broken answers give, is not close either.
        if variant.top1_agreement < MOSTLY and not variant.logit_sqnr_db >= CLOSE_DB:
            same = round(variant.top1_agreement * total)
            yield (
                f"{name} answers like the reference on {same} of {total} pictures only. It may "
                "expect other preprocessing (such as pixels of 0 to 255, or another mean), or hold "
                "other weights: a file does not say. Ask whoever made it."
            )
        if not probabilities and metrics.looks_like_probabilities(logits[name]):
            yield (
                f"{name} ends in a softmax and the reference does not: its first answers can be "
                "compared, its logit differences cannot."
            )
