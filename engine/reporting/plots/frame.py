"""Axes, titles, notes and CSV that all figures share."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from engine.core.files import escape_formula, figure_text
from engine.core.types import Fault
from engine.reporting.plots.palette import RED

GRID = "rgba(128, 138, 158, 0.25)"
LINE = "rgba(128, 138, 158, 0.7)"
CLEAR = "rgba(0, 0, 0, 0)"
ROW_PIXELS = 40
_TITLE_CHARACTERS = 62
_AXIS_CHARACTERS = 32
"""As many as a phone shows below a plot whose marks have names at its left."""
_LINE_BREAK = "<br>"
_TITLE_LINE = 20
_NOTE_LINE = 18
FAULT_MARKS: Mapping[Fault, str] = {
    "same_answer": "same answer always",
    "not_finite": "NaN or Inf",
}
"""What stands in a figure beside the name of a variant of no use."""


def change_layout(figure: go.Figure, **changes: Any) -> go.Figure:
    """Set parts of a figure's layout, in place.

    Plotly's ``update_layout`` goes through all parts again for each that it sets, and took more
    than half of the time of making a figure.
    """
    for name, value in changes.items():
        figure.layout[name] = value
    return figure


def change_x_axis(figure: go.Figure, **changes: Any) -> go.Figure:
    """Set parts of a figure's horizontal axis, in place; see `change_layout`."""
    figure.layout.xaxis = {**figure.layout.xaxis.to_plotly_json(), **changes}
    return figure


def change_y_axis(figure: go.Figure, **changes: Any) -> go.Figure:
    """Set parts of a figure's vertical axis, in place; see `change_layout`."""
    figure.layout.yaxis = {**figure.layout.yaxis.to_plotly_json(), **changes}
    return figure


def set_frame(figure: go.Figure, *, x: str, y: str, height: int) -> go.Figure:
    """Give a figure its axes' titles, its grid and its height in pixels, in place.

    A title names quantity, unit and which way is good; it is empty where marks carry names.
    """
    change_layout(
        figure,
        height=height,
        margin={"l": 8, "r": 16, "t": 24, "b": 8},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"family": "Inter, sans-serif", "size": 13},
        showlegend=False,
        hoverlabel={"namelength": -1},
        bargap=0.35,
    )
    axis: dict[str, Any] = {
        "gridcolor": GRID,
        "zerolinecolor": LINE,
        "automargin": True,
        "title_standoff": 12,
    }
    whole = x if len(x) <= _AXIS_CHARACTERS else x.replace(" (", "\n(")
    lines = [line for part in whole.split("\n") for line in textwrap.wrap(part, _AXIS_CHARACTERS)]
    change_x_axis(figure, title_text=_LINE_BREAK.join(lines), **axis)
    change_y_axis(figure, title_text=y.replace("\n", _LINE_BREAK), **axis)
    return figure


def set_row_frame(figure: go.Figure, height: int, *, x: str = "", y: str = "") -> go.Figure:
    """Give a figure its frame, as `set_frame` does, with a name a row, the first at the top."""
    change_y_axis(figure, autorange="reversed", showgrid=False)
    return set_frame(figure, x=x, y=y, height=height)


def in_red(text: str) -> str:
    """Write words of a figure about what is wrong."""
    return f'<b style="color:{RED}">{text}</b>'


def rows_height(rows: int) -> int:
    """Compute the height in pixels of a figure with a row for each name."""
    return 90 + ROW_PIXELS * max(rows, 2)


def add_notes(figure: go.Figure, notes: list[str]) -> go.Figure:
    """Write findings, such as a variant without finite figures, above a figure's plot, in place.

    Inside at its top where a legend or the horizontal axis takes the room above.
    """
    if notes:
        inside = figure.layout.showlegend or figure.layout.xaxis.side == "top"
        room = 0 if inside else _NOTE_LINE * len(notes)
        change_layout(
            figure, margin_t=figure.layout.margin.t + room, height=figure.layout.height + room
        )
        figure.add_annotation(
            text="<br>".join(notes),
            xref="paper",
            yref="paper",
            x=1,
            y=1,
            xanchor="right",
            yanchor="top" if inside else "bottom",
            showarrow=False,
            align="right",
            font={"size": 13},
        )
    return figure


