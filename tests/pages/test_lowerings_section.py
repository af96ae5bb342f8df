"""Stock against NHWC lowering on the page Run details, with a run made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import ConversionError
from engine.runs.run import Run
from engine.tasks import lowerings
from engine.workers.process import Foreground
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import ROOT, opened, settled

PAGE = ROOT / "pages" / "dashboard" / "run_details.py"


@pytest.fixture
def run(own_store: Path) -> Run:
    return tiny_run(own_store / "runs" / "tiny")


def test_the_button_compares_and_the_answer_stays(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        lowerings, "convert_request", lambda request, host: tiny_run(Path(request.out))
    )
    test = opened(PAGE)
    next(b for b in test.button if b.label == "Compare stock and NHWC").click().run()
    settled(test)
    assert not test.exception
    shown = " ".join(element.value for element in test.markdown)
    assert "TRANSPOSE operators instead of 0" in shown
    again = opened(PAGE)
    assert any(b.label == "Measure again" for b in again.button)
    table = next(t.value for t in again.dataframe if "stock ÷ NHWC" in t.value.columns)
    assert "float32: latency" in set(table["figure"])


def test_what_stock_cannot_convert_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: object, host: object) -> Run:
        raise ConversionError("ONNX to SavedModel", got="no handler", expected="", todo="")

    monkeypatch.setattr(lowerings, "convert_request", fail)
    lowerings.compare_lowerings(run, Foreground(), rounds=3)
    test = opened(PAGE)
    assert not test.exception
    assert "own handlers cannot make float32" in test.info[0].value
    assert "Only the NHWC lowering" in " ".join(element.value for element in test.markdown)
