"""Layer errors along the network, and one operator's values over its grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from engine.comparison.layers.records import Deviation, LayerError, LayerErrors, LossSplit
from engine.core import formats
from engine.core.files import figure_text
from engine.reporting.plots.frame import (
    LINE,
    add_legend,
    add_notes,
    change_layout,
    change_x_axis,
    change_y_axis,
    set_frame,
    set_row_frame,
)
from engine.reporting.plots.palette import style_of

_LINE_HEIGHT = 400
_LABEL_PIXELS = 18
_HISTOGRAM_HEIGHT = 190
_TOWER = 3.0
_WORTH_A_NOTE = 0.0005


def layer_line(errors: LayerErrors, named: Sequence[LayerError]) -> go.Figure:
    """Draw signal over error along the network: as it runs, and of each operator alone.

    The operators of ``named`` are marked. Those that only pass their input's grid on, such as PAD,
    add no error and are left out, unless all do.
    """
    style = style_of(errors.variant)
    layers = [layer for layer in errors.layers if layer.own_grid] or list(errors.layers)
    figure = go.Figure()
    # Lone operators first, so that the line of the network lies over them.
    for title, own in (("on its own", True), ("cumulative", False)):
        points = [
            (layer, value)
            for layer in layers
            if (value := _finite(layer.own if own else layer.accumulated)) is not None
        ]
        figure.add_trace(
            go.Scatter(
                x=[layer.index for layer, _ in points],
                y=[value for _, value in points],
                mode="markers" if own else "lines+markers",
                name=title,
                marker={
                    "color": style.hue,
                    "symbol": "circle-open" if own else style.symbol,
                    "size": 7,
                    "opacity": 0.75 if own else 1.0,
                },
                line={"color": style.hue, "dash": style.dash, "width": 2},
                customdata=[
                    f"{figure_text(layer.title)}, {formats.sides(layer.shape)}"
                    for layer, _ in points
                ],
                hovertemplate=f"%{{customdata}}<br>{title}: %{{y:.1f}} dB<extra></extra>",
            )
        )
        if points:
            # Above the marks at the end, or below them, where nothing else is drawn.
            near = [value for _, value in points[-max(len(points) // 3, 1) :]]
            figure.add_annotation(
                x=points[-1][0].index,
                y=max(near) if own else min(near),
                text="each layer on its own" if own else f"<b>{errors.variant}</b>, cumulative",
                font={"color": style.hue},
                showarrow=False,
                xanchor="right",
                yanchor="bottom" if own else "top",
                yshift=6 if own else -6,
            )
    _mark(figure, errors, named)
    set_frame(
        figure,
        x="operators, from input to logits",
        y="signal over error, dB (higher is closer)",
        height=_LINE_HEIGHT,
    )
    return change_layout(figure, margin_t=28 + _LABEL_PIXELS * len(named))


def _finite(deviation: Deviation | None) -> float | None:
    value = None if deviation is None else deviation.sqnr_db
    return value if value is not None and math.isfinite(value) else None


def _mark(figure: go.Figure, errors: LayerErrors, named: Sequence[LayerError]) -> None:
    middle = (errors.layers[0].index + errors.layers[-1].index) / 2
    for row, layer in enumerate(sorted(named, key=lambda layer: layer.index)):
        figure.add_vline(x=layer.index, line={"color": LINE, "dash": "dot", "width": 1.5})
        left = layer.index > middle
        figure.add_annotation(
            x=layer.index,
            yref="paper",
            y=1.0,
            text=figure_text(layer.title),
            showarrow=False,
            xanchor="right" if left else "left",
            yanchor="bottom",
            xshift=-4 if left else 4,
            yshift=_LABEL_PIXELS * (len(named) - 1 - row),
        )


def layer_histogram(layer: LayerError, variant: str) -> go.Figure:
    """Draw float values of an operator over the integer grid that stands for them.

    Without a grid the figure is empty and says so. A bar more than three times as tall as the next
    one is cut, with its share written on it, so that the others can be seen.
    """
    figure = go.Figure()
    hue = style_of(variant).hue
    notes = []
    if layer.grid is None:
        notes.append("computes in float32: no grid")
    else:
        total = sum(layer.histogram) + layer.below + layer.above
        shares = [count / max(total, 1) for count in layer.histogram]
        width = layer.grid.width / len(shares)
        centres = [layer.grid.low + width * (cell + 0.5) for cell in range(len(shares))]
        figure.add_trace(
            go.Bar(
                x=centres,
                y=shares,
                width=width,
                marker={"color": hue, "line": {"width": 0}},
                hovertemplate="%{y:.2%} of the values near %{x:.3g}<extra></extra>",
            )
        )
        first, second = sorted(shares, reverse=True)[:2]
        if second and first > _TOWER * second:
            change_y_axis(figure, range=[0, second * 1.35])
            figure.add_annotation(
                x=centres[shares.index(first)],
                y=second * 1.35,
                text=f"{formats.percent(first)} here",
                showarrow=False,
                xanchor="left" if shares.index(first) < len(shares) / 2 else "right",
                yanchor="top",
                xshift=8 if shares.index(first) < len(shares) / 2 else -8,
            )
        for count, end in ((layer.below, "below"), (layer.above, "above")):
            if count >= _WORTH_A_NOTE * total:
                notes.append(f"{formats.percent(count / total)} clipped {end} the grid")
    change_y_axis(figure, tickformat="~%")
    set_frame(
        figure,
        x="float value, over the whole grid",
        y="share of the values",
        height=_HISTOGRAM_HEIGHT,
    )
    change_layout(figure, bargap=0)
    return add_notes(figure, notes)


_HEIGHT = 380


def layer_lines(before: LayerErrors, after: LayerErrors) -> go.Figure:
    """Draw signal over error along the network as it runs, before and after optimizing.

    Operators that only pass their input's grid on are left out.
    """
    figure = go.Figure()
    for errors in (before, after):
        style = style_of(errors.variant)
        points = [
            (layer, value)
            for layer in errors.layers
            if layer.own_grid and (value := _finite(layer.accumulated)) is not None
        ]
        figure.add_trace(
            go.Scatter(
                x=[layer.index for layer, _ in points],
                y=[value for _, value in points],
                mode="lines+markers",
                name=errors.variant,
                marker={"color": style.hue, "symbol": style.symbol, "size": 7},
                line={"color": style.hue, "dash": style.dash, "width": 2},
                customdata=[figure_text(layer.title) for layer, _ in points],
                hovertemplate=f"%{{customdata}}<br>{errors.variant}: %{{y:.1f}} dB<extra></extra>",
            )
        )
    set_frame(
        figure,
        x="operators, from input to logits",
        y="signal over error, dB (higher is closer)",
        height=_HEIGHT,
    )
    return add_legend(figure)


_SPLIT_HEIGHT = 150


def loss_split(split: LossSplit, variant: str) -> go.Figure:
    """Draw what rounding weights alone, and activations alone, does to the logits."""
    values = [split.weights, split.activations]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=["weights alone", "activations alone"],
            orientation="h",
            marker={"color": style_of(variant).hue},
            text=[formats.logits(value) for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3g}<extra></extra>",
        )
    )
    change_x_axis(figure, range=[0, 1.15 * max(*values, 1e-9)])  # room for the figures
    return set_row_frame(figure, _SPLIT_HEIGHT, x="logit rms (lower is closer)")
