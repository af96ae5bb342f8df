"""Logits of variants against those of the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from engine.core import formats
from engine.core.files import figure_text
from engine.core.types import FloatArray
from engine.reporting.plots import titles
from engine.reporting.plots.frame import (
    LINE,
    NEUTRAL,
    add_legend,
    add_notes,
    add_title,
    rows_height,
    set_frame,
    style_of,
)
from engine.reporting.plots.titles import nearest_rank

_BINS = 121
_DRAWN_AS_SHAPES = 2000
_HEIGHT = 420


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
    figure.update_yaxes(type="log", range=[-4.3, 0.1], tickformat="~%", dtick=1)
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
    reference: FloatArray, logits: FloatArray, variant: str, max_points: int = 2000
) -> go.Figure:
    """Draw each logit of a variant against the reference's, both of shape (pictures, classes).

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
            hovertemplate=f"reference %{{x:.2f}}, {variant} %{{y:.2f}}<extra></extra>",
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
        x="logit of the reference",
        y=f"logit of {variant} (line: equal)",
        height=_HEIGHT,
    )
    return add_title(add_notes(figure, notes), sentence)


def difference_heatmap(
    pictures: Sequence[str], variants: Sequence[str], values: FloatArray
) -> go.Figure:
    """Draw the rms of logit differences, shape (pictures, variants); darker is further off.

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
            colorbar={"title": {"text": "rms, logits"}, "thickness": 12},
            hovertemplate="%{y}<br>%{x}: rms %{text}<extra></extra>",
            hoverongaps=True,
            xgap=2,
            ygap=2,
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(side="top", showgrid=False)
    height = 140 + 26 * len(pictures)
    set_frame(figure, x="", y="", height=height)
    return add_title(figure, titles.heatmap(pictures, variants, values))


def top_logits(
    labels: Sequence[str], reference: FloatArray, rows: Mapping[str, FloatArray], k: int = 8
) -> go.Figure:
    """Draw one picture's largest logits in every model: a bar for the reference, marks for others.

    Args:
        labels: Class names.
        reference: The reference's logits of the picture, shape (classes,).
        rows: The variants' logits of the picture, shape (classes,) each.
        k: Classes to show: the reference's first ones; every variant's first is added.
    """
    classes = [int(index) for index in np.argsort(-reference, kind="stable")[:k]]
    for logits in rows.values():
        if np.isfinite(logits).all() and int(np.argmax(logits)) not in classes:
            classes.append(int(np.argmax(logits)))
    names = [figure_text(labels[index]) for index in classes]
    figure = go.Figure(
        go.Bar(
            x=reference[classes],
            y=names,
            orientation="h",
            name="reference",
            marker={"color": NEUTRAL, "opacity": 0.35},
            hovertemplate="reference: %{x:.2f}<extra></extra>",
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
    figure.update_yaxes(autorange="reversed", showgrid=False)
    set_frame(
        figure,
        x="logit (bar: reference; marks: variants)",
        y="",
        height=rows_height(len(classes)) + 40,
    )
    return add_notes(add_legend(figure), notes)
