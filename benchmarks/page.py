"""The results as one HTML page with Plotly inside, which needs no network."""

from __future__ import annotations

from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.io import to_html

from benchmarks.attempts import PRECISIONS, Precision
from benchmarks.report import failures, headline
from benchmarks.results import OURS, Results
from engine.reporting.plots.frame import add_legend, rows_height, set_frame
from engine.reporting.plots.palette import Style, style_of

# The palette names variants; a converter borrows the looks of one.
_LOOKS = {OURS: "int8_optimized", "litert-torch": "float16", "onnx2tf": "dynamic_range"}


def look_of(tool: str) -> Style:
    """Style a converter by the house palette."""
    return style_of(_LOOKS.get(tool, tool))


def ratio_figure(results: Results, precision: Precision) -> go.Figure:
    """Ours over each peer, one row a model, with intervals; left of 1 ours is quicker.

    Args:
        results: A bench.
        precision: Whose latencies.

    Returns:
        The figure.
    """
    figure = go.Figure()
    for tool in (tool for tool in results.versions if tool != OURS):
        ratios = [(result.model, result.ratio(tool, precision)) for result in results.models]
        pairs = [(model, ratio) for model, ratio in ratios if ratio is not None]
        look = look_of(tool)
        figure.add_trace(
            go.Scatter(
                name=f"ours ÷ {tool}",
                mode="markers",
                x=[ratio.value for _, ratio in pairs],
                y=[model for model, _ in pairs],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [ratio.high - ratio.value for _, ratio in pairs],
                    "arrayminus": [ratio.value - ratio.low for _, ratio in pairs],
                    "thickness": 1.5,
                },
                marker={"color": look.hue, "symbol": look.symbol, "size": 10},
                hovertemplate="%{y}: %{x:.2f}<extra></extra>",
            )
        )
    figure.add_vline(x=1, line={"color": "rgba(128, 138, 158, 0.7)", "dash": "dash"})
    set_frame(
        figure,
        x=f"{precision} latency, ours ÷ peer (left of 1 is better)",
        y="",
        height=_height(results),
    )
    return _one_row_a_model(figure, results)


def latency_figure(results: Results, precision: Precision) -> go.Figure:
    """Every sample's milliseconds as a box, one row a model.

    Args:
        results: A bench.
        precision: Whose latencies.

    Returns:
        The figure.
    """
    figure = go.Figure()
    for tool in results.versions:
        entries = [(result.model, result.entry(tool, precision)) for result in results.models]
        timed = [(model, entry) for model, entry in entries if entry and entry.samples_ms]
        figure.add_trace(
            go.Box(
                name=tool,
                orientation="h",
                x=[
                    sample for _, entry in timed for rounds in entry.samples_ms for sample in rounds
                ],
                y=[model for model, entry in timed for rounds in entry.samples_ms for _ in rounds],
                marker={"color": look_of(tool).hue, "size": 3},
                line={"width": 1},
            )
        )
    set_frame(
        figure,
        x=f"{precision} latency in ms, one thread (less is better)",
        y="",
        height=_height(results),
    )
    figure.update_xaxes(type="log", dtick="D2")
    figure.update_layout(boxmode="group")
    return _one_row_a_model(figure, results)


def write_page(results: Results, file: Path) -> None:
    """Write the page.

    Args:
        results: A bench.
        file: Where to.
    """
    parts = []
    for precision in PRECISIONS:
        text = escape(headline(results, precision)).replace("**", "")
        parts.append(f"<h2>{precision}</h2><p>{text}</p>")
        if not any(result.peers_with_times(precision) for result in results.models):
            continue
        for draw in (ratio_figure, latency_figure):
            parts.append(to_html(draw(results, precision), include_plotlyjs=False, full_html=False))
    lines = (escape(line.removeprefix("- ").replace("`", "")) for line in failures(results))
    parts.append("<h2>What failed</h2><ul>" + "".join(f"<li>{line}</li>" for line in lines))
    parts.append("</ul>")
    file.write_text(_PAGE.format(made_at=escape(results.made_at), body="\n".join(parts), js=_js()))


def _one_row_a_model(figure: go.Figure, results: Results) -> go.Figure:
    names = [result.model for result in results.models]
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], automargin=True)
    return add_legend(figure)


def _height(results: Results) -> int:
    return rows_height(len(results.models))


def _js() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Quantization Lab: the bench</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light; }}
body {{ font: 16px/1.5 Inter, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }}
</style><script>{js}</script></head><body>
<h1>The bench</h1><p>Made {made_at}. Figures and raw samples: results.json; tables: results.md.</p>
{body}
</body></html>
"""
