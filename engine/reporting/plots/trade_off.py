"""Trade-off of closeness against speed or size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import plotly.graph_objects as go

from engine.comparison.recommendation import Candidate, Choice, front_of
from engine.core import formats
from engine.reporting.plots import titles
from engine.reporting.plots.frame import (
    FAULT_MARKS,
    LINE,
    add_notes,
    add_title,
    in_red,
    set_frame,
    style_of,
)

_HEIGHT = 460
_SAME_SPOT = 0.03
_WIDE = 8
_SMALLEST_MARK, _LARGEST_MARK, _RING = 11, 26, 38
_FADED = 0.25


def trade_off(points: Sequence[Candidate]) -> go.Figure:
    """Draw latency against closeness with the front, the mark's size for the file's.

    Variants without latency are named, not drawn.
    """
    timed = [point for point in points if point.latency_ms is not None]
    return _scatter(
        timed,
        lambda point: float(point.latency_ms or 0),
        "median ms (left is faster)",
        _notes_on_untimed(points),
    )


def trade_off_by_size(points: Sequence[Candidate]) -> go.Figure:
    """Draw size against closeness with the front, where fewer than two variants were timed."""
    some = any(point.latency_ms is not None for point in points)
    unit, unit_bytes = formats.size_unit(max(map(_size, points), default=0))
    return _scatter(
        [replace(point, latency_ms=None) for point in points],
        lambda point: _size(point) / unit_bytes,
        f"file size, {unit} (left is smaller)",
        _notes_on_untimed(points) if some else [],
    )


def _size(point: Candidate) -> int:
    return point.size_bytes or 0


def _notes_on_untimed(points: Sequence[Candidate]) -> list[str]:
    return [f"{point.variant}: not timed" for point in points if point.latency_ms is None]


def _scatter(
    points: list[Candidate],
    x_of: Callable[[Candidate], float],
    x_title: str,
    notes: list[str],
) -> go.Figure:
    unusable = [p for p in points if p.fault is not None or not math.isfinite(p.difference)]
    for point in unusable:
        notes.append(in_red(f"{point.variant}: {FAULT_MARKS[point.fault or 'not_finite']}"))
    drawn = [point for point in points if point not in unusable]
    figure = go.Figure()
    front = sorted(front_of(drawn), key=lambda point: (x_of(point), point.difference))
    figure.add_trace(
        go.Scatter(
            x=[x_of(point) for point in front],
            y=[point.difference for point in front],
            mode="lines",
            line={"color": LINE, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    largest = max(map(_size, drawn), default=1) or 1
    for point in drawn:
        style = style_of(point.variant)
        share = math.sqrt(_size(point) / largest)
        figure.add_trace(
            go.Scatter(
                x=[x_of(point)],
                y=[point.difference],
                mode="markers",
                name=point.variant,
                marker={
                    "color": style.hue,
                    "symbol": style.symbol,
                    "size": _SMALLEST_MARK + share * (_LARGEST_MARK - _SMALLEST_MARK),
                    "line": {"width": 2, "color": style.hue},
                },
                hovertemplate=f"<b>{point.variant}</b><br>"
                f"{formats.milliseconds(point.latency_ms, point.timed_pictures)}, "
                f"{formats.megabytes(_size(point))}<br>"
                f"logit rms {formats.logits(point.difference)}, same answer on "
                f"{formats.percent(point.agreement)}<extra></extra>",
            )
        )
    places = [x_of(point) for point in drawn]
    logarithmic = bool(places) and 0 < min(places) * _WIDE < max(places)

    def position(point: Candidate) -> float:
        return math.log10(x_of(point)) if logarithmic else x_of(point)

    x_start = min(map(position, drawn), default=0.0) - 0.15 if logarithmic else 0.0
    x_end = max(map(position, drawn), default=1.0)
    x_end += 0.3 * (x_end - x_start)
    y_end = max((point.difference for point in drawn), default=0.1) * 1.15 or 0.1
    for x, y, names in merge_labels(drawn, position, x_end - x_start, y_end):
        figure.add_annotation(
            x=x,
            y=y,
            text=", ".join(names),
            showarrow=False,
            xanchor="left",
            xshift=26,
            font={"size": 12},
        )
    figure.update_xaxes(range=[x_start, x_end], type="log" if logarithmic else "linear", dtick=None)
    if logarithmic:
        figure.update_xaxes(tickvals=_ticks(min(places), max(places)))
    figure.update_yaxes(range=[y_end, -0.06 * y_end], zeroline=False)
    title = "logit rms to the reference (up is closer)"
    add_notes(set_frame(figure, x=x_title, y=title, height=_HEIGHT), notes)
    ahead = [point.variant for point in drawn if point in front]
    return add_title(figure, titles.trade_off(ahead, len(drawn)))


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
    x_length: float,
    y_length: float,
) -> list[tuple[float, float, list[str]]]:
    """Give coordinates and names of labels, one for all marks on nearly the same spot."""
    labels: list[tuple[float, float, list[str]]] = []
    for point in points:
        x, y = x_of(point), point.difference
        for other_x, other_y, names in labels:
            near_x = abs(x - other_x) <= _SAME_SPOT * x_length
            if near_x and abs(y - other_y) <= _SAME_SPOT * y_length:
                names.append(point.variant)
                break
        else:
            labels.append((x, y, [point.variant]))
    return labels
