"""Variants that are missing or of no use, on the pages of a run made by hand."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from streamlit.testing.v1 import AppTest

import engine
from engine.core.store import SAMPLE_IMAGES
from engine.core.types import Fault
from engine.images.pictures import pictures_in
from engine.runs.manifest import FILE_NAME
from engine.runs.request import ConvertRequest
from engine.runs.run import REQUEST, Run
from engine.tasks import evaluate as service_module
from engine.tflite.artifact import Artifact
from engine.workers import process as host
from tests.comparison.test_faults import WITHOUT_INT8
from tests.helpers.app_test import ROOT
from tests.helpers.tiny_run import tiny_run
from tests.helpers.tiny_tflite import reshape_file
from tests.pages.test_pages import opened

FAULT = "int8 answers the same for every picture: do not use it."
MISSING = "int16x8 is missing. Quantizing: got a refusal; expected a file."


def page(name: str) -> Path:
    return ROOT / "pages" / "dashboard" / f"{name}.py"


@pytest.fixture
def run(own_store: Path, catalog: None, faulty: Path) -> Run:
    """A copy of the run that the tests share, in a store of its own."""
    return Run.open(shutil.copytree(faulty, own_store / "runs" / "tiny"))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose int8 rounds everything to 0, and whose int16x8 could not be made."""
    made = tiny_run(tmp_path_factory.mktemp("faulty") / "tiny")
    (exact, card) = made.artifacts
    reshape_file(made.folder / card.file, card.inputs[0].shape, dtype="int8", scale=1000.0)
    content = (made.folder / card.file).read_bytes()
    fault: Fault = "same_answer"
    coarse = replace(_card(made.folder, card), bytes=len(content), fault=fault)
    missing = (replace(WITHOUT_INT8, variant="int16x8"),)
    manifest = replace(made.manifest, artifacts=(exact, coarse), missing=missing)
    (made.folder / FILE_NAME).write_bytes(manifest.to_json())
    (made.folder / REQUEST).parent.mkdir()
    request = ConvertRequest(variants=("float32", "int8", "int16x8"))
    (made.folder / REQUEST).write_bytes(msgspec.json.encode(request))
    run = Run.open(made.folder)
    service_module.compute_logits(run, pictures_in(SAMPLE_IMAGES), run.columns, host.Foreground())
    return run.folder


def _card(folder: Path, card: Artifact) -> Artifact:
    from engine.tflite.artifact import artifact_of

    return artifact_of(folder / card.file, variant=card.variant, layout=card.layout)


def errors(test: AppTest) -> str:
    assert not test.exception
    return " ".join(error.value.replace("\\", "") for error in test.error)


@pytest.mark.parametrize(
    "name",
    [
        "overview",
        "convert",
        "predictions",
        "logit_differences",
        "latency_and_size",
        "run_details",
        "deploy",
        "accuracy",
        "calibration",
        "improve",
    ],
)
def test_every_page_says_it_in_red(run: Run, name: str) -> None:
    test = opened(page(name), qlab_made_run=run.folder.name)
    shown = errors(test)
    assert FAULT in shown
    assert MISSING in shown
    main = (*test.main.warning, *test.main.info, *test.main.caption, *test.main.markdown)
    assert sum("demo calibration" in element.value.lower() for element in main) <= 1
    badges = " ".join(element.value for element in test.sidebar.markdown)
    assert "One variant missing" in badges
    assert "One variant of no use" in badges


def test_it_is_neither_recommended_nor_on_a_card(run: Run) -> None:
    test = opened(page("overview"))
    assert "int8" not in test.title[0].value
    table = test.dataframe[0].value
    assert list(table["variant"]) == ["float32", "int8 answers the same for every picture"]
    assert "int8" not in opened(page("latency_and_size")).title[0].value


def test_no_kit_is_offered(run: Run) -> None:
    test = opened(page("deploy"))
    assert [button.label for button in test.button if button.label == "Make the kit"]
    test.query_params["variant"] = "int8"
    test.run()
    assert "No kit is made of a variant that answers the same" in errors(test)
    assert not [button.label for button in test.button if button.label == "Make the kit"]


@pytest.mark.parametrize("name", ["convert", "run_details"])
def test_what_was_assumed_is_said(run: Run, name: str) -> None:
    note = "Weights of type float16 were cast to float32."
    (run.folder / FILE_NAME).write_bytes(replace(run.manifest, notes=(note,)).to_json())
    test = opened(page(name), qlab_made_run=run.folder.name)
    assert not test.exception
    assert note in [text.value.replace("\\", "") for text in test.info]


def test_what_is_missing_is_tried_again_on_demand(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ConvertRequest] = []
    monkeypatch.setattr("pages.state.conversion.start", asked.append)
    test = opened(page("run_details"))
    retry = next(button for button in test.button if button.label == "Try what is missing again")
    retry.click().run()
    assert not test.exception
    (request,) = asked
    assert (request.variants, request.retry) == (("int16x8",), True)
    assert request.out == str(run.folder)


MARK = ":red[:material/error: int8\\: answers the same for every picture]"


@pytest.mark.parametrize(
    ("name", "figures"),
    [("logit_differences", 6), ("latency_and_size", 2)],
)
def test_it_is_marked_beside_every_figure_that_draws_it(run: Run, name: str, figures: int) -> None:
    test = opened(page(name))
    test.query_params["variant"] = "int8"
    test.run()
    assert [text.value for text in test.markdown].count(MARK) == figures


def test_the_report_marks_it_in_tables_and_beside_figures(run: Run, own_store: Path) -> None:
    sound = tiny_run(own_store / "runs" / "sound")
    service_module.compute_logits(
        sound, pictures_in(SAMPLE_IMAGES), sound.columns, host.Foreground()
    )
    document = engine.report(run, SAMPLE_IMAGES, against=sound).to_html()
    figure = document.partition('id="sizes"')[2].partition("</section>")[0]
    assert '<b class="fault">int8: answers the same for every picture</b>' in figure
    against = document.partition('id="against"')[2].partition("</section>")[0]
    assert against.count('<b class="fault">in tiny answers the same for every picture</b>') == 1
