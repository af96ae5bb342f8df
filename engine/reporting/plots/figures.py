"""Figures of pages, report and notebook, made from a comparison or an evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from engine.comparison.comparison import Comparison
from engine.comparison.recommendation import Choice, candidates, select_timed
from engine.comparison.trade_off import Axes, default_axes
from engine.core.formats import join_names
from engine.core.types import FAULT_WORDS, Fault
from engine.reporting import plots
from engine.reporting.text.runs import reference_title
from engine.tasks.evaluation import Evaluation


def trade_off(
    comparison: Comparison, choice: Choice | None = None, axes: Axes | None = None
) -> go.Figure:
    """Draw two figures of each variant, with the variants in front.

    Args:
        comparison: The variants.
        choice: What is recommended: it has a ring, and what keeps too few answers is pale.
        axes: Which figures; None takes error over latency, or over size below two timed ones.
    """
    points = candidates(comparison)
    drawn = axes or default_axes(points)
    untimed = [point.variant for point in points if point.latency_ms is None]
    notes = []
    if "latency" not in drawn and not select_timed(points) and len(untimed) < len(points):
        notes = [f"{variant}: not timed" for variant in untimed]
    figure = plots.trade_off(points, drawn, notes)
    return figure if choice is None else plots.mark_choice(figure, choice)


def difference_distribution(evaluation: Evaluation) -> go.Figure:
    """Draw how the logit differences of every variant are distributed."""
    names = [variant.variant for variant in evaluation.comparison.variants]
    return plots.difference_distribution({name: evaluation.differences(name) for name in names})


def logit_scatter(evaluation: Evaluation, variant: str, max_points: int = 2000) -> go.Figure:
    """Draw each logit of a variant against the baseline's."""
    reference = evaluation.comparable(evaluation.comparison.reference, variant)
    return plots.logit_scatter(
        reference,
        evaluation.comparable(variant),
        variant,
        max_points,
        reference_title(evaluation.comparison),
    )


def worst_rows(evaluation: Evaluation, most: int) -> list[int]:
    """List rows of the pictures that the variants disagree on most, the worst first."""
    order = np.argsort(-evaluation.disagreement(), kind="stable")
    return [int(row) for row in order[:most]]


def most_moved_rows(comparison: Comparison, most: int) -> list[int]:
    """List rows of the pictures whose logits moved furthest under any variant, NaN first."""
    moved = [np.nan_to_num(variant.picture_rms, nan=np.inf) for variant in comparison.variants]
    furthest = np.max(moved, axis=0, initial=0.0)
    return [int(row) for row in np.argsort(-furthest, kind="stable")[:most]]


def difference_heatmap(evaluation: Evaluation, rows: Sequence[int]) -> go.Figure:
    """Draw how far the logits moved, pictures against variants."""
    comparison = evaluation.comparison
    values = np.array([[v.picture_rms[row] for v in comparison.variants] for row in rows])
    names = [variant.variant for variant in comparison.variants]
    return plots.difference_heatmap([comparison.pictures[row] for row in rows], names, values)


def margin_loss(comparison: Comparison, variant: str) -> go.Figure:
    """Draw margins against what a variant takes of them: who is about to flip."""
    side = comparison.variant(variant)
    flipped = np.zeros(len(comparison.pictures), dtype=bool)
    flipped[[flip.index for flip in side.flips]] = True
    return plots.margin_loss(
        comparison.pictures,
        side.reference_margins,
        side.kept_margins,
        flipped,
        variant,
        reference_title(comparison),
    )


def changed_classes(evaluation: Evaluation, variant: str) -> go.Figure:
    """Draw which answers became which."""
    changes = Counter(
        (evaluation.label(flip.reference_class), evaluation.label(flip.variant_class))
        for flip in evaluation.comparison.variant(variant).flips
    )
    return plots.changed_classes(changes, variant, reference_title(evaluation.comparison))


def fault_marks(figure: go.Figure, faults: Mapping[str, Fault]) -> tuple[str, ...]:
    """Name the variants of no use that a figure draws, a line a fault, to be shown in red."""
    drawn = set(_names_in(figure)) & faults.keys()
    by_fault = {
        fault: [n for n in faults if n in drawn and faults[n] == fault] for fault in FAULT_WORDS
    }
    return tuple(f"{join_names(names)}: {FAULT_WORDS[f]}" for f, names in by_fault.items() if names)


def _names_in(figure: go.Figure) -> Iterator[str]:
    """Yield names of traces and of the variants that they are about, and those on axes."""
    for trace in figure.data:
        yield trace.name or ""
        yield trace.meta or ""
        for values in (trace.x, trace.y):
            if values is not None and len(values) and isinstance(values[0], str):
                yield from map(str, values)
