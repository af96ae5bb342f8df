"""Fronts of any two figures, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.comparison.recommendation import Candidate
from engine.comparison.trade_off import (
    EVERY_AXES,
    Axes,
    axes_with_figures,
    default_axes,
    figure_on,
    front_of,
)

VARIANTS = (
    Candidate("float32", 8.0, 18_000_000, 0.0, 1.0, peak_bytes=46e6),
    Candidate("float16", 8.1, 9_000_000, 0.01, 1.0, peak_bytes=38e6),
    Candidate("int8", 4.0, 5_000_000, 0.2, 0.9, peak_bytes=15e6),
    Candidate("int16x8", 200.0, 5_100_000, 0.02, 1.0, peak_bytes=10e6),
)


@pytest.mark.parametrize(
    ("axes", "front"),
    [
        (("latency", "error"), {"float32", "float16", "int8"}),
        (("size", "error"), {"float32", "float16", "int16x8"}),
        (("memory", "error"), {"float32", "float16", "int16x8"}),
        (("latency", "size"), {"int8"}),
        (("latency", "memory"), {"int8", "int16x8"}),
        (("size", "memory"), {"int16x8"}),
    ],
)
def test_the_front_of_two_figures(axes: Axes, front: set[str]) -> None:
    assert {candidate.variant for candidate in front_of(VARIANTS, axes)} == front


def test_what_differs_by_nothing_that_counts_is_in_front_together() -> None:
    twin = replace(VARIANTS[2], variant="uint8", peak_bytes=15.5e6, size_bytes=5_200_000)
    front = front_of([VARIANTS[2], twin], ("size", "memory"))
    assert [candidate.variant for candidate in front] == ["int8", "uint8"]
    assert front_of([], ("size", "memory")) == []


def test_axes_are_offered_where_two_variants_have_both_figures() -> None:
    assert axes_with_figures(VARIANTS) == EVERY_AXES
    bare = [replace(c, latency_ms=None, peak_bytes=None) for c in VARIANTS]
    assert axes_with_figures(bare) == (("size", "error"),)
    once = [VARIANTS[0], *bare[1:]]
    assert axes_with_figures(once) == (default_axes(once),) == (("size", "error"),)
    assert figure_on(bare[0], "memory") is None
