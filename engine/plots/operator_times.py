"""Where each variant's time goes, by kind of operator."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from engine import formats
from engine.operator_kinds import KindTime, time_by_kind
from engine.plots import titles
from engine.plots.frame import framed, titled
from engine.types import Latency

_MOST = 9
_ROW = 30
_OTHERS = "others"
LEFT_MARK = "▲"
"""Of a cell whose operators XNNPACK left to TFLite's own kernels."""


def operator_times(latency: Latency) -> go.Figure:
    """Milliseconds of each kind of operator in each variant, as LiteRT's profiler found them.

    Args:
        latency: Timings, some of them with the times of operators.

    Returns:
        A heatmap, the slowest kind at the top, shaded by the kind's share of its variant's time;
        a cell that XNNPACK left to TFLite's own kernels, most of it at least, has a mark.
    """
    held = {e.variant: time_by_kind(e.operators) for e in latency.entries if e.operators}
    kinds = _kinds(held)
    cells = {name: _cells(found, kinds) for name, found in held.items()}
    figure = go.Figure()
    if kinds:
        shares = np.array(
            [[cells[name][kind].share or np.nan for name in held] for kind in kinds], dtype=float
        )
        figure.add_trace(
            go.Heatmap(
                z=shares,
                x=list(held),
                y=kinds,
                name="milliseconds",
                text=[[_text(cells[name][kind]) for name in held] for kind in kinds],
                customdata=[[_told(cells[name][kind]) for name in held] for kind in kinds],
                texttemplate="%{text}",
                xgap=2,
                ygap=2,
                zmin=0,
                zmax=1,
                showscale=False,
                hoverongaps=False,
                colorscale=[[0, "rgba(100, 116, 139, 0.08)"], [1, "rgba(100, 116, 139, 0.7)"]],
                hovertemplate="%{x}, %{y}: %{customdata}<extra></extra>",
            )
        )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(side="top", showgrid=False)
    marked = any(
        cell.left > cell.milliseconds / 2 for row in cells.values() for cell in row.values()
    )
    note = f"ms; {LEFT_MARK} without XNNPACK, which makes it slow" if marked else "ms"
    framed(figure, x=note, y="", height=130 + _ROW * max(len(kinds), 2))
    return titled(figure, titles.operator_times({e.variant: e.operators for e in latency.entries}))


def _kinds(held: dict[str, tuple[KindTime, ...]]) -> list[str]:
    """Kinds to show: those with the largest share of any variant's time, then all others as one."""
    most: dict[str, float] = {}
    for found in held.values():
        for one in found:
            most[one.kind] = max(most.get(one.kind, 0.0), one.share)
    ordered = sorted(most, key=lambda kind: (-most[kind], kind))
    return ordered if len(ordered) <= _MOST else [*ordered[: _MOST - 1], _OTHERS]


def _cells(found: tuple[KindTime, ...], kinds: list[str]) -> dict[str, KindTime]:
    shown = dict.fromkeys(kinds, KindTime("", 0.0, 0.0, 0, 0.0))
    for one in found:
        kind = one.kind if one.kind in shown else _OTHERS
        before = shown[kind]
        shown[kind] = KindTime(
            kind=kind,
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
    return f"{cell.milliseconds:#.3g}".rstrip(".") + mark if cell.milliseconds >= 0.01 else "<0.01"


def _told(cell: KindTime) -> str:
    told = f"{cell.count} of them, {formats.milliseconds(cell.milliseconds)}, "
    told += f"{formats.percent(cell.share)} of the variant's time"
    return told + (f"; {formats.milliseconds(cell.left)} without XNNPACK" if cell.left else "")
