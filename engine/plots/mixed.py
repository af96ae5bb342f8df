"""What numbers of layers in float32 give: error over size or latency."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from engine.comparison.latency import Latency
from engine.palette import style_of
from engine.plots.frame import LINE, framed
from engine.quantization.records import MixedPoint, timed_name

_CURVE_HEIGHT = 400
_APART = 0.1
"""Least distance of two numbers, as a share of the plot."""
_MIXED = "int8_mixed(k=1)"


def mixed_by_size(points: Sequence[MixedPoint], chosen: int | None = None) -> go.Figure:
    """Logit rms over the size of the file, a mark for each number of layers in float32.

    Args:
        points: By number of layers.
        chosen: Number of layers of the point that is marked; None marks none.
    """
    return _curve(
        points,
        [point.bytes / 1e6 for point in points],
        chosen,
        x="file, MB (left is smaller)",
        unit="MB",
    )


def mixed_by_latency(
    points: Sequence[MixedPoint], latency: Latency, chosen: int | None = None
) -> go.Figure:
    """Logit rms over the median latency, with float32 as a line.

    Args:
        points: By number of layers; those that were not timed are left out.
        latency: Samples called ``k=<layers>`` and ``float32``.
        chosen: Number of layers of the point that is marked; None marks none.
    """
    medians = {entry.variant: entry.median_ms for entry in latency.entries}
    timed = [point for point in points if timed_name(point.layers) in medians]
    figure = _curve(
        timed,
        [medians[timed_name(point.layers)] for point in timed],
        chosen,
        x="median latency, ms (left is quicker)",
        unit="ms",
    )
    if "float32" in medians:
        figure.add_vline(
            x=medians["float32"],
            line={"color": LINE, "dash": "dot"},
            annotation={"text": "float32", "yanchor": "top"},
        )
    return figure


def _numbers(points: Sequence[MixedPoint], costs: list[float], chosen: int | None) -> list[str]:
    """Numbers of layers to write at the marks: as many as stay apart, the chosen one among them."""
    across = (max(costs) - min(costs)) or 1.0
    up = max(point.rms for point in points) or 1.0
    order = sorted(range(len(points)), key=lambda i: points[i].layers != chosen)
    written: list[int] = []
    for i in order:
        apart = (
            math.hypot((costs[i] - costs[j]) / across, (points[i].rms - points[j].rms) / up)
            for j in written
        )
        if all(distance > _APART for distance in apart):
            written.append(i)
    return [f"{point.layers}" if i in written else "" for i, point in enumerate(points)]


def _curve(
    points: Sequence[MixedPoint], costs: list[float], chosen: int | None, *, x: str, unit: str
) -> go.Figure:
    style = style_of(_MIXED)
    sizes = [13 if point.layers == chosen else 8 for point in points]
    figure = go.Figure(
        go.Scatter(
            x=costs,
            y=[point.rms for point in points],
            mode="lines+markers+text",
            text=_numbers(points, costs, chosen),
            textposition="top right",
            marker={"color": style.hue, "symbol": style.symbol, "size": sizes},
            line={"color": style.hue, "dash": style.dash, "width": 2},
            customdata=[(point.layers, point.kl, point.agreement) for point in points],
            hovertemplate="%{customdata[0]} layers in float32<br>rms %{y:.4f}, KL "
            "%{customdata[1]:.2g} nats, same answer %{customdata[2]:.1%}<br>%{x:.2f} "
            + unit
            + "<extra></extra>",
        )
    )
    figure.update_yaxes(rangemode="tozero")
    return framed(figure, x=x, y="logit rms (lower is closer)", height=_CURVE_HEIGHT)
