from __future__ import annotations

import math

import plotly.graph_objects as go
import pytest

from engine.reporting import plots
from engine.reporting.plots.frame import in_red
from engine.reporting.plots.palette import NEUTRAL, style_of
from engine.reporting.text.sweep import enough_sentence
from tests.helpers.sweeps import SETTLED, sweep, with_same_answer

RECIPE = "int8_float_io"


def texts(figure: go.Figure) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


def test_a_line_a_method_with_the_best_in_the_recipes_hue() -> None:
    found = sweep(SETTLED)
    figure = plots.calibration_counts(found, RECIPE)
    lines = {trace.name: trace for trace in figure.data}
    assert list(lines) == ["min_max", "mse"], "the best lies over the others"
    assert lines["mse"].line.color == style_of(RECIPE).hue
    assert lines["min_max"].line.color == NEUTRAL
    assert lines["min_max"].y == pytest.approx((0.25, 0.2045, 0.2, 0.2))
    assert lines["min_max"].error_y.array[0] == pytest.approx(0.1 / math.sqrt(2))
    assert plots.headline_of(figure) == enough_sentence(found, RECIPE)
    assert list(figure.layout.xaxis.ticktext) == ["8", "16", "32", "64"]
    assert figure.layout.yaxis.rangemode == "tozero"
    assert "lower is closer" in figure.layout.yaxis.title.text
    assert set(texts(figure)) == {"<b>mse</b>", "enough"}
    assert figure.layout.showlegend
    (mark,) = figure.layout.shapes
    assert mark.x0 == 1, "16 is the second count"


def test_nothing_is_marked_where_the_most_are_too_few() -> None:
    figure = plots.calibration_counts(sweep({"mse": {8: (0.2,), 16: (0.1,)}}), RECIPE)
    assert not figure.layout.shapes
    assert "enough" not in texts(figure)


def test_nan_is_not_drawn_but_told() -> None:
    found = sweep({"min_max": {8: (0.2,), 16: (0.2,)}, "mse": {8: (0.1,), 16: (math.nan,)}})
    figure = plots.calibration_counts(found, RECIPE)
    lines = {trace.name: trace for trace in figure.data}
    assert len(lines["mse"].y) == 1
    assert "mse: NaN or Inf" in " ".join(texts(figure))


def test_a_line_that_would_dwarf_the_rest_is_told() -> None:
    found = sweep({"min_max": {8: (0.2,), 16: (0.2,)}, "entropy": {8: (1.5,), 16: (1.5,)}})
    figure = plots.calibration_counts(found, RECIPE)
    assert [trace.name for trace in figure.data] == ["min_max"]
    assert "entropy: rms 1.500, beyond this figure" in " ".join(texts(figure))


def test_cells_of_no_use_are_not_drawn_but_told_in_red() -> None:
    found = with_same_answer({"min_max": {8: (3.0,), 16: (0.2,)}}, 8)
    figure = plots.calibration_counts(found, RECIPE)
    (line,) = figure.data
    assert list(line.y) == [0.2]
    assert in_red("min_max: same answer always") in texts(figure)
