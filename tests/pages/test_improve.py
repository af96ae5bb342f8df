"""The page Improve, with a run made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from engine.core.store import CALIBRATION_IMAGES
from engine.quantization.recipes import recipe_named
from engine.quantization.records import OptimizedLayer
from engine.runs.manifest import FILE_NAME
from engine.runs.request import ConvertRequest
from engine.runs.run import IMPROVED, REQUEST, WORK, Run
from engine.tflite.artifact import artifact_of
from tests.helpers.tiny_run import SIDE, STEP, tiny_run
from tests.helpers.tiny_tflite import reshape_file
from tests.pages.test_pages import ROOT, opened, settled

PAGE = ROOT / "pages" / "dashboard" / "improve.py"


@pytest.fixture
def run(own_store: Path) -> Run:
    made = tiny_run(own_store / "runs" / "tiny")
    (made.folder / WORK).mkdir()
    (made.folder / REQUEST).write_bytes(msgspec.json.encode(ConvertRequest()))
    return made


def with_optimized(request: ConvertRequest) -> Run:
    """The run with a variant of half the step, as if the pass had made it."""
    assert request.out is not None
    run = Run.open(request.out)
    (name,) = request.variants
    file = run.folder / f"{name}.tflite"
    reshape_file(file, (1, SIDE, SIDE, 3), dtype="int8", scale=STEP / 2)
    manifest = replace(
        run.manifest,
        recipes=(*run.manifest.recipes, recipe_named(name)),
        artifacts=(*run.manifest.artifacts, artifact_of(file, variant=name, layout="NHWC")),
    )
    (run.folder / FILE_NAME).write_bytes(manifest.to_json())
    (run.folder / IMPROVED).mkdir()
    layer = OptimizedLayer("logits", "FULLY_CONNECTED", 7, ("gptq", "bias"), None, 0.2, 0.1, 1.0)
    record = run.folder / IMPROVED / f"{recipe_named(name).core.name}.json"
    record.write_bytes(msgspec.json.encode((layer,)))
    return Run.open(run.folder)


def test_the_button_improves_and_the_page_shows_before_and_after(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def convert(request: ConvertRequest, host: object) -> Run:
        asked.append(request)
        return with_optimized(request)

    monkeypatch.setattr("engine.tasks.improve.convert_request", convert)
    test = opened(PAGE)
    test.segmented_control(key="pictures_source").set_value("A folder on this machine").run()
    # The run was calibrated on crops of these.
    test.text_input(key="pictures_folder").set_value(str(CALIBRATION_IMAGES)).run()
    settled(test)
    assert test.title[0].value == "Could int8 answer closer to the original?"
    next(b for b in test.button if b.label == "Improve int8").click().run()
    settled(test)
    settled(test)
    assert not test.exception
    assert [request.variants for request in asked] == [("int8_optimized",)]
    assert test.title[0].value.startswith("int8_optimized ")
    shown = " ".join(element.value for element in test.markdown)
    assert "int8" in shown
    metrics = {metric.label: metric for metric in test.metric}
    assert metrics["Logit rms"].delta.endswith(" before")
    (note,) = [w.value for w in test.warning if "calibrated" in w.value]
    assert "calibrated on" in note
    table = next(t.value for t in test.dataframe if "changed" in t.value.columns)
    assert list(table["layer"]) == ["fully connected layer 7"]
    assert list(table["changed"]) == ["gptq, bias"]


def test_a_run_of_an_older_version_is_a_sentence(run: Run) -> None:
    (run.folder / REQUEST).unlink()
    test = opened(PAGE)
    next(b for b in test.button if b.label == "Improve int8").click().run()
    settled(test)
    assert not test.exception
    assert "a run without a readable" in " ".join(element.value for element in test.error)
