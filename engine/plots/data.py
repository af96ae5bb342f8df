"""What a figure draws, as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from html import unescape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from engine.core.text import defused


def figure_csv(figure: go.Figure) -> str:
    """Every mark of a figure as CSV.

    Args:
        figure: A figure of this package.

    Returns:
        The columns ``series,x,y,z``: one row a mark, or a cell of a heatmap; the headings of x and
        y are the axes' titles where they have one. Lines of help, such as the identity line, are
        left out with everything else that has no hover text.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    x, y = (axis.title.text or name for axis, name in _axes(figure))
    writer.writerow(("series", x, y, "value"))
    for trace in figure.data:
        if trace.hoverinfo != "skip":
            writer.writerows(tuple(map(_cell, row)) for row in _rows(trace))
    return out.getvalue()


def _axes(figure: go.Figure) -> tuple[tuple[Any, str], tuple[Any, str]]:
    return (figure.layout.xaxis, "x"), (figure.layout.yaxis, "y")


def _rows(trace: Any) -> Iterator[tuple[object, ...]]:
    name = trace.name or ""
    if trace.type == "heatmap":
        for y, row in zip(trace.y, trace.z, strict=True):
            yield from ((name, x, y, _plain(z)) for x, z in zip(trace.x, row, strict=True))
        return
    xs = trace.x if trace.x is not None else [name] * len(trace.y)
    for x, y in zip(_values(xs), _values(trace.y), strict=True):
        yield name, _plain(x), _plain(y), ""


def _cell(value: object) -> object:
    """Names stand in a figure as HTML; in a table they are text again, and no formula."""
    return defused(unescape(value)) if isinstance(value, str) else value


def _values(values: Sequence[object]) -> Sequence[object]:
    return list(values)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
