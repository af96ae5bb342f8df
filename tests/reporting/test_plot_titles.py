from __future__ import annotations

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from engine.comparison.latency import Latency, LatencySamples
from engine.reporting import plots
from engine.reporting.plots import titles
from engine.tflite.operator_times import OperatorTime
from tests.helpers.factories import artifact, latency, manifest, operator_time, profiled

NAN = np.nan


@pytest.mark.parametrize(
    ("front", "drawn", "said"),
    [
        ([], 0, "No variant"),
        (["a"], 1, "a is the only variant drawn"),
        (["a"], 3, "a is the best trade-off"),
        (["a", "b"], 2, "Every variant is a best trade-off"),
        (["a", "b"], 4, "Best trade-offs of latency and error: a and b; two are behind"),
        (["a", "b", "c", "d"], 5, "Best trade-offs of latency and error: four of 5; one is behind"),
    ],
)
def test_trade_off(front: list[str], drawn: int, said: str) -> None:
    assert titles.trade_off(front, drawn).startswith(said)


def test_memory_and_loads() -> None:
    assert titles.memory({"float32": 46e6, "int8": 15e6}) == (
        "int8 takes the least memory at its peak: 15.0\xa0MB, 32.6\xa0% of float32"
    )
    assert titles.memory({"int8": 15e6, "uint8": 15.1e6, "float32": 46e6}).startswith(
        "int8 and uint8 take the least memory at their peaks: about 15.0\xa0MB, "
    )
    assert titles.memory({"int8": 15e6}) == "int8 takes the least memory at its peak: 15.0\xa0MB"
    assert titles.memory({"int8": 15e6, "uint8": 15e6}).startswith("No difference found")
    assert titles.memory({}) == "No memory is measured"
    assert titles.loads({"int8": 2.0, "float32": 9.0}) == "Files load in 2.0\xa0ms to 9.0\xa0ms"
    assert titles.loads({"int8": 2.0}) == "Files load in 2.0\xa0ms"
    assert titles.loads({}) == "No load is timed"


def test_logits() -> None:
    assert titles.distribution({"int8": 0.3, "float16": 0.1}) == (
        "Half of the logits move by more than 0.3 in int8, 0.1 in float16"
    )
    assert titles.distribution({"int8": 0.3}).endswith("in int8")
    assert titles.distribution({"int8": 0.3, "float32": 3e-7}).endswith("hardly at all in float32")
    assert titles.distribution({"int8": 0.0}).startswith("No difference found")
    assert titles.distribution({}).startswith("No variant")
    far = np.array([0.3, -0.3, 0.1])
    assert titles.scatter("int8", far) == (
        "95\xa0% of int8's logits are within 0.300 of the line, all within 0.300"
    )
    assert titles.scatter("int8", far * 0).startswith("No difference found")
    assert "no logits" in titles.scatter("int8", far[:0])


def test_heatmap() -> None:
    names, columns = ["a.jpg", "b.jpg"], ["int8", "uint8"]
    values = np.array([[0.1, 0.2], [0.4, 0.3]])
    assert titles.heatmap(names, columns, values) == "b.jpg moves most, by 0.400 (rms) in int8"
    assert titles.heatmap(names, columns, values * 0).startswith("No difference found")
    values[1, 1] = NAN
    assert titles.heatmap(names, columns, values).startswith("NaN or Inf on b.jpg")
    assert titles.heatmap(names, columns, values * NAN).startswith("No picture")


def test_margins() -> None:
    names = ["a", "b", "c"]
    reference = np.array([3.0, 1.0, 0.5])

    def said(kept: np.ndarray, *flipped: bool) -> str:
        return titles.margins("int8", names, reference, kept, np.array(flipped))

    assert said(np.array([2.5, 0.25, -0.1]), False, False, True) == (
        "int8 changes 1 answer of 3. Closest call: b, with 0.25 of its 1.00 margin left"
    )
    assert said(reference, False, False, False).startswith(
        "int8 changes no answer of 3. Closest call: c,"
    )
    assert said(reference * 0, True, True, True) == "int8 changes 3 answers of 3", "ties flip, too"
    assert "no answers" in said(reference * NAN, False, False, False)


