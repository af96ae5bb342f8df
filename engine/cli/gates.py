"""Gates of ``compare``: limits that a build may fail on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from engine.comparison.comparison import Comparison
from engine.core import formats
from engine.core.types import FAULT_WORDS

Gate = tuple[str, float]


class GateType(click.ParamType[Gate]):
    """``NAME=VALUE``."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> Gate:
        """Parse the words of a person."""
        variant, _, number = str(value).partition("=")
        try:
            limit = float(number)
        except ValueError:
            limit = math.nan
        if not variant or not math.isfinite(limit):
            self.fail(f"'{value}' is not of the form int8=0.97.", param, ctx)
        return variant, limit


def missed_gates(
    comparison: Comparison,
    *,
    min_agreement: tuple[Gate, ...],
    max_size_ratio: tuple[Gate, ...],
    max_latency_ratio: tuple[Gate, ...],
) -> list[str]:
    """Sentences for the gates that a comparison does not pass.

    A figure that is unknown or NaN passes no gate, nor does a variant whose answers are useless.

    Args:
        comparison: The comparison.
        min_agreement: Least share of equal first answers, by variant.
        max_size_ratio: Largest file size against float32, by variant.
        max_latency_ratio: Largest median latency against float32, by variant.

    Returns:
        One sentence a missed gate.

    Raises:
        OptionError: A gate names a variant that was not compared.
    """
    latency = comparison.latency

    def latency_ratio(name: str) -> float | None:
        return None if latency is None else latency.ratio(name, "float32")

    def agreement(name: str) -> float | None:
        return comparison.variant(name).top1_agreement

    figures: list[tuple[str, tuple[Gate, ...], Callable[[str], float | None], bool]] = [
        ("agreement", min_agreement, agreement, True),
        ("size against float32", max_size_ratio, comparison.size_ratio, False),
        ("latency against float32", max_latency_ratio, latency_ratio, False),
    ]
    missed = []
    for what, gates, figure, least in figures:
        for name, limit in gates:
            fault = comparison.variant(name).fault
            if fault is not None:
                missed.append(f"{name} {FAULT_WORDS[fault]}, so it passes no gate on {what}")
                continue
            value = figure(name)
            passed = value is not None and (value >= limit if least else value <= limit)
            if not passed:
                found = formats.UNKNOWN if value is None else f"{value:.4f}"
                word = "at least" if least else "at most"
                missed.append(f"{name}: {what} is {found}, the gate asks for {word} {limit:g}")
    return missed
