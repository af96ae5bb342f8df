from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from engine.comparison.accuracy import accuracy
from engine.quantization.records import MixedPoint
from engine.reporting import plots
from engine.reporting.plots import TradeOffPoint
from engine.reporting.plots.frame import CLEAR, LINE
from engine.reporting.plots.latency import bar_end
from engine.reporting.plots.palette import style_of
from engine.reporting.plots.trade_off import merge_labels
from tests.helpers.factories import LOGITS, latency, manifest, memory_use

POINTS = [
    TradeOffPoint("float32", 8.0, 18_000_000, 0.0, 1.0),
    TradeOffPoint("int8", 4.0, 5_000_000, 0.12, 0.97),
    TradeOffPoint("uint8", 4.01, 5_000_000, 0.12, 0.97),
    TradeOffPoint("dynamic_range", 9.0, 5_000_000, 0.05, 0.98),
]
SIZES = {"float32": 18_000_000, "int8": 5_000_000}


def traces(figure: go.Figure) -> dict[str, Any]:
    return {trace.name or (trace.y[0] if len(trace.y) else ""): trace for trace in figure.data}


def texts(figure: go.Figure) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


FIGURES = {
    "trade_off": plots.trade_off(POINTS),
    "trade_off_by_size": plots.trade_off(POINTS, ("size", "error")),
    "latency_bars": plots.latency_bars(latency({"float32": 8.0, "int8": 4.0})),
    "latency_samples": plots.latency_samples(latency({"float32": 8.0, "int8": 4.0})),
    "size_bars": plots.size_bars(SIZES, 18_000_000),
    "difference_distribution": plots.difference_distribution({"int8": np.linspace(-1, 1, 99)}),
    "logit_scatter": plots.logit_scatter(LOGITS, LOGITS + 0.1, "int8"),
    "hop_ladder": plots.hop_ladder(manifest().stages),
}


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_named_and_grounds_are_clear(name: str) -> None:
    figure = FIGURES[name]
    assert figure.layout.xaxis.title.text
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("name", ["trade_off", "latency_bars", "size_bars", "latency_samples"])
def test_a_variant_has_its_hue_everywhere(name: str) -> None:
    trace = traces(FIGURES[name])["int8"]
    assert trace.marker.color == style_of("int8").hue


def test_latency_bars_by_hand() -> None:
    figure = plots.latency_bars(latency({"float32": 8.0, "int8": 4.0}, spread=0.5))
    bars = traces(figure)
    assert bars["int8"].x == (4.0,)
    # three samples 2, 4, 6: the quartiles are 3 and 5
    assert (bars["int8"].error_x.array[0], bars["int8"].error_x.arrayminus[0]) == (1.0, 1.0)
    assert "4.0\xa0ms<br>noisy" in texts(figure)
    assert bars["int8"].marker.pattern.shape == "/"
    assert figure.layout.xaxis.range[0] == 0


def test_a_bar_that_dwarfs_the_others_is_cut_and_says_so() -> None:
    assert bar_end([4.0, 8.0, 170.0]) == 8.0
    assert bar_end([4.0, 8.0, 30.0]) == 30.0
    figure = plots.latency_bars(latency({"int8": 4.0, "int16x8": 170.0}))
    assert traces(figure)["int16x8"].x == (170.0,)
    assert 1.2 * 4.0 < figure.layout.xaxis.range[1] < 170.0
    assert texts(figure) == ["4.0\xa0ms", "// 170.0\xa0ms, bar cut ▸"]
    assert "int16x8,170.0," in plots.figure_csv(figure)


def test_size_bars_by_hand() -> None:
    bars = traces(FIGURES["size_bars"])
    assert bars["int8"].x == (5.0,)
    assert bars["int8"].text[0].strip() == "5.0\xa0MB"
    assert "27.8\xa0% of float32" in bars["int8"].hovertemplate


def test_the_front_by_hand() -> None:
    costs = [(1, 5), (2, 6), (3, 1), (3, 2), (4, 1)]
    points = [TradeOffPoint(f"{x} {y}", float(x), 10, float(y), 1.0) for x, y in costs]
    line = plots.trade_off(points).data[0]
    assert list(zip(line.x, line.y, strict=True)) == [(1, 5), (3, 1)]
    assert list(plots.trade_off([]).data[0].x) == []


