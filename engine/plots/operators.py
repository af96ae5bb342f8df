"""Which operators each file is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from engine.plots import titles
from engine.plots.frame import add_cells, framed, noted, titled, whole_numbers
from engine.tflite.artifact import Artifact

_MOST = 18
_ROW = 28


def operator_counts(artifacts: Sequence[Artifact]) -> go.Figure:
    """How often each operator occurs in each file.

    Args:
        artifacts: The files.

    Returns:
        A heatmap, the most frequent operator at the top; an operator that a file lacks is an empty
        cell.
    """
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
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(side="top", showgrid=False)
    framed(figure, x="", y="", height=110 + _ROW * max(len(shown), 2))
    rest = len(most) - len(shown)
    noted(figure, [f"and {rest} more operators"] if rest else [])
    return titled(figure, titles.operators({a.variant: a.operators for a in artifacts}))
