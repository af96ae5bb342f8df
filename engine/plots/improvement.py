"""The layer lines of a variant and of its optimized counterpart, over each other."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from engine.comparison.layers.records import LayerErrors
from engine.core.text import figure_text
from engine.palette import style_of
from engine.plots.frame import framed, with_legend

_HEIGHT = 380


def layer_lines(before: LayerErrors, after: LayerErrors) -> go.Figure:
    """Signal over error along the network as it runs, before and after.

    Args:
        before: Of a variant.
        after: Of its optimized counterpart, on the same pictures.

    Returns:
        A line each; higher is closer to float32. Operators that only pass their input's grid on
        are left out.
    """
    figure = go.Figure()
    for found in (before, after):
        style = style_of(found.variant)
        points = [
            (layer, layer.accumulated.sqnr_db)
            for layer in found.layers
            if layer.own_grid
            and layer.accumulated.sqnr_db is not None
            and math.isfinite(layer.accumulated.sqnr_db)
        ]
        figure.add_trace(
            go.Scatter(
                x=[layer.index for layer, _ in points],
                y=[value for _, value in points],
                mode="lines+markers",
                name=found.variant,
                marker={"color": style.hue, "symbol": style.symbol, "size": 7},
                line={"color": style.hue, "dash": style.dash, "width": 2},
                customdata=[figure_text(layer.title) for layer, _ in points],
                hovertemplate=f"%{{customdata}}<br>{found.variant}: %{{y:.1f}} dB<extra></extra>",
            )
        )
    framed(
        figure,
        x="operators, from input to logits",
        y="signal over error, dB (higher is closer)",
        height=_HEIGHT,
    )
    return with_legend(figure)
