"""What each variant costs in closeness and gains in speed and size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from engine import formats
from engine.palette import style_of
from engine.plots import titles
from engine.plots.frame import LINE, framed, noted, titled

_HEIGHT = 460
_SAME_SPOT = 0.03
_WIDE = 8
_SMALLEST_MARK, _LARGEST_MARK = 11, 26


@dataclass(frozen=True, slots=True)
class TradeOffPoint:
    """One variant in the trade-off.

    Attributes:
        variant: Its name.
        latency_ms: Median latency in milliseconds; None where it was not measured.
        size_bytes: File size.
        difference: Rms of the logit differences to the reference.
        agreement: Share of pictures with the reference's first answer.
    """

    variant: str
    latency_ms: float | None
    size_bytes: int
    difference: float
    agreement: float


def trade_off(points: Sequence[TradeOffPoint]) -> go.Figure:
    """Latency against closeness, the mark's size for the file's.

    Args:
        points: The variants; those without latency are named, not drawn.

    Returns:
        A scatter with its Pareto front; up is closer, left is quicker.
    """
    timed = [point for point in points if point.latency_ms is not None]
    missing = [f"{p.variant}: not timed" for p in points if p.latency_ms is None]
    return _scatter(
        timed,
        lambda point: float(point.latency_ms or 0),
        "median ms (left is quicker)",
        missing,
    )


def trade_off_by_size(points: Sequence[TradeOffPoint]) -> go.Figure:
    """File size against closeness, for runs that were not timed.

    Args:
        points: The variants.

    Returns:
        A scatter with its Pareto front; up is closer, left is smaller.
    """
    return _scatter(
        list(points), lambda point: point.size_bytes / 1e6, "file size, MB (left is smaller)", []
    )


def _scatter(
    points: list[TradeOffPoint],
    x_of: Callable[[TradeOffPoint], float],
    x_title: str,
    notes: list[str],
) -> go.Figure:
    notes += [f"{p.variant}: NaN or Inf" for p in points if not math.isfinite(p.difference)]
    drawn = [point for point in points if math.isfinite(point.difference)]
    figure = go.Figure()
    front = pareto_front([(x_of(point), point.difference) for point in drawn])
    figure.add_trace(
        go.Scatter(
            x=[x for x, _ in front],
            y=[y for _, y in front],
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
                f"{formats.milliseconds(point.latency_ms)}, {formats.megabytes(point.size_bytes)}"
                f"<br>logit rms {formats.logits(point.difference)}, same answer on "
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
    ahead = [point.variant for point in drawn if (x_of(point), point.difference) in set(front)]
    return titled(figure, titles.trade_off(ahead, len(drawn)))


def _ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10**decade for decade in decades for step in (1, 2, 5)]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other point beats in both coordinates, where less is better.

    Args:
        points: Pairs.

    Returns:
        The undominated ones, by the first coordinate.
    """
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


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
