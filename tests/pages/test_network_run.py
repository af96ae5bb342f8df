"""A run that was made from a network of a notebook, on the dashboard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.runs.manifest import FILE_NAME
from engine.runs.run import Run
from tests.helpers.app_test import ROOT, SECONDS, dashboard_test
from tests.helpers.tiny_run import tiny_run

CALL = "engine.convert(network, name='Mine', labels=labels)  # with your own network and labels"


@pytest.fixture
def run(own_store: Path) -> Run:
    made = tiny_run(own_store / "runs" / "tiny")
    model = replace(made.manifest.model, name="Mine", weights="network", weights_file=None)
    manifest = replace(made.manifest, model=model, command=CALL)
    (made.folder / FILE_NAME).write_bytes(manifest.to_json())
    return Run.open(made.folder)


def test_details_show_the_call_as_python(run: Run) -> None:
    page = str(ROOT / "pages" / "dashboard" / "run_details.py")
    test = AppTest.from_file(page, default_timeout=SECONDS).run()
    assert not test.exception
    assert test.title[0].value == "Mine from your network, for pictures of 4\xa0×\xa04"
    assert (CALL, "python") in {(block.value, block.language) for block in test.code}


def test_the_first_page_says_who_answers_as_the_original(run: Run) -> None:
    test = dashboard_test().run()
    assert not test.exception
    reference = next(box for box in test.selectbox if box.label == "Baseline")
    assert "the original (your network)" in reference.options
