"""Sweeps with figures that are easy to follow by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.quantization.recipes import recipe_named
from engine.tasks.sweep.records import Sweep, SweepBasis, SweepCell, in_table_order

BASIS = SweepBasis(
    key="a" * 64,
    run="run",
    run_key="k" * 64,
    model="tiny",
    calibration="/photos",
    available=64,
    pictures=250,
    left_out=2,
    created_at="2026-01-02T03:04:05+00:00",
)


def cell(method: str, count: int, seed: int, rms: float, **other: object) -> SweepCell:
    name = recipe_named(f"int8_float_io(range={method},count={count},seed={seed})").name
    given: dict[str, object] = {
        "variant": name,
        "recipe": "int8_float_io",
        "range_method": method,
        "count": count,
        "seed": seed,
        "sha256": "f0" * 32,
        "rms": rms,
        "kl": rms**2,
        "sqnr_db": 20.0,
        "agreement": 0.9,
        "non_finite": 0,
    }
    return SweepCell(**(given | other))  # type: ignore[arg-type]


def sweep(lines: Mapping[str, Mapping[int, tuple[float, ...]]], basis: SweepBasis = BASIS) -> Sweep:
    """A sweep from rms by method and count, one figure a seed."""
    cells = [
        cell(method, count, seed, rms)
        for method, by_count in lines.items()
        for count, values in by_count.items()
        for seed, rms in enumerate(values)
    ]
    return Sweep(basis, in_table_order(cells))


SETTLED = {
    "min_max": {8: (0.30, 0.20), 16: (0.209, 0.20), 32: (0.20, 0.20), 64: (0.20, 0.20)},
    "mse": {8: (0.30, 0.25), 16: (0.104, 0.1), 32: (0.1, 0.1), 64: (0.1, 0.1)},
}


def with_same_answer(lines: Mapping[str, Mapping[int, tuple[float, ...]]], *counts: int) -> Sweep:
    """As `sweep`, with cells for these counts that answer the same for every picture."""
    found = sweep(lines)
    cells = (replace(c, fault="same_answer") if c.count in counts else c for c in found.cells)
    return replace(found, cells=tuple(cells))
