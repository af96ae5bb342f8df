"""Logits and margins of variants against those of the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from engine.core import formats
from engine.core.files import figure_text
from engine.core.types import FloatArray
from engine.reporting.plots import titles
from engine.reporting.plots.frame import (
    CLEAR,
    LINE,
    add_cells,
    add_legend,
    add_notes,
    add_title,
    change_x_axis,
    change_y_axis,
    rows_height,
    set_frame,
    set_row_frame,
    whole_numbers,
)
from engine.reporting.plots.palette import NEUTRAL, RED, style_of
from engine.reporting.plots.titles import nearest_rank

_BINS = 121
_DRAWN_AS_SHAPES = 2000
_HEIGHT = 300


def difference_distribution(differences: Mapping[str, FloatArray]) -> go.Figure:
    """Draw how the logit differences of each variant, of any shape, are distributed.

    An outline a variant over common bins, as a share of all logits, out to the 99.9th percentile of
    the widest variant.
    """
    figure = go.Figure()
    finite = {name: _finite(values) for name, values in differences.items()}
    notes = [
        f"{name}: {values.size - finite[name].size} logits are NaN or Inf"
        for name, values in differences.items()
        if finite[name].size < values.size
    ]
    drawn = {name: values for name, values in finite.items() if values.size}
    halves, widest = {}, 0.0
    for name, values in drawn.items():
        distances = np.abs(values)
        halves[name] = nearest_rank(distances, 0.5)
        widest = max(widest, nearest_rank(distances, 0.999))
    reach = widest or 1.0
    for name, values in drawn.items():
        style = style_of(name)
        counts, edges = np.histogram(values, bins=_BINS, range=(-reach, reach))
        centres = (edges[1:] + edges[:-1]) / 2
        shares = np.where(counts, counts / values.size, np.nan)
        figure.add_trace(
            go.Scatter(
                x=centres,
                y=shares,
                mode="lines",
                name=name,
                line={"color": style.hue, "dash": style.dash, "width": 2},
                hovertemplate=f"{name}: %{{y:.1%}} of the logits near %{{x:.3f}}<extra></extra>",
            )
        )
    change_y_axis(figure, type="log", range=[-4.3, 0.1], tickformat="~%", dtick=1)
    set_frame(
        figure,
        x="difference, logits (0 is none)",
        y="share of the logits",
        height=_HEIGHT,
    )
    add_notes(add_legend(figure), notes)
    return add_title(figure, titles.distribution(halves))


def _finite(values: FloatArray) -> FloatArray:
    good = np.isfinite(values)
    return values.ravel() if good.all() else values[good]


def logit_scatter(
    reference: FloatArray,
    logits: FloatArray,
    variant: str,
    max_points: int = 2000,
    baseline: str = "the original",
) -> go.Figure:
    """Draw each logit of a variant against the baseline's, both of shape (pictures, classes).

    Of more than ``max_points`` the ones that differ most are drawn, then a random choice that is
    the same every time.
    """
    x, y = np.asarray(reference).ravel(), np.asarray(logits).ravel()
    good = np.isfinite(x) & np.isfinite(y)
    notes = [] if good.all() else [f"{int((~good).sum())} logits are NaN or Inf"]
    x, y = x[good], y[good]
    differences = y - x
    sentence = titles.scatter(variant, differences)
    if x.size > max_points:
        furthest = max_points // 4
        order = np.argpartition(-np.abs(differences), furthest)
        rest = np.random.default_rng(0).choice(
            order[furthest:], max_points - furthest, replace=False, shuffle=False
        )
        keep = np.concatenate([order[:furthest], rest])
        x, y = x[keep], y[keep]
    style = style_of(variant)
    mark = go.Scatter if x.size <= _DRAWN_AS_SHAPES else go.Scattergl
    figure = go.Figure(
        mark(
            x=x,
            y=y,
            mode="markers",
            name=variant,
            marker={"color": style.hue, "size": 4, "opacity": 0.55},
            hovertemplate=f"{baseline} %{{x:.2f}}, {variant} %{{y:.2f}}<extra></extra>",
        )
    )
    if x.size:
        ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
        figure.add_trace(
            go.Scatter(
                x=ends, y=ends, mode="lines", line={"color": LINE, "width": 1.5}, hoverinfo="skip"
            )
        )
    set_frame(
        figure,
        x=f"logit of {baseline}",
        y=f"logit of {variant}\n(line: equal)",
        height=_HEIGHT,
    )
    return add_title(add_notes(figure, notes), sentence)


def difference_heatmap(
    pictures: Sequence[str], variants: Sequence[str], values: FloatArray
) -> go.Figure:
    """Draw the rms of logit differences, shape (pictures, variants); darker is less faithful.

    NaN stays an empty cell that says NaN.
    """
    text = [[formats.logits(float(value)) for value in row] for row in values]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(variants),
            y=[figure_text(name) for name in pictures],
            text=text,
            texttemplate="%{text}" if len(pictures) <= 40 else None,
            colorscale=[[0, "#fff4ea"], [1, "#ea7317"]],
            zmin=0,
            showscale=False,
            hovertemplate="%{y}<br>%{x}: rms %{text}<extra></extra>",
            hoverongaps=True,
            xgap=2,
            ygap=2,
        )
    )
    change_x_axis(figure, side="top", showgrid=False, dtick=1)
    height = 80 + 20 * len(pictures)
    set_row_frame(figure, height)
    return add_title(figure, titles.heatmap(pictures, variants, values))


def top_logits(
    labels: Sequence[str],
    reference: FloatArray,
    rows: Mapping[str, FloatArray],
    k: int = 5,
    baseline: str = "the original",
) -> go.Figure:
    """Draw one picture's largest logits: a line for the baseline, marks for variants.

    The axis begins with the least of them, or what differs could not be seen.

    Args:
        labels: Class names.
        reference: The reference's logits of the picture, shape (classes,).
        rows: The variants' logits of the picture, shape (classes,) each.
        k: Classes to show: the reference's first ones; every variant's first is added.
        baseline: The reference's name, for people.
    """
    classes = [int(index) for index in np.argsort(-reference, kind="stable")[:k]]
    for logits in rows.values():
        if np.isfinite(logits).all() and int(np.argmax(logits)) not in classes:
            classes.append(int(np.argmax(logits)))
    names = [figure_text(labels[index]) for index in classes]
    figure = go.Figure(
        go.Scatter(
            x=reference[classes],
            y=names,
            mode="markers",
            name=baseline,
            marker={
                "color": NEUTRAL,
                "symbol": "line-ns",
                "size": 22,
                "line": {"width": 4, "color": NEUTRAL},
            },
            hovertemplate=f"{baseline}: %{{x:.2f}}<extra></extra>",
        )
    )
    notes = []
    for variant, logits in rows.items():
        if not np.isfinite(logits).all():
            notes.append(f"{variant}: NaN or Inf")
            continue
        style = style_of(variant)
        figure.add_trace(
            go.Scatter(
                x=logits[classes],
                y=names,
                mode="markers",
                name=variant,
                marker={"color": style.hue, "symbol": style.symbol, "size": 10},
                hovertemplate=f"{variant}: %{{x:.2f}}<extra></extra>",
            )
        )
    set_row_frame(figure, rows_height(len(classes)) + 40, x="logit")
    return add_notes(add_legend(figure), notes)


_NAMED = 4
_MOST_CLASSES = 20
_CLASS_PIXELS = 30
_NARROWEST, _PLOT_HEIGHT = 250, 200
"""Pixels of the plot's area on a phone, where labels have the least room."""
_RISES = (0, 26, -26, 48, -48, 70)
"""Pixels by which a label is above its mark: the next to it comes first."""
_CHARACTER, _LINE, _RADIUS, _NEAR = 6.5, 16, 5, 6
"""Pixels of a label's character, of its line, of a mark, and from its middle to its label."""


