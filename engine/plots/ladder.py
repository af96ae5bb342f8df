"""The hop ladder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from engine.core import formats
from engine.palette import NEUTRAL, style_of
from engine.plots import titles
from engine.plots.frame import FAULT_MARKS, LINE, framed, in_red, rows_height, titled
from engine.runs.manifest import Stage

FLOAT_LIMIT = 1e-4
_FLOOR = 1e-8
_CHAIN = ("pytorch", "onnx", "savedmodel")


def hop_ladder(stages: Sequence[Stage]) -> go.Figure:
    """Relative error of each hop, on a logarithmic axis.

    Args:
        stages: The stages of a conversion; those with nothing to compare with are left out, those
            that could not be checked are named as such.

    Returns:
        One row a hop, the first at the top; an error of 0 sits at the left edge and says so.
    """
    figure = go.Figure()
    hops = [stage for stage in stages if stage.against is not None]
    names = [f"{stage.against} → {stage.name}" for stage in hops]
    for stage, name in zip(hops, names, strict=True):
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
    figure.update_xaxes(
        type="log", range=[math.log10(_FLOOR), 0.7], dtick=2, exponentformat="power"
    )
    figure.add_annotation(
        x=math.log10(FLOAT_LIMIT),
        y=1,
        yref="paper",
        yanchor="bottom",
        text="float steps stay left of this",
        showarrow=False,
        font={"size": 11},
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    framed(
        figure,
        x="largest difference ÷ largest logit",
        y="",
        height=rows_height(len(hops)),
    )
    return titled(figure, titles.ladder(hops, FLOAT_LIMIT))
