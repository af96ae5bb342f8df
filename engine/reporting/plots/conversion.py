"""Error of each stage of a conversion, operators, and the two lowerings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from engine.core import formats
from engine.core.types import LoweringName
from engine.reporting.plots import titles
from engine.reporting.plots.frame import (
    FAULT_MARKS,
    LINE,
    add_cells,
    add_notes,
    add_title,
    change_layout,
    change_x_axis,
    change_y_axis,
    in_red,
    rows_height,
    set_frame,
    set_row_frame,
    whole_numbers,
)
from engine.reporting.plots.palette import NEUTRAL, style_of
from engine.runs.manifest import Stage
from engine.tasks.lowerings import Lowerings
from engine.tflite.artifact import Artifact

_LOWERINGS: tuple[LoweringName, ...] = ("stock", "nhwc")
_STRENGTH = {"stock": 0.4, "nhwc": 1.0}
_MOST_OPERATORS = 10


def lowering_latency(lowerings: Lowerings) -> go.Figure:
    """Draw the median latency of each variant under each lowering; the stock side is pale."""
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
            label += "" if entry.trusted else ", noisy"
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
    change_x_axis(figure, range=[0, (longest or 1.0) * room])
    set_row_frame(figure, rows_height(rows), x="median ms (left is faster)")
    return add_notes(figure, notes)


def lowering_operators(lowerings: Lowerings, variant: str) -> go.Figure:
    """Draw how often the two sides use each operator in a variant, where the counts differ."""
    counts = {}
    for name in _LOWERINGS:
        artifact = lowerings.side(name).artifact(variant)
        counts[name] = Counter(artifact.operators if artifact else {})
    both = sorted(set(counts["stock"]) | set(counts["nhwc"]))
    changed = [name for name in both if counts["stock"][name] != counts["nhwc"][name]]
    changed.sort(key=lambda name: -abs(counts["stock"][name] - counts["nhwc"][name]))
    shown = changed[:_MOST_OPERATORS]
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
    change_x_axis(figure, range=[0, most * 1.3])
    change_y_axis(figure, autorange="reversed", showgrid=False)
    change_layout(figure, barmode="group")
    set_frame(
        figure,
        x="operators (left is fewer)",
        y="",
        height=rows_height(round(1.3 * len(shown))),
    )
    more = len(changed) - len(shown)
    notes = [] if shown else ["Both sides use every operator equally often"]
    return add_notes(figure, [*notes, *([f"and {more} more operators"] if more else [])])


FLOAT_LIMIT = 1e-4
_FLOOR = 1e-8
_CHAIN = ("pytorch", "onnx", "savedmodel")


def hop_ladder(stages: Sequence[Stage]) -> go.Figure:
    """Draw the relative error of each stage against the one before, on a logarithmic axis.

    Stages with nothing to compare with are left out, those that could not be checked are named as
    such. An error of 0 sits at the left edge and says so.
    """
    figure = go.Figure()
    hops = [stage for stage in stages if stage.against is not None]
    names = [f"{stage.against} → {stage.name}" for stage in hops]
    paired = list(zip(hops, names, strict=True))
    for stage, name in paired:
        error = stage.max_rel_error
        text = "not checked" if error is None else formats.small(error)
        shown = max(error or 0.0, _FLOOR)
        if stage.fault is not None:
            text = in_red(FAULT_MARKS[stage.fault])
        hue = NEUTRAL if stage.name in _CHAIN else style_of(stage.name).hue
        symbol = "circle" if stage.name in _CHAIN else style_of(stage.name).symbol
        figure.add_trace(
            go.Scatter(
                name=name,
                x=[_FLOOR, shown],
                y=[name, name],
                mode="lines+markers+text",
                line={"color": hue, "width": 2},
                marker={"color": hue, "symbol": symbol, "size": [0.1, 12]},
                text=["", text],
                textposition="top left" if stage.fault and error else "middle right",
                hovertemplate=f"{name}<br>largest difference "
                f"{formats.small(stage.max_abs_error)}, relative {text}<br>"
                f"{formats.seconds(stage.seconds)}<extra></extra>",
            )
        )
    figure.add_vline(x=FLOAT_LIMIT, line={"color": LINE, "dash": "dot"})
    # As far to the right as the longest text beside the largest error needs on a phone.
    change_x_axis(
        figure, type="log", range=[math.log10(_FLOOR), 3], dtick=4, exponentformat="power"
    )
    short = [stage.name if stage.against == "float32" else name for stage, name in paired]
    change_y_axis(figure, tickvals=names, ticktext=short)
    figure.add_annotation(
        x=math.log10(FLOAT_LIMIT),
        y=1,
        yref="paper",
        yanchor="bottom",
        text="float steps stay left of this",
        showarrow=False,
        font={"size": 11},
    )
    set_row_frame(figure, rows_height(len(hops)), x="relative difference")
    return add_title(figure, titles.ladder(hops, FLOAT_LIMIT))


_MOST = 18
_ROW = 28


def operator_counts(artifacts: Sequence[Artifact]) -> go.Figure:
    """Draw how often each operator occurs in each file, the most frequent at the top."""
    most: dict[str, int] = {}
    for artifact in artifacts:
        for name, count in artifact.operators.items():
            most[name] = max(most.get(name, 0), count)
    shown = sorted(most, key=lambda name: (-most[name], name))[:_MOST]
    names = [artifact.variant for artifact in artifacts]
    counts = np.array(
        [[artifact.operators.get(name, np.nan) for artifact in artifacts] for name in shown],
        dtype=float,
    )
    figure = go.Figure()
    if shown:
        add_cells(
            figure,
            whole_numbers(counts),
            z=counts,
            x=names,
            y=shown,
            name="operators",
            colorscale=[[0, "rgba(100, 116, 139, 0.12)"], [1, "rgba(100, 116, 139, 0.3)"]],
            hovertemplate="%{x}: %{z} %{y}<extra></extra>",
        )
    change_x_axis(figure, side="top", showgrid=False)
    set_row_frame(figure, 110 + _ROW * max(len(shown), 2))
    rest = len(most) - len(shown)
    add_notes(figure, [f"and {rest} more operators"] if rest else [])
    return add_title(figure, titles.operators({a.variant: a.operators for a in artifacts}))