def test_bars_of_memory_and_load_by_hand() -> None:
    memory = memory_use({"float32": 46e6, "int8": 15e6})
    figure = plots.memory_bars(memory)
    assert traces(figure)["int8"].x == (15.0,)
    assert "32.6\xa0% of float32" in traces(figure)["int8"].hovertemplate
    assert figure.layout.xaxis.title.text == "MB (left is less)"
    loads = traces(plots.load_bars(memory))
    assert (loads["int8"].x, loads["int8"].text) == ((2.0,), (" 2.0\xa0ms",))
    assert "100.0\xa0% of float32" in loads["int8"].hovertemplate


def test_any_two_figures_can_be_drawn() -> None:
    peaks = {"float32": 46e6, "int8": 15e6, "uint8": 15e6}
    points = [replace(p, peak_bytes=peaks.get(p.variant)) for p in POINTS]
    figure = plots.trade_off(points, ("memory", "size"))
    assert figure.layout.xaxis.title.text == "peak memory, MB (left is less)"
    assert figure.layout.yaxis.title.text == "file size, MB (up is smaller)"
    assert (traces(figure)["int8"].x, traces(figure)["int8"].y) == ((15.0,), (5.0,))
    assert "dynamic_range" not in traces(figure)
    assert "dynamic_range: memory not measured" in texts(figure)
    assert "int8, uint8" in texts(figure)
    assert plots.headline_of(figure) == (
        "Best trade-offs of memory and size: int8 and uint8; one is behind"
    )


def test_sizes_of_small_files_are_in_kilobytes() -> None:
    figure = plots.size_bars({"float32": 4_100, "int8": 1_300}, 4_100)
    assert traces(figure)["int8"].x == (1.3,)
    assert figure.layout.xaxis.title.text.startswith("KB")
    small = [TradeOffPoint("int8", None, 1_300, 0.1, 1.0)]
    assert plots.trade_off(small, ("size", "error")).layout.xaxis.title.text.startswith(
        "file size, KB"
    )


def test_coinciding_marks_share_a_label() -> None:
    labels = merge_labels(
        POINTS, lambda point: point.latency_ms or 0, lambda point: point.difference, 12, 0.15
    )
    assert [names for _, _, names in labels] == [["float32"], ["int8", "uint8"], ["dynamic_range"]]
    assert "int8, uint8" in texts(FIGURES["trade_off"])


def test_the_trade_off_says_what_it_cannot_draw() -> None:
    broken = TradeOffPoint("int8", 4.0, 5, math.nan, 0.0)
    slow = TradeOffPoint("uint8", None, 5, 0.1, 0.9)
    found = " ".join(texts(plots.trade_off([POINTS[0], broken, slow])))
    assert "int8: NaN or Inf" in found
    assert "uint8: not timed" in found


def test_a_wide_range_of_latencies_is_logarithmic() -> None:
    wide = [*POINTS, TradeOffPoint("int16x8", 170.0, 5_000_000, 0.1, 0.98)]
    figure = plots.trade_off(wide)
    assert figure.layout.xaxis.type == "log"
    label = next(a for a in figure.layout.annotations if a.text == "int16x8")
    assert label.x == pytest.approx(math.log10(170.0))


def test_the_distribution_sums_to_everything_within_reach() -> None:
    values = np.array([-1.0, 0.0, 0.0, 1.0])
    line = plots.difference_distribution({"int8": values}).data[0]
    assert np.nansum(line.y) == pytest.approx(1)
    assert np.nanmax(line.y) == 0.5
    far, near = np.array([0.3, -0.3, 0.1]), np.array([0.1, 0.0, -0.1])
    assert plots.headline_of(plots.difference_distribution({"int8": far, "float16": near})) == (
        "Half of the logits move by more than 0.3 in int8, 0.1 in float16"
    )
    broken = plots.difference_distribution({"int8": np.array([0.1, np.nan])})
    assert "int8: 1 logits are NaN or Inf" in " ".join(texts(broken))


def test_the_scatter_keeps_what_differs_most() -> None:
    reference = np.zeros((10, 100), np.float32)
    logits = reference.copy()
    logits[3, 7] = 9.0
    dots = plots.logit_scatter(reference, logits, "int8", max_points=50).data[0]
    assert len(dots.x) == 50
    assert 9.0 in dots.y


