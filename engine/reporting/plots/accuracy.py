"""Answers against labels."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from engine.comparison.records import Accuracy, Reliability
from engine.core import formats
from engine.reporting.plots.frame import LINE, framed, noted, rows_height, style_of, with_legend

_ROOM = 0.02


def accuracy_intervals(accuracies: Mapping[str, Accuracy]) -> go.Figure:
    """Right first answers of each model, with their intervals.

    Args:
        accuracies: By model, the reference first; at least one.

    Returns:
        A mark and a whisker a model, and a line at the reference's share: a whisker that crosses
        it is no proof of a difference. The axis does not begin at 0, since these are no bars.
    """
    figure = go.Figure()
    reference = next(iter(accuracies.values()))
    for name, found in accuracies.items():
        style, interval = style_of(name), found.top1_interval
        figure.add_trace(
            go.Scatter(
                x=[found.top1],
                y=[name],
                mode="markers+text",
                marker={"color": style.hue, "symbol": style.symbol, "size": 12},
                error_x={
                    "array": [interval.high - found.top1],
                    "arrayminus": [found.top1 - interval.low],
                    "color": style.hue,
                    "thickness": 2,
                },
                text=[formats.percent(found.top1)],
                textposition="top right",
                cliponaxis=False,
                hovertemplate=f"{name}: {formats.percent(found.top1)} right, 95 % interval "
                f"{formats.interval(interval)}<extra></extra>",
            )
        )
    figure.add_vline(x=reference.top1, line={"color": LINE, "dash": "dash", "width": 1.5})
    low = min(found.top1_interval.low for found in accuracies.values())
    high = max(found.top1_interval.high for found in accuracies.values())
    figure.update_xaxes(range=[low - _ROOM, high + _ROOM], tickformat=".0%")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return framed(
        figure,
        x="right answers (right is better)",
        y="",
        height=rows_height(len(accuracies)) + 40,
    )


def reliability_curve(curves: Mapping[str, Reliability]) -> go.Figure:
    """How often models are right, against how sure they are.

    Args:
        curves: Calibration curve by model.

    Returns:
        A line a model, a mark a bin whose area follows its pictures, and the line on which a
        model is exactly as often right as it is sure; below it a model is too sure.
    """
    figure = go.Figure(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": LINE, "width": 1.5, "dash": "dash"},
            name="as sure as right",
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
        most = max(found.pictures for found in curve.bins)
        figure.add_trace(
            go.Scatter(
                x=[found.confidence for found in curve.bins],
                y=[found.right for found in curve.bins],
                mode="lines+markers",
                name=name,
                line={"color": style.hue, "dash": style.dash, "width": 2},
                marker={
                    "color": style.hue,
                    "symbol": style.symbol,
                    "size": [6 + 12 * (found.pictures / most) ** 0.5 for found in curve.bins],
                },
                customdata=[
                    (
                        found.pictures,
                        formats.interval(found.right_interval),
                        formats.percent(found.low),
                        formats.percent(found.high),
                    )
                    for found in curve.bins
                ],
                hovertemplate=f"{name}, %{{customdata[2]}} to %{{customdata[3]}} sure<br>"
                "right on %{y:.0%} of %{customdata[0]} pictures, 95 % interval %{customdata[1]}"
                "<extra></extra>",
            )
        )
    figure.update_xaxes(range=[0, 1.03], tickformat=".0%")
    figure.update_yaxes(range=[0, 1.03], tickformat=".0%")
    framed(
        figure,
        x="how sure the model is of its answer",
        y="how often it is right (above the line: too modest)",
        height=420,
    )
    return noted(with_legend(figure), notes)
