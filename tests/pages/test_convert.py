"""Convert: a file that cannot be converted is refused where it is dropped, in view."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest

from engine.core.errors import LabelsError, OptionError
from engine.images.preprocess import PreprocessSpec
from engine.networks import checkpoints as sharded_checkpoints
from engine.networks.onnx_precision import pack_onnx
from engine.networks.source import FileFacts, ModelChoice
from engine.runs.request import ConvertRequest
from engine.runs.run import ONNX_FILE, Run
from engine.tasks.own_model import ModelReading, ReadModelRequest, run_read_model
from tests.helpers.app_test import ROOT
from tests.helpers.browser import IN_A_BROWSER, PATIENCE, wait_until_settled
from tests.helpers.shared_browser import Dashboard
from tests.helpers.tiny_run import tiny_run
from tests.networks.test_onnx_packing import Files, exported_files
from tests.pages.test_pages import opened, settled

PAGE = ROOT / "pages" / "dashboard" / "convert.py"


@pytest.fixture
def run(own_store: Path, catalog: None) -> Run:
    return tiny_run(own_store / "runs" / "tiny")


def read_here(choice: ModelChoice, host: object, *, input_size: object = None) -> ModelReading:
    """Read an ONNX file in this process; of files without a network, give facts of another."""
    assert input_size is None
    if choice.onnx is not None and not choice.onnx.endswith(".zip"):
        return run_read_model(ReadModelRequest(model=choice), lambda _: None)
    facts = FileFacts(
        bytes=8,
        input="",
        shape=(None, 3, 224, 224),
        dtype="float32",
        layout="NCHW",
        output="",
        classes=5,
        opset=None,
        parameters=2,
    )
    return ModelReading(facts=facts, preprocess=PreprocessSpec())


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read, and class names taken, without a worker process."""
    monkeypatch.setattr("engine.tasks.own_model.read_model", read_here)
    monkeypatch.setattr("engine.tasks.own_model.check_labels", lambda *_: ("a", "b"))
    monkeypatch.setattr("engine.tasks.own_model.preview", fail_to_preview)


def fail_to_preview(*_: object) -> NoReturn:
    raise OptionError("Showing", got="a test", expected="none", todo="Look elsewhere.")


def confirm(test: AppTest) -> None:
    settled(test)
    (button,) = (b for b in test.button if b.label == "Confirm the preprocessing")
    button.click().run()
    assert not test.exception


def with_own_file(**state: object) -> AppTest:
    return opened(PAGE, convert_kind="My ONNX file", **state)


def in_a_browser(test: object) -> object:
    for mark in IN_A_BROWSER:
        test = mark(test)
    return test


def drop(test: AppTest, label: str, name: str, content: bytes) -> None:
    uploader = next(uploader for uploader in test.file_uploader if uploader.label == label)
    uploader.set_value((name, content, "application/octet-stream")).run()
    assert not test.exception


def errors(test: AppTest) -> str:
    return " ".join(error.value.replace("\\", "") for error in test.error)


def convert(test: AppTest) -> None:
    next(button for button in test.button if button.label == "Convert").click().run()
    settled(test)
    assert not test.exception


def button_is_off(test: AppTest) -> bool:
    return bool(next(button for button in test.button if button.label == "Convert").disabled)


def test_the_preprocessing_of_an_own_file_is_shown_as_assumed(run: Run) -> None:
    test = with_own_file()
    drop(test, "ONNX file", "tiny.onnx", (run.folder / ONNX_FILE).read_bytes())
    settled(test)
    test.session_state["pre_preset_onnx"] = "Own values"
    test.run()
    assert test.text_input(key="pre_mean").placeholder == "assumed: 0.485, 0.456, 0.406"
    assert any("what you leave empty here is assumed" in text.value for text in test.caption)
    test.session_state["convert_kind"] = "From the catalogue"
    assert test.run().text_input(key="pre_mean").placeholder == "the model's own"


