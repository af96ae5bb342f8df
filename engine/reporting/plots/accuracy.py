"""Accuracy intervals and calibration curves."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from engine.comparison.records import Accuracy, Reliability
from engine.core import formats
from engine.reporting.plots.frame import (
    LINE,
    add_legend,
    add_notes,
    change_x_axis,
    change_y_axis,
    rows_height,
    set_frame,
    set_row_frame,
)
from engine.reporting.plots.palette import style_of

_ROOM = 0.02


def accuracy_intervals(accuracies: Mapping[str, Accuracy]) -> go.Figure:
    """Draw right first answers of each model, the baseline first, with their intervals.

    A whisker that crosses the line at the baseline's share is no proof of a difference. The axis
    does not begin at 0, since these are no bars.
    """
    figure = go.Figure()
    reference = next(iter(accuracies.values()))
    low = min(accuracy.top1_interval.low for accuracy in accuracies.values())
    high = max(accuracy.top1_interval.high for accuracy in accuracies.values())
    for name, accuracy in accuracies.items():
        style, interval = style_of(name), accuracy.top1_interval
        share = formats.count_or_percent(accuracy.top1, accuracy.pictures)
        figure.add_trace(
            go.Scatter(
                x=[accuracy.top1],
                y=[name],
                mode="markers+text",
                marker={"color": style.hue, "symbol": style.symbol, "size": 12},
                error_x={
                    "array": [interval.high - accuracy.top1],
                    "arrayminus": [accuracy.top1 - interval.low],
                    "color": style.hue,
                    "thickness": 2,
                },
                text=[share],
                textposition="top left" if 2 * accuracy.top1 > low + high else "top right",
                cliponaxis=False,
                hovertemplate=f"{name}: {share} right, 95\xa0% interval "
                f"{formats.interval(interval)}<extra></extra>",
            )
        )
    figure.add_vline(x=reference.top1, line={"color": LINE, "dash": "dash", "width": 1.5})
    change_x_axis(figure, range=[low - _ROOM, high + _ROOM], tickformat=".0%")
    return set_row_frame(
        figure, rows_height(len(accuracies)) + 40, x="right answers (more is better)"
    )


def reliability_curve(curves: Mapping[str, Reliability]) -> go.Figure:
    """Draw how often models are right, against how sure they are.

    The area of a mark follows its bin's pictures; below the diagonal a model is too sure.
    """
    figure = go.Figure(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": LINE, "width": 1.5, "dash": "dash"},
            name="as confident as right",
            hoverinfo="skip",
        )
    )
    notes = []
    for name, curve in curves.items():
        if curve.left_out:
            notes.append(f"{name}: {curve.left_out} pictures gave NaN or Inf")
        if not curve.bins:
            continue
        style = style_of(name)
        most = max(part.pictures for part in curve.bins)
        figure.add_trace(
            go.Scatter(
                x=[part.confidence for part in curve.bins],
                y=[part.right for part in curve.bins],
                mode="lines+markers",
                name=name,
                line={"color": style.hue, "dash": style.dash, "width": 2},
                marker={
                    "color": style.hue,
                    "symbol": style.symbol,
                    "size": [6 + 12 * (part.pictures / most) ** 0.5 for part in curve.bins],
                },
                customdata=[
                    (
                        part.pictures,
                        formats.interval(part.right_interval),
                        formats.percent(part.low),
                        formats.percent(part.high),
                    )
                    for part in curve.bins
                ],
                hovertemplate=f"{name}, %{{customdata[2]}} to %{{customdata[3]}} sure<br>"
                "right on %{y:.0%} of %{customdata[0]} pictures, 95\xa0% interval "
                "%{customdata[1]}<extra></extra>",
            )
        )
    change_x_axis(figure, range=[0, 1.03], tickformat=".0%")
    change_y_axis(figure, range=[0, 1.03], tickformat=".0%")
    set_frame(
        figure,
        x="confidence of the answer",
        y="how often it is right (above the line: under-confident)",
        height=420,
    )
    return add_notes(add_legend(figure), notes)
