"""New run: five steps; the preprocessing of a person's own file is seen and confirmed."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.networks.source import PreprocessOrigin
from engine.reporting.text.runs import preprocess_sentence
from engine.runs.manifest import FILE_NAME
from engine.runs.request import ConvertRequest
from engine.runs.run import ONNX_FILE, Run
from engine.workers.jobs import Job
from pages.inputs.convert_form import _STEPS
from tests.helpers.own_model_host import InThisProcess
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_convert import PAGE, button_is_off, confirm, convert, drop, errors
from tests.pages.test_pages import opened, settled


@pytest.fixture
def run(own_store: Path, catalog: None, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run, whose ONNX file gives its picture back; workers are this process."""
    monkeypatch.setattr(Job, "worker", lambda self, lowering=None: InThisProcess())
    return tiny_run(own_store / "runs" / "tiny")


@pytest.fixture
def asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> list[ConvertRequest]:
    requests: list[ConvertRequest] = []

    def convert_request(request: ConvertRequest, host: object) -> Run:
        requests.append(request)
        return run

    monkeypatch.setattr("engine.tasks.convert.convert_request", convert_request)
    return requests


def with_own_file(run: Run, **state: object) -> AppTest:
    test = opened(PAGE, convert_kind="My ONNX file", **state)
    drop(test, "ONNX file", "tiny.onnx", (run.folder / ONNX_FILE).read_bytes())
    return settled(test)


def press(test: AppTest, label: str) -> None:
    next(button for button in test.button if button.label == label).click().run()
    assert not test.exception


def words(test: AppTest) -> str:
    texts = (*test.caption, *test.markdown, *(each for each in test.get("html")))
    shown = " ".join(str(getattr(each, "value", None) or each.proto.body) for each in texts)
    return shown.replace("\\", "").replace("\xa0", " ")


def test_a_catalogue_model_takes_one_press(asked: list[ConvertRequest]) -> None:
    test = opened(PAGE)
    heads = {f"{number}. {name}" for number, name in enumerate(_STEPS[:-1], 1)}
    assert heads <= {button.label for button in test.button}
    assert "The network's own" in words(test)
    press(test, "Convert")
    # A job that ended while the page was drawn has led there already; one more run would come back.
    if test.session_state["qlab_page"] != "Overview":
        settled(test)
    assert asked[0].model.name == "efficientnet_lite0"
    assert test.session_state["qlab_page"] == "Overview", "a finished run leads to its result"
    # The runner of tests still stands on Convert, as a person who comes back.
    assert "tiny became" in settled(test.run()).header[0].value


def test_whoever_went_elsewhere_is_not_led_to_the_result(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def convert_request(request: ConvertRequest, host: object) -> Run:
        release.wait(120)
        return run

    monkeypatch.setattr("engine.tasks.convert.convert_request", convert_request)
    test = opened(PAGE)
    next(button for button in test.button if button.label == "Convert").click().run()
    test.switch_page("pages/dashboard/run_details.py").run()
    release.set()
    settled(test)
    test.switch_page("pages/dashboard/convert.py")
    settled(test.run())
    assert test.session_state["qlab_page"] == "Convert"
    assert "tiny became" in test.header[0].value


def test_a_device_chooses_the_variants(asked: list[ConvertRequest]) -> None:
    test = opened(PAGE)
    assert "All seven" in words(test)
    device = next(box for box in test.selectbox if box.label == "For a device")
    device.set_value("Microcontroller").run()
    assert not test.exception
    assert "All seven" not in words(test)
    convert(test)
    assert asked[0].variants == ("int8",)


def test_what_was_read_stands_beside_the_file(run: Run) -> None:
    test = with_own_file(run)
    assert "x: 1 × 4 × 4 × 3" in words(test)
    assert "<dt>Classes</dt><dd>48</dd>" in words(test)
    assert "Confirm the preprocessing first." in words(test)
    assert button_is_off(test)


def test_a_preset_is_looked_at_and_confirmed(run: Run, asked: list[ConvertRequest]) -> None:
    test = with_own_file(run)
    press(test, "Go there")
    settled(test)
    assert not errors(test)
    assert "As the network sees it: 4 × 4, values" in words(test)
    assert "0 to 255: class" in words(test)
    confirm(test)
    assert not button_is_off(test)
    test.session_state["pre_preset_onnx"] = "0 to 1"
    settled(test.run())
    assert button_is_off(test), "what was confirmed is another preprocessing"
    confirm(test)
    convert(test)
    (request,) = asked
    assert [*(request.preprocess.mean or ()), *(request.preprocess.std or ())] == [0, 0, 0, 1, 1, 1]
    assert request.preprocess.interpolation == "bilinear"


def test_class_names_that_do_not_fit_are_refused_at_once(run: Run) -> None:
    test = with_own_file(run)
    drop(test, "Class names", "three.txt", b"a\nb\nc\n")
    settled(test)
    assert "three.txt has 3 names, but the model has 48 classes" in errors(test)
    assert button_is_off(test)
    drop(test, "Class names", "all.txt", "\n".join(f"c{n}" for n in range(48)).encode())
    settled(test)
    assert not errors(test)


ORIGIN = PreprocessOrigin(how="confirmed", given=("mean", "std"))
SENTENCE = "Preprocessing confirmed by the person who converted the model: mean 0.485"


def test_details_say_who_determined_the_preprocessing(run: Run) -> None:
    before = run.manifest
    assert preprocess_sentence(before) is None, "a run of an older version does not say"
    made = replace(before, preprocess_origin=ORIGIN)
    (run.folder / FILE_NAME).write_bytes(made.to_json())
    assert Run.open(run.folder).manifest.preprocess_origin == ORIGIN
    assert SENTENCE in words(opened(PAGE.with_name("run_details.py")))


def test_steps_survive_another_page(run: Run) -> None:
    test = with_own_file(run)
    confirm(test)
    test.switch_page("pages/dashboard/run_details.py").run()
    test.switch_page("pages/dashboard/convert.py").run()
    settled(test)
    assert "tiny.onnx" in words(test)
    assert not button_is_off(test)