def test_confusion() -> None:
    assert titles.confusion("int8", {}) == "int8 changes no answer"
    assert titles.confusion("int8", {("lynx", "tabby"): 1}) == (
        "int8 changes one answer, lynx to tabby"
    )
    assert titles.confusion("int8", {("lynx", "tabby"): 2, ("a", "b"): 1}) == (
        "int8 changes three answers, two of them from lynx to tabby"
    )
    assert "no two alike" in titles.confusion("int8", {("lynx", "tabby"): 1, ("a", "b"): 1})


def with_threads(timed: Latency, threads: int) -> Latency:
    return replace(timed, threads=threads)


def test_latency_and_threads() -> None:
    one = latency({"float32": 8.0, "int8": 4.0})
    assert titles.latency(one) == (
        "int8 answers in 4.0\xa0ms, the fastest of 2; float32 takes 2.0\xa0× as long"
    )
    assert titles.latency(latency({"int8": 4.0})) == "int8 answers in 4.0\xa0ms"
    assert titles.latency(latency({"int8": 4.0, "uint8": 4.1})).startswith("No difference found")
    tied = latency({"float32": 8.0, "int8": 4.0, "uint8": 3.99})
    assert titles.latency(tied) == (
        "int8 and uint8 answer in about 4.0\xa0ms, the fastest of 3; float32 takes 2.0\xa0× as long"
    )
    two = with_threads(latency({"float32": 4.0, "int8": 3.2}), 2)
    assert titles.threads([one, two]) == (
        "With 2 threads instead of 1, float32 is 2.0\xa0× as fast, int8 1.2\xa0×"
    )
    assert titles.threads([one]) == "No model's calls vary"
    unsteady = replace(one, entries=(*one.entries, LatencySamples("uint8", (3.0, 4.0, 6.0))))
    assert titles.threads([unsteady]) == "uint8's calls vary most, from 3.0\xa0ms to 6.0\xa0ms"
    assert titles.threads([one, with_threads(one, 2)]).endswith("no model is faster")
    assert titles.threads([]) == "Nothing is timed"


def test_files() -> None:
    assert titles.sizes({"float32": 4_000_000, "int8": 1_000_000}, 4_000_000) == (
        "int8 is the smallest file: 1.0\xa0MB, 25.0\xa0% of float32"
    )
    tied = {"float32": 4_000_000, "int8": 1_010_000, "uint8": 1_000_000}
    assert titles.sizes(tied, 4_000_000) == (
        "int8 and uint8 are the smallest: about 1.0\xa0MB, 25.0\xa0% of float32"
    )
    assert titles.sizes({"a": 100, "b": 101}, 100).startswith("No difference found")
    counts = {"float32": {"CONV_2D": 2}, "int8": {"CONV_2D": 2, "QUANTIZE": 1}}
    assert titles.operators(counts) == ("int8 has 3 operators, float32 2: 1 QUANTIZE more")
    assert titles.operators({"a": {"ADD": 2}, "b": {"ADD": 2}}) == "Every variant has 2 operators"
    assert titles.ladder(manifest().stages[1:], 1e-4) == (
        "The float steps agree; int8 deviates most, by 5.0\xa0% of the largest logit"
    )
    assert titles.ladder(manifest().stages[1:3], 1e-4) == "Each step answers like the one before"


MARGINS = plots.margin_loss(
    ["a.jpg", "b.jpg"], np.array([3.0, 1.0]), np.array([2.5, -0.5]), np.array([False, True]), "int8"
)


def test_a_title_can_be_taken_off_for_a_page_that_shows_it() -> None:
    bare = plots.without_title(MARGINS)
    assert plots.headline_of(MARGINS).startswith("int8 changes 1 answer of 2")
    assert MARGINS.layout.title.text.replace("<br>", " ") == plots.headline_of(MARGINS)
    assert bare.layout.title.text is None
    assert bare.layout.height < MARGINS.layout.height
    assert plots.headline_of(bare) == ""
    assert plots.without_title(go.Figure()).layout.title.text is None


def test_margins_by_hand() -> None:
    kept, flipped, line = MARGINS.data
    assert (list(kept.x), list(kept.y)) == ([3.0], [0.5])
    assert (list(flipped.x), list(flipped.y)) == ([1.0], [1.5])
    assert line.hoverinfo == "skip"
    broken = plots.margin_loss(["a"], np.array([NAN]), np.array([1.0]), np.array([False]), "int8")
    assert "1 pictures are NaN or Inf" in broken.layout.annotations[-1].text


