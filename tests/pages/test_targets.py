"""The page Targets, with a run made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.portability.catalog import targets
from engine.runs.run import Run
from engine.tasks.targets import ask_targets
from engine.workers.process import Foreground
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import ROOT, opened

PAGE = ROOT / "pages" / "dashboard" / "targets.py"


@pytest.fixture
def run(own_store: Path) -> Run:
    return tiny_run(own_store / "runs" / "tiny")


def test_nothing_is_asked_by_itself(run: Run) -> None:
    test = opened(PAGE)
    assert not test.exception
    assert test.title[0].value == "Where will these files run?"
    assert any(button.label == "Ask the targets" for button in test.button)


def test_the_matrix_says_where_each_variant_runs(run: Run) -> None:
    ask_targets(run, Foreground(), names=("edge-tpu", "old-runtimes"))
    test = opened(PAGE)
    assert not test.exception
    assert test.title[0].value == "int8 runs whole on 2 of 2 targets"
    matrix = next(t.value for t in test.dataframe if "Coral" in t.value.columns)
    assert dict(zip(matrix["variant"], matrix["Coral"], strict=True)) == {
        "float32": "refused",
        "int8": "whole",
    }
    by_rule = next(c.value for c in test.caption if "by rule" in c.value)
    assert "by rule for Coral and Old TFLite." in by_rule
    # A line a variant: however many there are, the columns fit a page of 1440 pixels.
    assert len(matrix.columns) == 1 + len(targets())
    assert {"CPU", "U55-128", "Micro"} < set(matrix.columns)
    assert any(button.label == "Ask the targets" for button in test.button)
    next(box for box in test.selectbox if box.label == "Target").set_value("Coral Edge TPU").run()
    assert not test.exception
    shown = " ".join(element.value for element in test.markdown)
    assert "Operators compute in float32, not in 8 bits" in shown
