"""Trade-off of any two of latency, size, memory and error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from engine.comparison.recommendation import Candidate, Choice
from engine.comparison.trade_off import Axes, AxisName, figure_on, front_of
from engine.core import formats
from engine.reporting.plots import titles
from engine.reporting.plots.frame import (
    FAULT_MARKS,
    LINE,
    add_notes,
    add_title,
    change_x_axis,
    change_y_axis,
    in_red,
    set_frame,
)
from engine.reporting.plots.palette import style_of

_HEIGHT = 460
_SAME_SPOT = 0.03
_WIDE = 8
_SMALLEST_MARK, _LARGEST_MARK, _RING = 11, 26, 38
_FADED = 0.25


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of the trade-off: which figure, in what unit, and what less of it is.

    Attributes:
        name: Which.
        title: Quantity with unit.
        less: What a model with less is.
        unit: What the figure is divided by.
    """

    name: AxisName
    title: str
    less: str
    unit: float = 1.0

    def at(self, point: Candidate) -> float:
        return (figure_on(point, self.name) or 0.0) / self.unit


_NOT_THERE: dict[AxisName, str] = {
    "latency": "not timed",
    "size": "size unknown",
    "memory": "memory not measured",
    "error": "not compared",
}


def trade_off(
    points: Sequence[Candidate], axes: Axes = ("latency", "error"), notes: Sequence[str] = ()
) -> go.Figure:
    """Draw two figures of each variant with the front, the mark's size for the file's.

    Args:
        points: The variants. Those without a figure on an axis are named, not drawn.
        axes: Which figures.
        notes: What else to say above the plot.
    """
    lines, drawn = list(notes), []
    for point in points:
        lacking = [axis for axis in axes if figure_on(point, axis) is None]
        if lacking:
            words = ", ".join(_NOT_THERE[axis] for axis in lacking)
            lines.append(f"{point.variant}: {words}")
        elif point.broken or any(not math.isfinite(figure_on(point, axis) or 0) for axis in axes):
            lines.append(in_red(f"{point.variant}: {FAULT_MARKS[point.fault or 'not_finite']}"))
        else:
            drawn.append(point)
    front = front_of(drawn, axes)
    x, y = (_axis(axis, drawn) for axis in axes)
    figure = _scatter(drawn, sorted(front, key=lambda c: (x.at(c), y.at(c))), x, y)
    add_notes(figure, lines)
    names = [point.variant for point in drawn if point in front]
    return add_title(figure, titles.trade_off(names, len(drawn), axes))


def _axis(name: AxisName, points: Sequence[Candidate]) -> _Axis:
    if name == "latency":
        return _Axis(name, "median ms", "faster")
    if name == "error":
        return _Axis(name, "logit rms", "closer")
    unit, unit_bytes = formats.size_unit(
        max((figure_on(p, name) or 0.0 for p in points), default=0)
    )
    if name == "size":
        return _Axis(name, f"file size, {unit}", "smaller", unit_bytes)
    return _Axis(name, f"peak memory, {unit}", "less", unit_bytes)


def _scatter(
    drawn: Sequence[Candidate], front: Sequence[Candidate], x: _Axis, y: _Axis
) -> go.Figure:
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[x.at(point) for point in front],
            y=[y.at(point) for point in front],
            mode="lines",
            line={"color": LINE, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    largest = max((point.size_bytes or 0 for point in drawn), default=1) or 1
    for point in drawn:
        figure.add_trace(_mark(point, x.at(point), y.at(point), largest))
    places = [x.at(point) for point in drawn]
    logarithmic = bool(places) and 0 < min(places) * _WIDE < max(places)

    def position(point: Candidate) -> float:
        return math.log10(x.at(point)) if logarithmic else x.at(point)

    x_start = min(map(position, drawn), default=0.0) - 0.15 if logarithmic else 0.0
    x_end = max(map(position, drawn), default=1.0)
    x_end += 0.3 * (x_end - x_start or 1.0)  # nobody takes anything in a tiny network
    y_end = max(map(y.at, drawn), default=0.1) * 1.15 or 0.1
    for label_x, label_y, names in merge_labels(drawn, position, y.at, x_end - x_start, y_end):
        figure.add_annotation(
            x=label_x,
            y=label_y,
            text=", ".join(names),
            showarrow=False,
            xanchor="left",
            xshift=26,
            font={"size": 12},
        )
    change_x_axis(
        figure, range=[x_start, x_end], type="log" if logarithmic else "linear", dtick=None
    )
    if logarithmic:
        change_x_axis(figure, tickvals=_ticks(min(places), max(places)))
    change_y_axis(figure, range=[y_end, -0.06 * y_end], zeroline=False)
    titles_of_axes = f"{x.title} (left is {x.less})", f"{y.title} (up is {y.less})"
    return set_frame(figure, x=titles_of_axes[0], y=titles_of_axes[1], height=_HEIGHT)


def _mark(point: Candidate, x: float, y: float, largest: int) -> go.Scatter:
    style, share = style_of(point.variant), math.sqrt((point.size_bytes or 0) / largest)
    costs = [
        formats.milliseconds(point.latency_ms, point.timed_pictures),
        formats.megabytes(point.size_bytes),
    ]
    if point.peak_bytes is not None:
        costs.append(f"peak memory {formats.megabytes(point.peak_bytes)}")
    return go.Scatter(
        x=[x],
        y=[y],
        mode="markers",
        name=point.variant,
        marker={
            "color": style.hue,
            "symbol": style.symbol,
            "size": _SMALLEST_MARK + share * (_LARGEST_MARK - _SMALLEST_MARK),
            "line": {"width": 2, "color": style.hue},
        },
        hovertemplate=f"<b>{point.variant}</b><br>{', '.join(costs)}<br>"
        f"logit rms {formats.logits(point.difference)}, same answer on "
        f"{formats.count_or_percent(point.agreement, point.pictures)}<extra></extra>",
    )


def mark_choice(figure: go.Figure, choice: Choice) -> go.Figure:
    """Fade the variants that keep too few answers, and draw a ring around the taken one."""
    eligible = {point.variant for point in choice.eligible}
    for trace in [trace for trace in figure.data if trace.name]:
        if trace.name not in eligible:
            trace.opacity = _FADED
        if choice.taken is not None and trace.name == choice.taken.variant:
            ring = {"symbol": "circle-open", "size": _RING, "color": trace.marker.color}
            figure.add_trace(
                go.Scatter(
                    x=trace.x,
                    y=trace.y,
                    mode="markers",
                    marker={**ring, "line": {"width": 3}},
                    hoverinfo="skip",
                )
            )
    return figure


def _ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10**decade for decade in decades for step in (1, 2, 5)]


def merge_labels(
    points: Sequence[Candidate],
    x_of: Callable[[Candidate], float],
    y_of: Callable[[Candidate], float],
    x_length: float,
    y_length: float,
) -> list[tuple[float, float, list[str]]]:
    """Give coordinates and names of labels, one for all marks on nearly the same spot."""
    labels: list[tuple[float, float, list[str]]] = []
    for point in points:
        x, y = x_of(point), y_of(point)
        for other_x, other_y, names in labels:
            near_x = abs(x - other_x) <= _SAME_SPOT * x_length
            if near_x and abs(y - other_y) <= _SAME_SPOT * y_length:
                names.append(point.variant)
                break
        else:
            labels.append((x, y, [point.variant]))
    return labels