def test_the_heatmap_shows_its_figures_and_nan() -> None:
    figure = plots.difference_heatmap(["a.jpg", "b.jpg"], ["int8"], np.array([[0.1234], [np.nan]]))
    assert [row[0] for row in figure.data[0].text] == ["0.123", "NaN"]


def test_the_ladder_names_every_hop() -> None:
    figure = FIGURES["hop_ladder"]
    assert [trace.y[0] for trace in figure.data] == [
        "pytorch → onnx",
        "onnx → float32",
        "float32 → int8",
    ]
    assert [trace.text[1] for trace in figure.data] == ["0", "2e-07", "0.05"]


def test_top_logits_by_hand() -> None:
    rows = {"int8": np.array([0.0, 1.0, 9.0]), "uint8": np.array([np.nan, 0, 0])}
    figure = plots.top_logits(["cat", "dog", "owl"], np.array([3.0, 2.0, 1.0]), rows, k=2)
    lines, marks = figure.data
    assert list(lines.y) == ["cat", "dog", "owl"], "the variant's own first answer is added"
    assert list(marks.x) == [0.0, 1.0, 9.0]
    assert "uint8: NaN or Inf" in " ".join(texts(figure))


def test_accuracy_has_a_mark_and_a_whisker_a_model() -> None:
    logits = np.array([[3.0, 0.0], [0.0, 3.0], [3.0, 0.0]], dtype=np.float32)
    truth = np.array([0, 1, 1])
    found = accuracy(logits, truth)
    figure = plots.accuracy_intervals({"original": found, "int8": found})
    assert [trace.y[0] for trace in figure.data] == ["original", "int8"]
    assert figure.data[1].x[0] == pytest.approx(2 / 3)
    whisker = figure.data[1].error_x
    assert whisker.array[0] == pytest.approx(found.top1_interval.high - 2 / 3)
    assert whisker.arrayminus[0] == pytest.approx(2 / 3 - found.top1_interval.low)


def test_reliability_has_a_mark_a_bin_and_tells_of_nan() -> None:
    logits = np.array([[3.0, 0.0], [0.0, 0.1], [np.nan, 0.0]], dtype=np.float32)
    found = accuracy(logits, np.array([0, 0, 0])).reliability
    figure = plots.reliability_curve({"int8": found})
    curve = figure.data[1]
    assert curve.y == (0.0, 1.0)
    assert curve.x[1] == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert curve.customdata[0][0] == 1
    assert "int8: 1 pictures gave NaN or Inf" in figure.layout.annotations[0].text


def test_numbers_of_layers_are_written_where_they_stay_apart_and_always_at_the_chosen_one() -> None:
    rms = {0: 0.10, 1: 0.099, 2: 0.098, 8: 0.05, 50: 0.0}
    points = [MixedPoint(k, (), 4_000_000 + 200_000 * k, r, 0.0, 1.0) for k, r in rms.items()]
    (curve,) = plots.mixed_by_size(points, chosen=1).data
    assert list(curve.text) == ["", "1", "", "8", "50"]


def test_names_from_outside_are_text_in_every_figure() -> None:
    name = "<a href='https://elsewhere.invalid'>click</a>"
    one, flips = np.ones(2), np.array([True, False])
    figures = [
        plots.margin_loss([name, name], one, 0.5 * one, flips, "int8"),
        plots.changed_classes({(name, name): 1}, "int8"),
        plots.difference_heatmap([name, name], ["int8"], np.ones((2, 1))),
    ]
    for figure in figures:
        shown = figure.update_layout(meta=None).to_json()
        assert "click" in shown
        assert "<a" not in shown
        assert "\\u003ca" not in shown


def test_a_label_of_a_crowded_mark_has_a_line_to_it() -> None:
    margins = np.array([1.0, 1.2, 1.4, 10.0])
    names = [f"crowded_{row}.jpg" for row in range(4)]
    figure = plots.margin_loss(names, margins, margins, np.zeros(4, bool), "int8")
    labels = {note.text: note for note in figure.layout.annotations}
    assert (labels[names[0]].xanchor, labels[names[0]].ay) == ("left", -26)
    assert labels[names[0]].arrowcolor == LINE
    assert (labels[names[3]].xanchor, labels[names[3]].ay) == ("right", 0)
    assert labels[names[3]].arrowcolor == CLEAR
