"""Where each variant's time goes, by kind of operator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from engine.comparison.latency import Latency
from engine.core import formats
from engine.core.formats import counted
from engine.reporting.plots import titles
from engine.reporting.plots.frame import add_cells, framed, titled
from engine.tflite.operator_times import KindTime, time_by_kind

_MOST = 6
_LITTLE = 0.02
_ROW = 30
_OTHERS = "other"
LEFT_MARK = "▲"
"""Of a cell whose operators XNNPACK left to TFLite's own kernels."""


def operator_times(latency: Latency) -> go.Figure:
    """Milliseconds of each kind of operator in each variant, as LiteRT's profiler found them.

    Args:
        latency: Timings, some of them with the times of operators.

    Returns:
        A heatmap, a variant a row, the slowest kind on the left, shaded by the kind's share of its
        variant's time; a cell that XNNPACK left to TFLite's own kernels, most of it at least, has a
        mark.
    """
    held = {e.variant: time_by_kind(e.operators) for e in latency.entries if e.operators}
    kinds = _kinds(held)
    cells = [list(_cells(found, kinds).values()) for found in held.values()]
    columns = ["<br>".join(kind.split(" ", 1)) for kind in kinds]
    figure = go.Figure()
    if kinds:
        add_cells(
            figure,
            [[_text(cell) for cell in row] for row in cells],
            z=np.array([[cell.share or np.nan for cell in row] for row in cells], dtype=float),
            x=columns,
            y=list(held),
            name="milliseconds",
            customdata=[[_told(cell) for cell in row] for row in cells],
            zmin=0,
            zmax=1,
            colorscale=[[0, "rgba(100, 116, 139, 0.08)"], [1, "rgba(100, 116, 139, 0.3)"]],
            hovertemplate="%{y}: %{customdata}<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(side="top", showgrid=False)
    marked = any(cell.left > cell.milliseconds / 2 for row in cells for cell in row)
    note = f"ms, {LEFT_MARK} not by XNNPACK" if marked else "ms"
    framed(figure, x=note, y="", height=140 + _ROW * max(len(held), 2))
    return titled(figure, titles.operator_times({e.variant: e.operators for e in latency.entries}))


def _kinds(held: dict[str, tuple[KindTime, ...]]) -> list[str]:
    """Kinds to show: those with the largest share of any variant's time, then all others as one."""
    most: dict[str, float] = {}
    for found in held.values():
        for one in found:
            most[one.kind] = max(most.get(one.kind, 0.0), one.share)
    ordered = sorted(most, key=lambda kind: (-most[kind], kind))
    shown = [kind for kind in ordered if most[kind] >= _LITTLE][: _MOST - 1]
    return shown if len(shown) == len(ordered) else [*shown, _OTHERS]


def _cells(found: tuple[KindTime, ...], kinds: list[str]) -> dict[str, KindTime]:
    shown = {kind: KindTime(kind, 0.0, 0.0, 0, 0.0) for kind in kinds}
    for one in found:
        kind = one.kind if one.kind in shown else _OTHERS
        before = shown[kind]
        shown[kind] = replace(
            before,
            milliseconds=before.milliseconds + one.milliseconds,
            share=before.share + one.share,
            count=before.count + one.count,
            left=before.left + one.left,
        )
    return shown


def _text(cell: KindTime) -> str:
    if cell.count == 0:
        return ""
    mark = f" {LEFT_MARK}" if cell.left > cell.milliseconds / 2 else ""
    digits = 0 if cell.milliseconds >= 100 else 1 if cell.milliseconds >= 10 else 2
    return f"{cell.milliseconds:.{digits}f}{mark}"


def _told(cell: KindTime) -> str:
    if cell.count == 0:
        return "none"
    told = f"{counted(cell.count, cell.kind)}, {formats.milliseconds(cell.milliseconds)}, "
    told += f"{formats.percent(cell.share)} of the variant's time"
    return told + (f"; {formats.milliseconds(cell.left)} without XNNPACK" if cell.left else "")