def test_a_scale_is_a_number_or_a_fraction(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ConvertRequest] = []

    def convert_request(request: ConvertRequest, host: object) -> Run:
        asked.append(request)
        return run

    monkeypatch.setattr("engine.tasks.convert.convert_request", convert_request)
    test = with_own_file()
    drop(test, "ONNX file", "tiny.onnx", (run.folder / ONNX_FILE).read_bytes())
    settled(test)
    test.session_state["pre_preset_onnx"] = "Own values"
    test.run()
    test.text_input(key="pre_scale").set_value("1/0").run()
    assert "1/0' is not a number" in test.warning[0].value.replace("\\", "")
    assert button_is_off(test)
    test.text_input(key="pre_scale").set_value("2/255").run()
    assert button_is_off(test)
    confirm(test)
    convert(test)
    assert asked[0].preprocess.scale == 2 / 255
    assert asked[0].preprocess.mean == (0.485, 0.456, 0.406), "what was assumed is confirmed now"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"These are my notes.\n" * 9, "bytes that are not an ONNX model"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
        (b"\x20\x00\x00\x00TFL3", "a TFLite file"),
    ],
)
def test_a_file_that_is_no_onnx_is_refused_where_it_is_dropped(
    run: Run, content: bytes, found: str
) -> None:
    test = with_own_file()
    drop(test, "ONNX file", "notes.onnx", content)
    assert found in errors(test)
    assert button_is_off(test)
    drop(test, "ONNX file", "tiny.onnx", (run.folder / ONNX_FILE).read_bytes())
    assert errors(test) == ""
    confirm(test)
    assert not button_is_off(test)


def drop_together(test: AppTest, label: str, files: Files) -> None:
    uploader = next(uploader for uploader in test.file_uploader if uploader.label == label)
    uploader.set_value([(name, content, "") for name, content in files]).run()
    assert not test.exception


@pytest.mark.usefixtures("run")
def test_a_model_and_its_data_are_dropped_together(tmp_path: Path) -> None:
    model, data = exported_files(tmp_path)
    refused = {
        "no file 'model.onnx.data', in which the model keeps weights": [model],
        "0 ONNX files among 'model.onnx.data'": [data],
        "2 ONNX files among": [model, ("other.onnx", model[1]), data],
        "The data is another model's": [model, (data[0], b"\1" * 999)],
    }
    test = with_own_file()
    for words, files in refused.items():
        drop_together(test, "ONNX file", files)
        assert words in errors(test)
        assert button_is_off(test)
    for files in ([data, model], [pack_onnx([model, data])]):
        drop_together(test, "ONNX file", files)
        assert errors(test) == ""
        if button_is_off(test):  # the second is the same file as the first
            confirm(test)
        assert not button_is_off(test)
    drop_together(test, "ONNX file", [pack_onnx([model, (data[0], b"\1" * 999)])])
    assert "The data is another model's" in errors(test)


