"""Latency, size, memory and load time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from engine.comparison.latency import Latency, LatencySamples
from engine.comparison.records import FLOAT32, MemoryUse
from engine.core import formats
from engine.core.formats import plural, spell_count
from engine.reporting.plots import titles
from engine.reporting.plots.frame import (
    add_cells,
    add_title,
    change_layout,
    change_x_axis,
    change_y_axis,
    rows_height,
    set_frame,
    set_row_frame,
)
from engine.reporting.plots.palette import NEUTRAL, style_of
from engine.tflite.operator_times import KindTime, time_by_kind

_DWARFING = 5
_LATENCY_AXIS = "median ms (left is faster)"


def latency_bars(latency: Latency) -> go.Figure:
    """Draw the median latency of each model, with its quartiles.

    A bar whose spread is too wide to be trusted is hatched and says so; one that would dwarf the
    others runs to the edge of the plot, with a break, and says so.
    """
    figure = go.Figure()
    end = bar_end([entry.median_ms for entry in latency.entries])
    uncut = [entry for entry in latency.entries if entry.median_ms <= end]
    edge = 1.45 * max((entry.quartiles_ms[1] for entry in uncut), default=end)
    for entry in latency.entries:
        low, high = entry.quartiles_ms
        label = formats.milliseconds(entry.median_ms, entry.pictures)
        label += "" if entry.trusted else ", noisy"
        cut = entry.median_ms > end
        style = style_of(entry.variant)
        figure.add_trace(
            go.Bar(
                name=entry.variant,
                x=[entry.median_ms],
                y=[entry.variant],
                orientation="h",
                marker={
                    "color": style.hue,
                    "pattern": {"shape": "" if entry.trusted else "/"},
                },
                error_x={
                    "array": [high - entry.median_ms],
                    "arrayminus": [entry.median_ms - low],
                    "thickness": 1.5,
                    "color": NEUTRAL,
                    "visible": not cut,
                },
                hovertemplate=f"{entry.variant}<br>median {label}, p90 "
                f"{formats.milliseconds(entry.p90_ms)}<br>{len(entry.samples_ms)} rounds, spread "
                f"{formats.percent(entry.spread)}<extra></extra>",
            )
        )
        figure.add_annotation(**_label(entry, edge, cut=cut))
    change_x_axis(figure, range=[0, edge])
    set_row_frame(figure, rows_height(len(latency.entries)), x=_LATENCY_AXIS)
    return add_title(figure, titles.latency(latency))


def _label(entry: LatencySamples, edge: float, *, cut: bool) -> dict[str, Any]:
    """Describe the figure beside a whisker, or on a bar that is cut."""
    label = formats.milliseconds(entry.median_ms, entry.pictures)
    placed: dict[str, Any] = {"y": entry.variant, "showarrow": False}
    if cut:
        hue = style_of(entry.variant).hue
        inside = {"x": edge, "xanchor": "right", "xshift": -3, "bgcolor": hue}
        return placed | inside | {"text": f"// {label}, bar cut ▸", "font": {"color": "#ffffff"}}
    # Below the figure, since beside it there is no room on a phone.
    label += "" if entry.trusted else "<br>noisy"
    return placed | {
        "x": entry.quartiles_ms[1],
        "xanchor": "left",
        "align": "left",
        "xshift": 6,
        "text": label,
    }


def bar_end(lengths: Sequence[float]) -> float:
    """Find where to cut bars, so that a very long one does not hide the others' differences.

    That is the longest length that is at most ``_DWARFING`` times the next shorter one.
    """
    ordered = sorted(lengths)
    end = ordered[0] if ordered else 1.0
    for length in ordered[1:]:
        if length > _DWARFING * end:
            break
        end = length
    return end


def latency_samples(latency: Latency) -> go.Figure:
    """Draw every timing in the order taken, so that drift and outliers show."""
    figure = go.Figure()
    medians = [entry.median_ms for entry in latency.entries]
    logarithmic = max(medians, default=1) > _DWARFING * min(medians, default=1)
    for entry in latency.entries:
        last = entry.samples_ms[-1]
        style = style_of(entry.variant)
        rounds = list(range(1, len(entry.samples_ms) + 1))
        figure.add_trace(
            go.Scatter(
                x=rounds,
                y=list(entry.samples_ms),
                mode="markers+lines",
                line={"color": style.hue, "width": 1, "dash": style.dash},
                marker={"color": style.hue, "symbol": style.symbol, "size": 5},
                name=entry.variant,
                hovertemplate=f"{entry.variant}, round %{{x}}: %{{y:.2f}} ms<extra></extra>",
            )
        )
        figure.add_annotation(
            x=rounds[-1],
            y=math.log10(last) if logarithmic else last,
            text=entry.variant,
            showarrow=False,
            xanchor="left",
            xshift=6,
            font={"color": style.hue},
        )
    change_y_axis(figure, **({"type": "log"} if logarithmic else {"rangemode": "tozero"}))
    set_frame(figure, x="round", y="latency, ms (down is faster)", height=420)
    return change_layout(figure, margin_r=120)


def size_bars(sizes: Mapping[str, int], float32_bytes: int) -> go.Figure:
    """Draw the file size of each variant, with its share of float32."""
    unit, unit_bytes = formats.size_unit(max(sizes.values(), default=1))
    bars = {
        variant: (size / unit_bytes, formats.megabytes(size), formats.percent(size / float32_bytes))
        for variant, size in sizes.items()
    }
    figure = _plain_bars(bars, f"{unit} (left is smaller)")
    return add_title(figure, titles.sizes(sizes, float32_bytes))


def memory_bars(memory: Mapping[str, MemoryUse]) -> go.Figure:
    """Draw the peak memory of each variant, with its share of float32."""
    peaks = {variant: use.peak_bytes for variant, use in memory.items()}
    unit, unit_bytes = formats.size_unit(max(peaks.values(), default=1))
    base = peaks.get(FLOAT32)
    bars = {
        variant: (
            peak / unit_bytes,
            formats.megabytes(peak),
            formats.percent(peak / base if base else None),
        )
        for variant, peak in peaks.items()
    }
    figure = _plain_bars(bars, f"{unit} (left is less)")
    return add_title(figure, titles.memory(peaks))


def load_bars(memory: Mapping[str, MemoryUse]) -> go.Figure:
    """Draw how long each variant takes to load, with the share of float32."""
    loads = {variant: use.load_ms for variant, use in memory.items()}
    base = loads.get(FLOAT32)
    bars = {
        variant: (load, formats.milliseconds(load), formats.percent(load / base if base else None))
        for variant, load in loads.items()
    }
    figure = _plain_bars(bars, "ms (left is faster)")
    return add_title(figure, titles.loads(loads))


def _plain_bars(bars: Mapping[str, tuple[float, str, str]], x: str) -> go.Figure:
    """Draw a bar a variant, of a length, with a label and with its share of float32."""
    figure = go.Figure()
    for variant, (length, label, share) in bars.items():
        figure.add_trace(
            go.Bar(
                name=variant,
                x=[length],
                y=[variant],
                orientation="h",
                marker={"color": style_of(variant).hue},
                text=[f" {label}"],
                textposition="outside",
                cliponaxis=False,
                hovertemplate=f"{variant}<br>{label}, {share} of float32<extra></extra>",
            )
        )
    change_x_axis(figure, range=[0, max((bar[0] for bar in bars.values()), default=1) * 1.4])
    return set_row_frame(figure, rows_height(len(bars)), x=x)


_WIDE = 8.0
_ROW = 46
_STRENGTH = (1.0, 0.55, 0.35, 0.2)


def latency_violins(timings: Sequence[Latency]) -> go.Figure:
    """Draw how the timings of each model are spread, a violin a number of threads.

    More threads are paler; the axis is logarithmic where medians differ by more than a factor of 8.
    """
    ordered = sorted(timings, key=lambda timed: timed.threads)
    names = list(dict.fromkeys(entry.variant for timed in ordered for entry in timed.entries))

    def row_name(variant: str, timed: Latency) -> str:
        several = len(ordered) > 1
        return f"{variant}, {plural(timed.threads, 'thread')}" if several else variant

    figure = go.Figure()
    for strength, timed in zip(_STRENGTH, ordered, strict=False):
        for entry in timed.entries:
            row = row_name(entry.variant, timed)
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
    change_x_axis(figure, **({"type": "log", "dtick": 1} if wide else {"rangemode": "tozero"}))
    rows = [
        row_name(name, timed) for name in names for timed in ordered if timed.of(name) is not None
    ]
    change_y_axis(figure, categoryorder="array", categoryarray=rows[::-1], showgrid=False)
    change_layout(figure, violingap=0.1, violinmode="overlay")
    height = 100 + _ROW * max(len(rows), 2)
    set_frame(figure, x="one call, ms (left is faster)", y="", height=height)
    return add_title(figure, titles.threads(ordered))


_MOST = 6
_LITTLE = 0.02
_ROW_PIXELS = 30
_OTHERS = "other"
LEFT_MARK = "▲"
"""Of a cell whose operators XNNPACK left to TFLite's own kernels."""


