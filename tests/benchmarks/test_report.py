from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.page import ratio_figure, write_page
from benchmarks.report import headline, markdown
from benchmarks.results import read_results
from tests.helpers.bench_results import entry, model, results, two_models


def test_the_quickest_peer_is_another_one_for_each_model() -> None:
    net_a, net_b = two_models().models
    assert net_a.peers_with_times("float32")[0].tool == "fast"
    assert net_b.peers_with_times("float32")[0].tool == "slow"


def test_mean_over_models_is_of_ours_over_the_quickest() -> None:
    found = two_models().mean_to_best("float32")
    assert found is not None
    mean, names = found
    assert mean.value == pytest.approx(1.0)  # a half and two
    assert names == ("net_a", "net_b")


def test_a_model_that_ours_cannot_convert_is_named_as_left_out() -> None:
    bench = results(
        *two_models().models,
        model("net_c", entry("ours", "float32", failure="no"), entry("fast", "float32", 1.0)),
    )
    assert headline(bench, "float32").endswith("Left out: net_c.")


def test_a_failed_peer_is_a_row_that_says_so() -> None:
    page = markdown(two_models())
    assert "| `net_a` | slow | – | failed | – | – | – | – |" in page
    assert "- `net_a`, slow, float32: OpError: no kernel for Frobnicate" in page


def test_rows_have_latencies_ratios_and_counts() -> None:
    page = markdown(two_models())
    assert (
        "| `net_b` | 4.00 | 8.00 | 2.00 | 0.50 (0.50–0.50) | 2.00 (2.00–2.00) | 2.00 (2.00–2.00) |"
    ) in page
    assert "| `net_b` | fast | 5.5 | 2.0 | 1.5e-06 | 2 | 0 | 7 |" in page
    assert "one scale a tensor" in page


def test_nothing_timed_is_said() -> None:
    assert headline(two_models(), "int8").startswith("No model was timed")


def test_results_come_back_as_written(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    two_models().write(file)
    assert read_results(file) == two_models()


def test_figure_shows_only_what_was_timed() -> None:
    traces = {trace.name: trace for trace in ratio_figure(two_models(), "float32").data}
    assert list(traces["ours ÷ fast"].y) == ["net_a", "net_b"]
    assert list(traces["ours ÷ slow"].y) == ["net_b"]
    assert list(traces["ours ÷ slow"].x) == [2.0]


def test_page_needs_no_network(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    write_page(two_models(), file)
    page = file.read_text()
    assert 'src="http' not in page
    assert "<h1>The bench</h1>" in page
    assert "Geometric mean" in page
    assert "<li>net_a, slow, float32: OpError: no kernel for Frobnicate</li>" in page
