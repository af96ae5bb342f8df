"""Files from elsewhere on the pages, with a run made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runs.run import Run
from engine.tasks.add_file import add_file
from engine.workers.process import Foreground
from tests.helpers.tiny_run import SIDE, tiny_run
from tests.helpers.tiny_tflite import reshape_file
from tests.pages.test_pages import ROOT, opened, settled


@pytest.fixture
def run(own_store: Path, catalog: None) -> Run:
    return tiny_run(own_store / "runs" / "tiny")


def test_a_file_is_uploaded_named_added_and_removed(run: Run, tmp_path: Path) -> None:
    file = reshape_file(tmp_path / "their model.tflite", (1, SIDE, SIDE, 3))
    test = opened(ROOT / "pages" / "dashboard" / "run_details.py")
    uploader = next(u for u in test.file_uploader if u.label == "TFLite file")
    uploader.set_value((file.name, file.read_bytes(), "application/octet-stream")).run()
    name = next(box for box in test.text_input if box.label == "Name")
    assert name.value == "their_model"
    next(b for b in test.button if b.label == "Add to the comparison").click().run()
    settled(test)
    assert not test.exception
    assert [added.artifact.variant for added in Run.open(run.folder).added] == ["their_model"]
    next(b for b in test.button if b.label == "Remove").click().run()
    assert not test.exception
    assert Run.open(run.folder).added == ()


def test_a_file_that_does_not_fit_is_a_sentence(run: Run, tmp_path: Path) -> None:
    file = reshape_file(tmp_path / "two.tflite", (2, SIDE, SIDE, 3), rows=3)
    test = opened(ROOT / "pages" / "dashboard" / "run_details.py")
    uploader = next(u for u in test.file_uploader if u.label == "TFLite file")
    uploader.set_value((file.name, file.read_bytes(), "application/octet-stream")).run()
    next(b for b in test.button if b.label == "Add to the comparison").click().run()
    settled(test)
    assert not test.exception
    assert "2 pictures at once" in " ".join(element.value for element in test.error)


@pytest.mark.parametrize(
    "page", ["predictions", "logit_differences", "latency_and_size", "run_details"]
)
def test_every_page_shows_it(run: Run, tmp_path: Path, page: str) -> None:
    add_file(run, "theirs", reshape_file(tmp_path / "x.tflite", (1, SIDE, SIDE, 3)), Foreground())
    test = opened(ROOT / "pages" / "dashboard" / f"{page}.py")
    assert not test.exception
    assert "added" in " ".join(caption.value for caption in test.sidebar.caption)
    if page in {"predictions", "run_details"}:
        assert any("theirs" in pills.options for pills in test.pills)
    if page == "logit_differences":
        assert "theirs" in set(test.dataframe[0].value["variant"])
