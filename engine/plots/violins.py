"""Every timing as a violin, for each number of threads."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from engine.comparison.latency import Latency
from engine.palette import style_of
from engine.plots import titles
from engine.plots.frame import framed, titled

_WIDE = 8.0
_ROW = 46
_STRENGTH = (1.0, 0.55, 0.35, 0.2)


def latency_violins(timings: Sequence[Latency]) -> go.Figure:
    """How the timings of each model are spread, a violin a number of threads.

    Args:
        timings: One record a number of threads, at least one.

    Returns:
        Horizontal violins with their samples' box; more threads are paler, the axis logarithmic
        where the medians differ by more than a factor of 8.
    """
    ordered = sorted(timings, key=lambda timed: timed.threads)
    names = list(dict.fromkeys(entry.variant for timed in ordered for entry in timed.entries))
    figure = go.Figure()
    for strength, timed in zip(_STRENGTH, ordered, strict=False):
        words = f"{timed.threads} thread{'' if timed.threads == 1 else 's'}"
        for entry in timed.entries:
            row = entry.variant if len(ordered) == 1 else f"{entry.variant}, {words}"
            hue = style_of(entry.variant).hue
            figure.add_trace(
                go.Violin(
                    x=list(entry.samples_ms),
                    y=[row] * len(entry.samples_ms),
                    orientation="h",
                    name=row,
                    line={"color": hue, "width": 1.5},
                    fillcolor=hue,
                    opacity=strength,
                    box_visible=True,
                    points=False,
                    spanmode="hard",
                    hoverinfo="x+name",
                )
            )
    medians = [entry.median_ms for timed in ordered for entry in timed.entries]
    wide = bool(medians) and max(medians) > _WIDE * min(medians)
    figure.update_xaxes(**({"type": "log", "dtick": 1} if wide else {"rangemode": "tozero"}))
    rows = [
        name
        if len(ordered) == 1
        else f"{name}, {timed.threads} thread{'' if timed.threads == 1 else 's'}"
        for name in names
        for timed in ordered
        if timed.of(name) is not None
    ]
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1], showgrid=False)
    figure.update_layout(violingap=0.1, violinmode="overlay")
    height = 100 + _ROW * max(len(rows), 2)
    framed(figure, x="one call, ms (left is quicker)", y="", height=height)
    return titled(figure, titles.threads(ordered))
