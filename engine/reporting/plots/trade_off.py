"""What each variant costs in closeness and gains in speed and size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import plotly.graph_objects as go

from engine.comparison.recommendation import TradeOffPoint as TradeOffPoint
from engine.comparison.recommendation import front_of
from engine.core import formats
from engine.reporting.plots import titles
from engine.reporting.plots.frame import FAULT_MARKS, LINE, framed, in_red, noted, style_of, titled

_HEIGHT = 460
_SAME_SPOT = 0.03
_WIDE = 8
_SMALLEST_MARK, _LARGEST_MARK = 11, 26


def trade_off(points: Sequence[TradeOffPoint]) -> go.Figure:
    """Latency against closeness, the mark's size for the file's.

    Args:
        points: The variants; those without latency are named, not drawn.

    Returns:
        A scatter with its front, see `front_of`; up is closer, left is quicker.
    """
    timed = [point for point in points if point.latency_ms is not None]
    return _scatter(
        timed,
        lambda point: float(point.latency_ms or 0),
        "median ms (left is quicker)",
        _untimed(points),
    )


def trade_off_by_size(points: Sequence[TradeOffPoint]) -> go.Figure:
    """File size against closeness, for runs of which fewer than two variants were timed.

    Args:
        points: The variants.

    Returns:
        A scatter with its front, see `front_of`; up is closer, left is smaller.
    """
    some = any(point.latency_ms is not None for point in points)
    unit, unit_bytes = formats.size_unit(max((p.size_bytes for p in points), default=0))
    return _scatter(
        [replace(point, latency_ms=None) for point in points],
        lambda point: point.size_bytes / unit_bytes,
        f"file size, {unit} (left is smaller)",
        _untimed(points) if some else [],
    )


def _untimed(points: Sequence[TradeOffPoint]) -> list[str]:
    return [f"{point.variant}: not timed" for point in points if point.latency_ms is None]


def _scatter(
    points: list[TradeOffPoint],
    x_of: Callable[[TradeOffPoint], float],
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
    largest = max((point.size_bytes for point in drawn), default=1) or 1
    for point in drawn:
        style = style_of(point.variant)
        share = math.sqrt(point.size_bytes / largest)
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
                f"{formats.megabytes(point.size_bytes)}<br>"
                f"logit rms {formats.logits(point.difference)}, same answer on "
                f"{formats.percent(point.agreement)}<extra></extra>",
            )
        )
    places = [x_of(point) for point in drawn]
    logarithmic = bool(places) and 0 < min(places) * _WIDE < max(places)

    def placed(point: TradeOffPoint) -> float:
        return math.log10(x_of(point)) if logarithmic else x_of(point)

    x_start = min(map(placed, drawn), default=0.0) - 0.15 if logarithmic else 0.0
    x_end = max(map(placed, drawn), default=1.0)
    x_end += 0.3 * (x_end - x_start)
    y_end = max((point.difference for point in drawn), default=0.1) * 1.15 or 0.1
    for x, y, names in merged_labels(drawn, placed, x_end - x_start, y_end):
        figure.add_annotation(
            x=x,
            y=y,
            text=", ".join(names),
            showarrow=False,
            xanchor="left",
            xshift=18,
            font={"size": 12},
        )
    figure.update_xaxes(range=[x_start, x_end], type="log" if logarithmic else "linear", dtick=None)
    if logarithmic:
        figure.update_xaxes(tickvals=_ticks(min(places), max(places)))
    figure.update_yaxes(range=[y_end, -0.06 * y_end], zeroline=False)
    title = "logit rms to the reference (up is closer)"
    noted(framed(figure, x=x_title, y=title, height=_HEIGHT), notes)
    ahead = [point.variant for point in drawn if point in front]
    return titled(figure, titles.trade_off(ahead, len(drawn)))


def _ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10**decade for decade in decades for step in (1, 2, 5)]


def merged_labels(
    points: Sequence[TradeOffPoint],
    x_of: Callable[[TradeOffPoint], float],
    x_length: float,
    y_length: float,
) -> list[tuple[float, float, list[str]]]:
    """Labels for marks, one for all that lie on nearly the same spot.

    Args:
        points: The variants.
        x_of: Horizontal coordinate of a variant.
        x_length: Length of the horizontal axis.
        y_length: Length of the vertical axis.

    Returns:
        Coordinates and names of each label.
    """
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
