"""Margins against what a variant takes of them, and which answers became which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from engine.core.files import figure_text
from engine.core.types import FloatArray
from engine.reporting.plots import titles
from engine.reporting.plots.frame import (
    LINE,
    RED,
    add_cells,
    add_notes,
    add_title,
    set_frame,
    style_of,
    whole_numbers,
)

_HEIGHT = 420
_NAMED = 4
_NAMED_AT_RIGHT = 0.75
_MOST_CLASSES = 20
_APART = (0.25, 0.07)
_CLASS_PIXELS = 30


def margin_loss(
    pictures: Sequence[str],
    reference: FloatArray,
    left: FloatArray,
    flipped: NDArray[np.bool_],
    variant: str,
) -> go.Figure:
    """Draw each picture's margin against what a variant takes of it: beyond the line it flips.

    Flips are crossed and pictures nearest to the line named.

    Args:
        pictures: Names.
        reference: The reference's first logit minus its second, shape (pictures,).
        left: What the variant leaves of it, shape (pictures,); NaN is counted in a note.
        flipped: Whether the first answer changed, shape (pictures,): where nothing is left, the
            first of the tied classes is the answer.
        variant: Its name.
    """
    finite = np.isfinite(reference) & np.isfinite(left)
    lost = reference - left
    style = style_of(variant)
    figure = go.Figure()
    groups = (
        (finite & ~flipped, variant, {"color": style.hue, "symbol": "circle", "size": 8}),
        (finite & flipped, "flipped", {"color": RED, "symbol": "x", "size": 11}),
    )
    for rows, name, marker in groups:
        if rows.any():
            figure.add_trace(
                go.Scatter(
                    x=reference[rows],
                    y=lost[rows],
                    mode="markers",
                    name=name,
                    meta=variant,  # where all flip, no trace has its name
                    marker=marker | {"opacity": 0.8},
                    customdata=[
                        figure_text(pictures[row]) for row in np.flatnonzero(rows).tolist()
                    ],
                    hovertemplate=f"%{{customdata}}<br>margin %{{x:.2f}}, {variant} takes "
                    "%{y:.2f}<extra></extra>",
                )
            )
    longest = float(reference[finite].max(initial=0.0)) or 1.0
    low, high = float(lost[finite].min(initial=0.0)), float(lost[finite].max(initial=0.0))
    # The line of flipping shall be in view, but not squeeze the dots to the bottom.
    top = max(high * 1.6, 0.12 * longest) or 1.0
    end = min(longest * 1.05, top)
    figure.add_trace(
        go.Scatter(
            x=[0, end],
            y=[0, end],
            mode="lines",
            line={"color": LINE, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    figure.add_annotation(
        x=end,
        y=end,
        text="above: flipped",
        showarrow=False,
        xanchor="left",
        xshift=6,
        font={"size": 11},
    )
    for row in _rows_to_name(reference, lost, left, finite, (longest, top - low)):
        figure.add_annotation(
            x=reference[row],
            y=lost[row],
            text=figure_text(pictures[row]),
            showarrow=False,
            xanchor="left" if reference[row] < _NAMED_AT_RIGHT * longest else "right",
            yanchor="bottom",
            xshift=6,
            font={"size": 11},
        )
    figure.update_xaxes(range=[-0.02 * longest, longest * 1.08])
    figure.update_yaxes(range=[low - 0.08 * (top - low), top], zeroline=True)
    missing = int((~finite).sum())
    set_frame(
        figure,
        x="margin of the reference (right is surer)",
        y=f"what {variant} takes of it (down is better)",
        height=_HEIGHT,
    )
    add_notes(figure, [f"{missing} pictures are NaN or Inf"] if missing else [])
    return add_title(figure, titles.margins(variant, pictures, reference, left, flipped))


def _rows_to_name(
    reference: FloatArray,
    lost: FloatArray,
    left: FloatArray,
    finite: NDArray[np.bool_],
    spans: tuple[float, float],
) -> list[int]:
    """Choose rows with the least margin left, but for names that would lie over another."""
    named: list[int] = []
    width = _APART[0] * spans[0]
    starts = np.where(reference < _NAMED_AT_RIGHT * spans[0], reference, reference - width)
    for row in sorted(np.flatnonzero(finite).tolist(), key=lambda row: float(left[row])):
        clear = all(
            abs(starts[row] - starts[row_there]) > width
            or abs(lost[row] - lost[row_there]) > _APART[1] * spans[1]
            for row_there in named
        )
        if clear:
            named.append(row)
        if len(named) == _NAMED:
            break
    return named


def changed_classes(changes: Mapping[tuple[str, str], int], variant: str) -> go.Figure:
    """Draw which answers became which: a confusion matrix of the changed ones alone.

    ``changes`` counts pictures by the reference's and the variant's answer; the most frequent
    come first.
    """
    most = sorted(changes.items(), key=lambda item: (-item[1], item[0]))[:_MOST_CLASSES]
    before = list(dict.fromkeys(pair[0] for pair, _ in most))
    after = list(dict.fromkeys(pair[1] for pair, _ in most))
    counts = np.full((len(before), len(after)), np.nan)
    for (old, new), count in most:
        counts[before.index(old), after.index(new)] = count
    figure = go.Figure()
    if most:
        hue = _rgb(style_of(variant).hue)
        add_cells(
            figure,
            whole_numbers(counts),
            z=counts,
            x=[figure_text(name) for name in after],
            y=[figure_text(name) for name in before],
            name=variant,
            colorscale=[[0, f"rgba({hue}, 0.1)"], [1, f"rgba({hue}, 0.3)"]],
            hovertemplate="%{y} became %{x}: %{z}<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False, tickangle=-35)
    set_frame(
        figure,
        x=f"answer of {variant}",
        y="answer of the reference",
        height=190 + _CLASS_PIXELS * max(len(before), 2),
    )
    rest = len(changes) - len(most)
    add_notes(figure, [f"and {rest} more pairs of classes"] if rest else [])
    return add_title(figure, titles.confusion(variant, changes))


def _rgb(hue: str) -> str:
    return ", ".join(str(int(hue[start : start + 2], 16)) for start in (1, 3, 5))
