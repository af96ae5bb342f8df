"""The stock lowering against ours."""

from __future__ import annotations

from collections import Counter

import plotly.graph_objects as go

from engine.core import formats
from engine.core.types import LoweringName
from engine.palette import style_of
from engine.plots.frame import LINE, framed, noted, rows_height
from engine.tasks.lowerings import Lowerings

_LOWERINGS: tuple[LoweringName, ...] = ("stock", "nhwc")
_STRENGTH = {"stock": 0.4, "nhwc": 1.0}
_MOST_OPERATORS = 10


def lowering_latency(lowerings: Lowerings) -> go.Figure:
    """Median latency of each variant under each lowering.

    Args:
        lowerings: The two sides.

    Returns:
        Horizontal bars from 0 with quartiles; a variant keeps its hue, the stock side is pale.
    """
    figure = go.Figure()
    notes, longest, rows = [], 0.0, 0
    for variant in lowerings.variants:
        for name in _LOWERINGS:
            entry = lowerings.latency_of(variant, name)
            if entry is None:
                notes.append(f"{variant}, {name}: could not be made")
                continue
            low, high = entry.quartiles_ms
            label = formats.milliseconds(entry.median_ms, entry.pictures)
            label += "" if entry.trusted else ", unsteady"
            longest, rows = max(longest, high), rows + 1
            figure.add_trace(
                go.Bar(
                    x=[entry.median_ms],
                    y=[f"{variant}, {name}"],
                    orientation="h",
                    marker={"color": style_of(variant).hue, "opacity": _STRENGTH[name]},
                    error_x={
                        "array": [high - entry.median_ms],
                        "arrayminus": [entry.median_ms - low],
                        "thickness": 1.5,
                        "color": LINE,
                    },
                    hovertemplate=f"{variant}, {name}<br>median {label}<br>"
                    f"{len(entry.samples_ms)} rounds, spread {formats.percent(entry.spread)}"
                    "<extra></extra>",
                )
            )
            # Beside the whisker, not under it.
            figure.add_trace(
                go.Scatter(
                    x=[high],
                    y=[f"{variant}, {name}"],
                    mode="text",
                    text=[f"  {label}"],
                    textposition="middle right",
                    cliponaxis=False,
                    hoverinfo="skip",
                )
            )
    # Room for the longest label on a phone.
    room = 1.6 if all(entry.trusted for entry in lowerings.latency.entries) else 2.1
    figure.update_xaxes(range=[0, (longest or 1.0) * room])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    framed(figure, x="median ms (left is quicker)", y="", height=rows_height(rows))
    return noted(figure, notes)


def lowering_operators(lowerings: Lowerings, variant: str) -> go.Figure:
    """How often the two sides use each operator, where the counts differ.

    Args:
        lowerings: The two sides.
        variant: Which file; a side that has none counts nothing.

    Returns:
        A pair of horizontal bars an operator, the largest difference at the top.
    """
    counts = {}
    for name in _LOWERINGS:
        made = lowerings.side(name).artifact(variant)
        counts[name] = Counter(made.operators if made else {})
    both = sorted(set(counts["stock"]) | set(counts["nhwc"]))
    apart = [name for name in both if counts["stock"][name] != counts["nhwc"][name]]
    apart.sort(key=lambda name: -abs(counts["stock"][name] - counts["nhwc"][name]))
    shown = apart[:_MOST_OPERATORS]
    figure = go.Figure()
    for name in _LOWERINGS:
        values = [counts[name][operator] for operator in shown]
        figure.add_trace(
            go.Bar(
                x=values,
                y=shown,
                orientation="h",
                name=name,
                marker={"color": style_of(variant).hue, "opacity": _STRENGTH[name]},
                text=[f" {value} {name}" for value in values],
                textposition="outside",
                cliponaxis=False,
                hovertemplate=f"%{{y}}, {name}: %{{x}}<extra></extra>",
            )
        )
    most = max((counts[name][operator] for name in _LOWERINGS for operator in shown), default=1)
    figure.update_xaxes(range=[0, most * 1.3])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_layout(barmode="group")
    framed(
        figure,
        x="operators (left is fewer)",
        y="",
        height=rows_height(round(1.3 * len(shown))),
    )
    more = len(apart) - len(shown)
    notes = [] if shown else ["Both sides use every operator equally often"]
    return noted(figure, [*notes, *([f"and {more} more operators"] if more else [])])