def operator_times(latency: Latency) -> go.Figure:
    """Draw milliseconds of each kind of operator in each variant, by LiteRT's profiler.

    A cell is shaded by its share of the variant's time; one that XNNPACK left to TFLite's own
    kernels, most of it at least, has a mark.
    """
    held = {e.variant: time_by_kind(e.operators) for e in latency.entries if e.operators}
    kinds = _kinds(held)
    cells = [list(_cells(times, kinds).values()) for times in held.values()]
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
            customdata=[[_description(cell) for cell in row] for row in cells],
            zmin=0,
            zmax=1,
            colorscale=[[0, "rgba(100, 116, 139, 0.08)"], [1, "rgba(100, 116, 139, 0.3)"]],
            hovertemplate="%{y}: %{customdata}<extra></extra>",
        )
    change_x_axis(figure, side="top", showgrid=False)
    marked = any(cell.left > cell.milliseconds / 2 for row in cells for cell in row)
    note = f"ms, {LEFT_MARK} not by XNNPACK" if marked else "ms"
    set_row_frame(figure, 140 + _ROW_PIXELS * max(len(held), 2), x=note)
    return add_title(
        figure, titles.operator_times({e.variant: e.operators for e in latency.entries})
    )


def _kinds(held: dict[str, tuple[KindTime, ...]]) -> list[str]:
    """Choose the kinds with the largest share of any variant's time; all others are one."""
    most: dict[str, float] = {}
    for times in held.values():
        for time in times:
            most[time.kind] = max(most.get(time.kind, 0.0), time.share)
    ordered = sorted(most, key=lambda kind: (-most[kind], kind))
    shown = [kind for kind in ordered if most[kind] >= _LITTLE][: _MOST - 1]
    return shown if len(shown) == len(ordered) else [*shown, _OTHERS]


def _cells(times: tuple[KindTime, ...], kinds: list[str]) -> dict[str, KindTime]:
    shown = {kind: KindTime(kind, 0.0, 0.0, 0, 0.0) for kind in kinds}
    for time in times:
        kind = time.kind if time.kind in shown else _OTHERS
        before = shown[kind]
        shown[kind] = replace(
            before,
            milliseconds=before.milliseconds + time.milliseconds,
            share=before.share + time.share,
            count=before.count + time.count,
            left=before.left + time.left,
        )
    return shown


def _text(cell: KindTime) -> str:
    if cell.count == 0:
        return ""
    mark = f" {LEFT_MARK}" if cell.left > cell.milliseconds / 2 else ""
    digits = 0 if cell.milliseconds >= 100 else 1 if cell.milliseconds >= 10 else 2
    return f"{cell.milliseconds:.{digits}f}{mark}"


def _description(cell: KindTime) -> str:
    if cell.count == 0:
        return "none"
    text = f"{spell_count(cell.count, cell.kind)}, {formats.milliseconds(cell.milliseconds)}, "
    text += f"{formats.percent(cell.share)} of the variant's time"
    return text + (f"; {formats.milliseconds(cell.left)} without XNNPACK" if cell.left else "")