def test_changed_classes_by_hand() -> None:
    figure = plots.changed_classes({("lynx", "tabby"): 2, ("cat", "tabby"): 1}, "int8")
    assert list(figure.data[0].y) == ["lynx", "cat"]
    assert figure.data[0].z.tolist() == [[2.0], [1.0]]
    many = {(f"class {i}", "tabby"): 1 for i in range(25)}
    assert "and 5 more pairs" in plots.changed_classes(many, "int8").layout.annotations[0].text
    assert len(plots.changed_classes({}, "int8").data) == 0


def test_violins_and_operators_by_hand() -> None:
    one = latency({"float32": 8.0, "int8": 4.0})
    alone = plots.latency_violins([one])
    assert [trace.name for trace in alone.data] == ["float32", "int8"]
    both = plots.latency_violins([with_threads(one, 2), one])
    assert [trace.name for trace in both.data][:3] == [
        "float32, 1 thread",
        "int8, 1 thread",
        "float32, 2 threads",
    ]
    assert list(both.layout.yaxis.categoryarray)[-1] == "float32, 1 thread"
    assert plots.latency_violins([latency({"a": 1.0, "b": 99.0})]).layout.xaxis.type == "log"
    counts = plots.operator_counts([artifact("float32"), artifact("int8")])
    assert counts.data[0].z.tolist() == [[2.0, 2.0]]


QUICK = operator_time("CONV_2D", "Convolution (NHWC, F32) IGEMM", 3000.0)
SLOW = operator_time("DEPTHWISE_CONV_2D", "", 1000.0)


def test_operator_times_by_hand() -> None:
    timed = profiled(
        latency({"original": 9.0, "float32": 8.0, "int8": 4.0}),
        {"float32": (QUICK, QUICK), "int8": (QUICK, SLOW)},
    )
    figure = plots.operator_times(timed)
    cells, written = figure.data
    assert list(cells.y) == ["float32", "int8"]
    assert list(cells.x) == ["convolution", "depthwise<br>layer"]
    assert list(written.text) == ["6.00", "3.00", "1.00 ▲"]
    assert list(written.y) == ["float32", "int8", "int8"]
    assert cells.customdata[1][1] == (
        "One depthwise layer, 1.0\xa0ms, 25.0\xa0% of the variant's time; 1.0\xa0ms without XNNPACK"
    )
    assert "▲ not by XNNPACK" in figure.layout.xaxis.title.text
    many = tuple(operator_time(f"KIND_{n}", "x", 10.0 + n) for n in range(12))
    cells, _ = plots.operator_times(profiled(latency({"a": 1.0}), {"a": many})).data
    assert len(cells.x) == 6
    assert cells.x[-1] == "other"
    assert len(plots.operator_times(latency({"a": 1.0})).data) == 0


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({"original": ()}, "No operator is timed"),
        (
            {"original": (), "float32": (QUICK, QUICK)},
            "Two convolutions take 100.0\xa0% of float32's time; XNNPACK runs nearly everything in "
            "every variant",
        ),
        (
            {"float32": (QUICK,), "int8": (QUICK, SLOW)},
            "One convolution takes 100.0\xa0% of float32's time; in int8, XNNPACK leaves 25.0\xa0% "
            "to slower kernels",
        ),
        (
            {"float32": (QUICK,), "int16x8": (SLOW,)},
            "One convolution takes 100.0\xa0% of float32's time; int16x8 runs without XNNPACK, the "
            "fast kernels",
        ),
    ],
)
def test_operator_times(times: dict[str, tuple[OperatorTime, ...]], said: str) -> None:
    assert titles.operator_times(times) == said


def test_figures_as_csv() -> None:
    assert plots.figure_csv(MARGINS).splitlines() == [
        "series,margin of the original (right is more certain),"
        "margin lost in int8 (lower is better),value",
        "int8,3.0,0.5,",
        "flipped,1.0,1.5,",
    ]
    cells = plots.figure_csv(plots.changed_classes({("lynx", "tabby"): 2}, "int8"))
    assert cells.splitlines()[1] == "int8,tabby,lynx,2.0"
    timed = plots.figure_csv(plots.latency_violins([latency({"int8": 4.0})]))
    assert timed.splitlines()[1] == "int8,4.0,int8,"
    assert "class" not in plots.figure_csv(plots.size_bars({"int8": 5_000_000}, 18_000_000))
