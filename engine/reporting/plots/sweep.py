"""Error against the number of calibration pictures, a line for each way to choose ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from engine.comparison.latency import Latency
from engine.core import formats
from engine.quantization.records import MixedPoint, name_of_point
from engine.reporting.plots.frame import (
    FAULT_MARKS,
    LINE,
    add_notes,
    add_title,
    change_layout,
    change_x_axis,
    change_y_axis,
    in_red,
    set_frame,
)
from engine.reporting.plots.palette import NEUTRAL, Dash, Symbol, style_of
from engine.reporting.text.sweep import best_method, enough, enough_sentence, line
from engine.tasks.sweep.records import Sweep, SweepGroup

_HEIGHT = 420
_LOOKS: dict[str, tuple[Symbol, Dash]] = {
    "min_max": ("circle", "solid"),
    "percentile_99.9": ("triangle-up", "dash"),
    "percentile_99.99": ("square", "dash"),
    "mse": ("diamond", "dot"),
    "entropy": ("x", "dot"),
}
_HIGHEST = 2.0
"""A line that ends this many times above the best is left out."""
_SHIFT = 0.06
"""Between lines, of the distance between counts, so that error bars do not lie on each other."""


def calibration_counts(sweep: Sweep, recipe: str) -> go.Figure:
    """Draw rms over the number of calibration pictures, mean and deviation over seeds.

    The line of the best ranges has the recipe's hue; the count that is enough is marked. Lines
    that would dwarf the rest are named in a note, not drawn.
    """
    figure = go.Figure()
    best = best_method(sweep, recipe)
    methods = list(dict.fromkeys(group.range_method for group in sweep.of(recipe)))
    counts = sorted({group.count for group in sweep.of(recipe)})
    notes = []
    highest = _HIGHEST * max(
        (group.rms.mean for group in _useful(line(sweep, recipe, best))), default=0.0
    )
    # The best last, so that it lies over the others.
    for method in sorted(methods, key=lambda name: name == best):
        groups = line(sweep, recipe, method)
        shift = (methods.index(method) - (len(methods) - 1) / 2) * _SHIFT
        useful = _useful(groups)
        marks = {FAULT_MARKS[g.fault or "not_finite"] for g in groups if g not in useful}
        notes += [in_red(f"{method}: {mark}") for mark in sorted(marks)]
        if useful and method != best and (rms := useful[-1].rms.mean) > highest:
            notes.append(f"{method}: rms {formats.logits(rms)}, beyond this figure")
            continue
        hue = style_of(recipe).hue if method == best else NEUTRAL
        places = [counts.index(group.count) + shift for group in useful]
        figure.add_trace(_trace(method, useful, places, hue, 2.5 if method == best else 1.5))
    _label(figure, recipe, best)
    _mark(figure, counts, enough(line(sweep, recipe, best)))
    change_x_axis(
        figure,
        tickmode="array",
        tickvals=list(range(len(counts))),
        ticktext=[str(n) for n in counts],
    )
    change_y_axis(figure, rangemode="tozero")
    set_frame(
        figure,
        x="calibration pictures",
        y="rms of the logits' error (lower is closer)",
        height=_HEIGHT,
    )
    legend = {"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0}
    change_layout(figure, showlegend=True, legend=legend)
    return add_title(add_notes(figure, notes), enough_sentence(sweep, recipe))


def _useful(groups: Sequence[SweepGroup]) -> list[SweepGroup]:
    return [g for g in groups if g.fault is None and not math.isnan(g.rms.mean)]


def _trace(
    method: str, groups: list[SweepGroup], places: list[float], hue: str, width: float
) -> go.Scatter:
    symbol, dash = _LOOKS[method]
    return go.Scatter(
        x=places,
        y=[group.rms.mean for group in groups],
        error_y={
            "type": "data",
            "array": [_bar(group.rms.deviation) for group in groups],
            "thickness": 1.5,
            "width": 4,
        },
        mode="lines+markers",
        name=method,
        marker={"color": hue, "symbol": symbol, "size": 9},
        line={"color": hue, "dash": dash, "width": width},
        customdata=[(group.count, group.kl.mean, len(group.cells)) for group in groups],
        hovertemplate=(
            f"{method}, %{{customdata[0]}} pictures<br>rms %{{y:.4f}}, "
            "KL %{customdata[1]:.2g}, %{customdata[2]} seeds<extra></extra>"
        ),
    )


def _bar(deviation: float) -> float:
    return 0.0 if math.isnan(deviation) else deviation


def _label(figure: go.Figure, recipe: str, best: str) -> None:
    """Name the best line at its end; lines lie too close for names of their own."""
    (end,) = [trace for trace in figure.data if trace.name == best]
    if len(end.y):
        figure.add_annotation(
            x=end.x[-1],
            y=end.y[-1],
            text=f"<b>{best}</b>",
            font={"color": style_of(recipe).hue},
            showarrow=False,
            xanchor="right",
            yanchor="top",
            yshift=-10,
        )


def _mark(figure: go.Figure, counts: list[int], count: int | None) -> None:
    if count is not None and count != counts[-1]:
        figure.add_vline(
            x=counts.index(count), line={"color": NEUTRAL, "dash": "dot", "width": 1.5}
        )
        figure.add_annotation(
            x=counts.index(count),
            y=0,
            text="enough",
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            xshift=4,
        )


_CURVE_HEIGHT = 400
_APART = 0.1
"""Least distance of two numbers, as a share of the plot."""
_MIXED = "int8_mixed(k=1)"


def mixed_by_size(points: Sequence[MixedPoint], chosen: int | None = None) -> go.Figure:
    """Draw logit rms over file size; the point with ``chosen`` layers in float32 is marked."""
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
    """Draw logit rms over the median latency of timed points, with float32 as a line.

    The samples of ``latency`` are called ``k=<layers>`` and ``float32``.
    """
    medians = {entry.variant: entry.median_ms for entry in latency.entries}
    timed = [point for point in points if name_of_point(point.layers) in medians]
    figure = _curve(
        timed,
        [medians[name_of_point(point.layers)] for point in timed],
        chosen,
        x="median latency, ms (left is faster)",
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
    """Write as many numbers of layers at the marks as do not overlap, the chosen one first."""
    across = (max(costs) - min(costs)) or 1.0
    up = max(point.rms for point in points) or 1.0
    order = sorted(range(len(points)), key=lambda i: points[i].layers != chosen)
    written: list[int] = []
    for i in order:
        distances = (
            math.hypot((costs[i] - costs[j]) / across, (points[i].rms - points[j].rms) / up)
            for j in written
        )
        if all(distance > _APART for distance in distances):
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
            customdata=[(p.layers, p.kl, formats.percent(p.agreement)) for p in points],
            hovertemplate="%{customdata[0]} layers in float32<br>rms %{y:.4f}, KL "
            "%{customdata[1]:.2g} nats, same answer %{customdata[2]}<br>%{x:.2f} "
            + unit
            + "<extra></extra>",
        )
    )
    change_y_axis(figure, rangemode="tozero")
    return set_frame(figure, x=x, y="logit rms (lower is closer)", height=_CURVE_HEIGHT)