def margin_loss(
    pictures: Sequence[str],
    reference: FloatArray,
    left: FloatArray,
    flipped: NDArray[np.bool_],
    variant: str,
    baseline: str = "the original",
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
        baseline: The reference's name, for people.
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
                    hovertemplate=f"%{{customdata}}<br>margin %{{x:.2f}}, lost in {variant}: "
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
    x_range, y_range = [-0.02 * longest, 1.08 * longest], [low - 0.08 * (top - low), top]
    scale = _NARROWEST / (x_range[1] - x_range[0]), _PLOT_HEIGHT / (y_range[1] - y_range[0])
    marks = np.column_stack([(reference - x_range[0]) * scale[0], (lost - y_range[0]) * scale[1]])
    line_end = (end - x_range[0]) * scale[0], (end - y_range[0]) * scale[1]
    for row, anchor, rise in _label_marks(pictures, marks, left, finite, line_end):
        figure.add_annotation(
            x=reference[row],
            y=lost[row],
            text=figure_text(pictures[row]),
            xanchor=anchor,
            ax=_NEAR if anchor == "left" else -_NEAR,
            ay=-rise,
            arrowhead=0,
            arrowwidth=1,
            arrowcolor=LINE if rise else CLEAR,
            standoff=_RADIUS,
            font={"size": 11},
        )
    change_x_axis(figure, range=x_range)
    change_y_axis(figure, range=y_range, zeroline=True)
    missing = int((~finite).sum())
    set_frame(
        figure,
        x=f"margin of {baseline} (right is more certain)",
        y=f"margin lost in {variant}\n(lower is better)",
        height=_HEIGHT,
    )
    add_notes(figure, [f"{missing} pictures are NaN or Inf"] if missing else [])
    return add_title(figure, titles.margins(variant, pictures, reference, left, flipped))


def _label_marks(
    pictures: Sequence[str],
    marks: FloatArray,
    left: FloatArray,
    finite: NDArray[np.bool_],
    line_end: tuple[float, float],
) -> Iterator[tuple[int, str, int]]:
    """Yield rows with the least margin left, which end of a label is at its mark, and its rise.

    ``marks`` and the rise are in pixels, ``marks`` of shape (pictures, 2). A label that would lie
    over a mark, a label or the edge wherever it stands is left out: hover texts name all marks.
    """
    drawn = marks[finite]
    boxes = [(line_end[0], line_end[1] - _LINE, line_end[0] + 85, line_end[1] + _LINE)]
    named = 0
    for row in sorted(np.flatnonzero(finite).tolist(), key=lambda row: float(left[row])):
        width = _CHARACTER * len(pictures[row])
        for rise, anchor in product(_RISES, ("left", "right")):
            x, y = marks[row]
            x += _NEAR if anchor == "left" else -_NEAR - width
            y += rise - _LINE / 2
            box = (x, y, x + width, y + _LINE)
            inside = 0 <= x <= _NARROWEST - width and 0 <= y <= _PLOT_HEIGHT - _LINE
            if inside and not _covers(box, drawn, boxes):
                boxes.append(box)
                named += 1
                yield row, anchor, rise
                break
        if named == _NAMED:
            return


Box = tuple[float, float, float, float]


def _covers(box: Box, marks: FloatArray, boxes: Sequence[Box]) -> bool:
    """Whether a box (left, bottom, right, top) lies over the middle part of a mark or a box."""
    low, high = np.array(box[:2]) - _RADIUS, np.array(box[2:]) + _RADIUS
    over_marks = ((marks > low) & (marks < high)).all(axis=1).any()
    return bool(over_marks) or any(
        box[0] < right and left < box[2] and box[1] < top and bottom < box[3]
        for left, bottom, right, top in boxes
    )


def changed_classes(
    changes: Mapping[tuple[str, str], int], variant: str, baseline: str = "the original"
) -> go.Figure:
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
    change_x_axis(figure, showgrid=False, tickangle=-35)
    set_row_frame(
        figure,
        190 + _CLASS_PIXELS * max(len(before), 2),
        x=f"answer of {variant}",
        y=f"answer of {baseline}",
    )
    rest = len(changes) - len(most)
    add_notes(figure, [f"and {rest} more pairs of classes"] if rest else [])
    return add_title(figure, titles.confusion(variant, changes))


def _rgb(hue: str) -> str:
    return ", ".join(str(int(hue[start : start + 2], 16)) for start in (1, 3, 5))