def add_cells(figure: go.Figure, texts: Sequence[Sequence[str]], **heatmap: Any) -> go.Figure:
    """Add a heatmap with figures on its cells, in the hue of the page's own text.

    Plotly's own way chooses a hue against the cell's, as if nothing shone through it: dark on dark.

    Args:
        figure: The figure; changed in place.
        texts: Row by row; an empty one writes nothing.
        heatmap: Its data and scale, as Plotly names them; cells clear enough to read on.
    """
    figure.add_trace(go.Heatmap(**heatmap, xgap=2, ygap=2, showscale=False, hoverongaps=False))
    marks = [
        (column, row, text)
        for row, line in zip(heatmap["y"], texts, strict=True)
        for column, text in zip(heatmap["x"], line, strict=True)
        if text
    ]
    columns, rows, written = zip(*marks, strict=True) if marks else ((), (), ())
    return figure.add_trace(
        go.Scatter(
            x=columns,
            y=rows,
            text=written,
            mode="text",
            textfont={"size": 11, "weight": 600},
            hoverinfo="skip",
        )
    )


def whole_numbers(counts: NDArray[np.float64]) -> list[list[str]]:
    """Write counts as text for `add_cells`; NaN stands for none."""
    return [[f"{count:.0f}" if count == count else "" for count in row] for row in counts]


def add_legend(figure: go.Figure) -> go.Figure:
    """Name the traces above a figure whose marks lie too close for labels of their own."""
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    return change_layout(figure, showlegend=True, legend=legend)


def add_title(figure: go.Figure, sentence: str) -> go.Figure:
    """Give a figure its headline, wrapped, with room above the plot, in place."""
    lines = textwrap.wrap(sentence, _TITLE_CHARACTERS) or [""]
    room = 14 + _TITLE_LINE * len(lines)
    change_layout(
        figure,
        meta={"headline": sentence, "room": room},
        title={
            "text": "<br>".join(map(figure_text, lines)),
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 8, "l": 8},
            "font": {"size": 15},
        },
        margin_t=figure.layout.margin.t + room,
        height=figure.layout.height + room,
    )
    return figure


def headline_of(figure: go.Figure) -> str:
    """Read the sentence that `add_title` gave a figure, unwrapped; empty where it has none."""
    return str((figure.layout.meta or {}).get("headline", ""))


def without_title(figure: go.Figure) -> go.Figure:
    """Copy a figure without its headline."""
    return take_title_off(go.Figure(figure))


@dataclass(frozen=True, slots=True)
class HeadedFigure:
    """A figure for a page that shows its headline as text of its own.

    Attributes:
        headline: What its data say; empty where it has none.
        figure: Without it; never to be changed, since a session keeps it.
    """

    headline: str
    figure: go.Figure


def split_headline(figure: go.Figure) -> HeadedFigure:
    """Take the headline off a new figure."""
    return HeadedFigure(headline_of(figure), take_title_off(figure))


def take_title_off(figure: go.Figure) -> go.Figure:
    """Take the headline and its room off a figure, in place.

    Plotly checks every part of a figure that is copied, which takes longer than to make some.
    """
    if headline_of(figure):
        room = figure.layout.meta["room"]
        change_layout(
            figure,
            title=None,
            margin_t=figure.layout.margin.t - room,
            height=figure.layout.height - room,
            meta=None,
        )
    return figure


def figure_csv(figure: go.Figure) -> str:
    """Write every mark of a figure as CSV.

    Returns:
        The columns ``series,x,y,value``: one row a mark, or a cell of a heatmap; the headings of x
        and y are the axes' titles where they have one. Lines of help, such as the identity line,
        are left out with everything else that has no hover text.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    layout = figure.layout
    x_title = (layout.xaxis.title.text or "x").replace(_LINE_BREAK, " ")
    axes = x_title, (layout.yaxis.title.text or "y").replace(_LINE_BREAK, " ")
    writer.writerow(("series", *axes, "value"))
    for trace in figure.data:
        if trace.hoverinfo != "skip":
            writer.writerows(tuple(map(_cell, row)) for row in _rows(trace))
    return out.getvalue()


def _rows(trace: Any) -> Iterator[tuple[object, ...]]:
    name = trace.name or ""
    if trace.type == "heatmap":
        for y, row in zip(trace.y, trace.z, strict=True):
            yield from ((name, x, y, _plain(z)) for x, z in zip(trace.x, row, strict=True))
        return
    xs = trace.x if trace.x is not None else [name] * len(trace.y)
    for x, y in zip(xs, trace.y, strict=True):
        yield name, _plain(x), _plain(y), ""


def _cell(value: object) -> object:
    """Names stand in a figure as HTML; in a table they are text again, and no formula."""
    return escape_formula(unescape(value)) if isinstance(value, str) else value


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
