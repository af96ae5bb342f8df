"""What to tell about files from elsewhere, whose making is not known here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from engine.comparison.outputs import Outputs
from engine.core.formats import listed
from engine.types import VariantComparison

MOSTLY = 0.5
CLOSE_DB = 3.0
"""Logits as near as this (half of their energy) come from the same pixels, however quantized."""


def findings(
    variants: Sequence[VariantComparison],
    reference: Outputs,
    reference_name: str,
    added: Set[str],
) -> Iterator[str]:
    """Sentences about files whose answers suggest that they are fed or read otherwise.

    A file says nothing of its preprocessing, so wrong pixels show only in its answers.

    Args:
        variants: The comparisons.
        reference: Outputs of the reference.
        reference_name: Its name.
        added: Names of the files from elsewhere.

    Yields:
        One sentence a finding.
    """
    for variant in variants:
        name, total = variant.variant, variant.pictures
        # NaN, which broken answers give, is not close either.
        if (
            name in added
            and variant.top1_agreement < MOSTLY
            and not variant.logit_sqnr_db >= CLOSE_DB
        ):
            same = round(variant.top1_agreement * total)
            yield (
                f"{name} answers like the reference on {same} of {total} pictures only. It may "
                "expect other preprocessing (such as pixels of 0 to 255, or another mean), or hold "
                "other weights: a file does not say. Ask whoever made it."
            )
    other_kind = [
        variant.variant
        for variant in variants
        if variant.probabilities is not reference.probabilities
        and not added.isdisjoint((variant.variant, reference_name))
    ]
    if other_kind:
        several = len(other_kind) > 1
        last = "softmax" if reference.values.shape[1] > 1 else "sigmoid"
        kinds = (
            f"{'give' if several else 'gives'} logits and the reference ends in a {last}"
            if reference.probabilities
            else f"{'end' if several else 'ends'} in a {last} and the reference does not"
        )
        yield (
            f"{listed(other_kind)} {kinds}: they are compared by the logarithms of their "
            "probabilities, those below 1/512 taken for 1/512. These figures are smaller than "
            "those of logits."
        )
