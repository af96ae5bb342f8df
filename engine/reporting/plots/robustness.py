"""Answers to changed pictures over the strength of the change, a line a model."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go

from engine.comparison.robustness import Robustness, RobustnessPoint
from engine.core import formats
from engine.core.types import Interval
from engine.images.changes import SCALES, ChangeKind
from engine.reporting.plots.frame import (
    add_title,
    change_layout,
    change_x_axis,
    change_y_axis,
    set_frame,
)
from engine.reporting.plots.palette import style_of
from engine.reporting.text.robustness import (
    agreement_headline,
    change_in_sentence,
    kind_in_sentence,
    stability_headline,
)

_HEIGHT = 480
_WIDEST = 0.5
"""Room that the lines of all models take beside each other, of the distance between strengths."""
Share = Callable[[RobustnessPoint], tuple[int, Interval]]


def agreement_lines(robustness: Robustness, kind: ChangeKind) -> go.Figure:
    """Draw on how many changed pictures each variant answers like the reference.

    Shares with their Wilson intervals over the strengths of one kind of change, the unchanged one
    among them. Lines lie beside each other, so that equal ones are all seen.
    """
    reference = formats.title_of_model(robustness.reference)
    figure = _lines(
        robustness,
        kind,
        robustness.variants,
        lambda point: (point.agreeing, point.agreement_interval),
        f"like {reference} (up is better)",
    )
    return add_title(figure, agreement_headline(robustness, kind))


def stability_lines(robustness: Robustness, kind: ChangeKind) -> go.Figure:
    """Draw on how many changed pictures each model answers what it did before the change.

    As `agreement_lines`, with the reference among the models.
    """
    figure = _lines(
        robustness,
        kind,
        (robustness.reference, *robustness.variants),
        lambda point: (point.stable, point.stability_interval),
        "as before the change (up is better)",
    )
    return add_title(figure, stability_headline(robustness, kind))


def _lines(
    robustness: Robustness, kind: ChangeKind, models: tuple[str, ...], share: Share, title: str
) -> go.Figure:
    figure, scale = go.Figure(), SCALES[kind]
    strengths = [point.strength for point in robustness.line(kind, robustness.reference)]
    for number, model in enumerate(models):
        shift = (number - (len(models) - 1) / 2) * _WIDEST / max(len(models), 1)
        points = robustness.line(kind, model)
        xs = [strengths.index(point.strength) + shift for point in points]
        figure.add_trace(_trace(kind, model, xs, points, share))
    change_x_axis(
        figure,
        tickmode="array",
        tickvals=list(range(len(strengths))),
        ticktext=["none" if s == scale.unchanged else scale.number(s) for s in strengths],
        tickangle=0,
    )
    change_y_axis(figure, range=[0, 1.04], tickformat=".0%")
    set_frame(figure, x=_axis_title(kind), y=title, height=_HEIGHT)
    legend = {"orientation": "h", "y": -0.22, "yanchor": "top", "x": 0}
    return change_layout(figure, showlegend=True, legend=legend)


def _axis_title(kind: ChangeKind) -> str:
    """Name quantity and direction; a scale of two sides has its pictures as they are between."""
    scale = SCALES[kind]
    unit = scale.unit.replace("\N{NO-BREAK SPACE}", "")
    stronger = " (right is stronger)" if min(scale.search) >= 0 else ""
    return f"{kind_in_sentence(kind)}{', ' if unit else ''}{unit}{stronger}"


def _trace(
    kind: ChangeKind,
    model: str,
    xs: list[float],
    points: tuple[RobustnessPoint, ...],
    share: Share,
) -> go.Scatter:
    style = style_of(model)
    counts = [share(point) for point in points]
    shares = [count / point.pictures for (count, _), point in zip(counts, points, strict=True)]
    pairs = list(zip(shares, (interval for _, interval in counts), strict=True))
    return go.Scatter(
        x=xs,
        y=shares,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [interval.high - value for value, interval in pairs],
            "arrayminus": [value - interval.low for value, interval in pairs],
            "thickness": 1,
            "width": 2,
        },
        mode="lines+markers",
        name=model,
        marker={"color": style.hue, "symbol": style.symbol, "size": 8},
        line={"color": style.hue, "dash": style.dash, "width": 2},
        customdata=[
            (
                change_in_sentence(kind, point.strength),
                count,
                point.pictures,
                formats.interval(interval),
            )
            for point, (count, interval) in zip(points, counts, strict=True)
        ],
        hovertemplate=f"{model}, %{{customdata[0]}}<br>%{{customdata[1]}} of %{{customdata[2]}} "
        "pictures, 95\xa0% interval %{customdata[3]}<extra></extra>",
    )