@in_a_browser
def test_what_is_dropped_later_belongs_to_a_model_or_takes_its_place(
    page: Page, tmp_path: Path
) -> None:
    page.get_by_role("radio", name="My ONNX file").click()
    place = page.get_by_label("ONNX file").locator("input[type=file]")
    model, data = exported_files(tmp_path)
    place.set_input_files(tmp_path / model[0])
    expect(page.get_by_role("alert").filter(has_text="no file 'model.onnx.data'")).to_be_visible()
    place.set_input_files(tmp_path / data[0])
    expect(page.get_by_text("Using model.zip.")).to_be_visible()
    (tmp_path / "other.onnx").write_bytes(model[1])
    place.set_input_files([tmp_path / data[0], tmp_path / "other.onnx"])
    expect(page.get_by_text("Using other.zip.")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    (tmp_path / "wrong.data").write_bytes(b"\1" * 999)
    (tmp_path / "third.onnx").write_bytes(model[1])
    place.set_input_files([tmp_path / "wrong.data", tmp_path / "third.onnx"])
    demand_in_view(page.get_by_role("alert").filter(has_text="The data is another model's"))
    expect(page.get_by_role("button", name="Convert", exact=True)).to_be_disabled()
    page.get_by_role("radio", name="From the catalogue").click()
    page.get_by_role("radio", name="My checkpoint").click()
    place = page.get_by_label("State dict").locator("input[type=file]")
    parts = [tmp_path / name for name, _ in checkpoint_files(tmp_path)]
    whole = (tmp_path / "weights.safetensors", tmp_path / "better.safetensors")
    for file in whole:
        file.write_bytes(parts[0].read_bytes())
    place.set_input_files(whole[0])
    expect(page.get_by_text("Set of weights")).to_be_visible()
    place.set_input_files(parts)
    expect(page.get_by_text("Using model.safetensors.index.json.")).to_be_visible()
    place.set_input_files(whole[1])
    expect(page.get_by_text("Using better.safetensors.")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.usefixtures("run")
def test_a_file_that_is_no_checkpoint_is_refused_where_it_is_dropped() -> None:
    test = opened(PAGE, convert_weights="My checkpoint")
    drop(test, "State dict", "weights.pth", b"\x20\x00\x00\x00TFL3")
    assert "a TFLite file" in errors(test)
    assert button_is_off(test)


def checkpoint_files(folder: Path) -> list[tuple[str, bytes]]:
    """An index and the two files that it names."""
    names = {key: f"model-0000{n}-of-00002.safetensors" for n, key in enumerate("ab", 1)}
    for key, name in names.items():
        save_file({key: np.zeros(1, np.float32)}, folder / name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return [
        (file.name, file.read_bytes()) for file in (*(folder / n for n in names.values()), index)
    ]


def test_a_checkpoint_in_several_files_is_dropped_with_its_index(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ConvertRequest] = []

    def convert_request(request: ConvertRequest, host: object) -> Run:
        asked.append(request)
        return run

    monkeypatch.setattr("engine.tasks.convert.convert_request", convert_request)
    one, other, index = checkpoint_files(tmp_path)
    test = opened(PAGE, convert_weights="My checkpoint")
    refused = {
        "2 files with no index among them": [one, other],
        "no file where it names model-00002-of-00002.safetensors": [one, index],
        "no file where it names model-00001-of-00002.safetensors": [index],
    }
    for words, files in refused.items():
        drop_together(test, "State dict", files)
        assert words in errors(test)
        assert button_is_off(test)
    drop_together(test, "State dict", [index, other, one])
    assert errors(test) == ""
    test.text_input(key="convert_weights_of").set_value("model_ema").run()
    confirm(test)
    convert(test)
    (request,) = asked
    assert request.model.weights_of == "model_ema"
    checkpoint = Path(str(request.model.checkpoint))
    assert [part.name for part in sharded_checkpoints.checkpoint_files(checkpoint)] == [
        one[0],
        other[0],
    ]
    assert request.owner is not None


def test_an_attempt_that_failed_is_not_shown_beside_the_next(
    run: Run, own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ConvertRequest] = []

    def convert_request(request: ConvertRequest, host: object) -> Run:
        asked.append(request)
        if len(asked) < 3:
            raise LabelsError("Reading labels", got="3 lines", expected="5 lines", todo="Add two.")
        return tiny_run(own_store / "runs" / "right")

    monkeypatch.setattr("engine.tasks.convert.convert_request", convert_request)
    test = with_own_file(qlab_owner="me")
    drop(test, "ONNX file", "tiny.onnx", (run.folder / ONNX_FILE).read_bytes())
    confirm(test)
    convert(test)
    convert(test)
    assert errors(test).count("3 lines") == 1
    drop(test, "Class names", "five.txt", b"a\nb\nc\nd\ne\n")
    settled(test)
    assert errors(test) == "", "the error was another file's"
    convert(test)
    assert len(asked) == 3
    assert errors(test) == ""
    assert test.query_params["run"] == "right"
    assert errors(with_own_file(qlab_owner="me")) == "", "nor does another tab find it"


@pytest.mark.usefixtures("run")
def test_each_place_for_files_has_the_limit_of_its_kind() -> None:
    test = with_own_file(convert_calibration="My pictures")
    details = opened(ROOT / "pages" / "dashboard" / "run_details.py")
    uploaders = (*test.file_uploader, *details.file_uploader)
    limits = {uploader.label: uploader.proto.max_upload_size_mb for uploader in uploaders}
    assert limits == {"ONNX file": 600, "Class names": 4, "Pictures": 600, "TFLite file": 600}
    assert [
        path.name
        for path in (ROOT / "pages").rglob("*.py")
        if "st.file_uploader" in path.read_text(encoding="utf-8")
    ] == ["uploads.py"]


@pytest.fixture
def page(browser: Browser, two_runs_server: Dashboard) -> Page:
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    tab.set_default_timeout(PATIENCE)
    tab.goto(f"{two_runs_server.address}/convert")
    wait_until_settled(tab)
    return tab


def demand_in_view(message: Locator) -> None:
    expect(message).to_be_in_viewport(ratio=1.0)


@in_a_browser
def test_what_went_wrong_is_in_view(page: Page, run: Run, tmp_path: Path) -> None:
    page.get_by_role("radio", name="My ONNX file").click()
    expect(page.get_by_text("4MB per file")).to_have_count(1)
    for rounded in page.get_by_text("1GB per file").all():
        expect(rounded).to_be_hidden()
    notes, three = tmp_path / "notes.onnx", tmp_path / "three.txt"
    notes.write_text("These are my notes.\n" * 9)
    three.write_text("a\nb\nc\n")
    page.get_by_label("ONNX file").locator("input[type=file]").set_input_files(notes)
    demand_in_view(page.get_by_role("alert").filter(has_text="not an ONNX model"))
    page.get_by_label("ONNX file").locator("input[type=file]").set_input_files(
        run.folder / ONNX_FILE
    )
    expect(page.get_by_text("not an ONNX model")).to_have_count(0)
    page.get_by_role("paragraph").filter(has_text="Class names").first.click()
    page.get_by_label("Class names").locator("input[type=file]").set_input_files(three)
    demand_in_view(page.get_by_role("alert").filter(has_text="3 lines"))
