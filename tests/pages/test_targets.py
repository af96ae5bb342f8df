"""The page Targets, with a run made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    matrix = next(t.value for t in test.dataframe if "figures are" in t.value.columns)
    edge = matrix[matrix["target"] == "Coral Edge TPU"].iloc[0]
    assert (edge["figures are"], edge["float32"], edge["int8"]) == (
        "by rule",
        "refused",
        "whole",
    )
    assert any(button.label == "Ask the targets" for button in test.button)
    next(box for box in test.selectbox if box.label == "Target").set_value("Coral Edge TPU").run()
    assert not test.exception
    shown = " ".join(element.value for element in test.markdown)
    assert "Operators compute in float32, not in 8 bits" in shown
