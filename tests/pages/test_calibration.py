"""The page Calibration, with a run made by hand and cells that a stand-in measures."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from engine.core.store import CALIBRATION_IMAGES
from engine.images.pictures import Picture, pictures_in
from engine.quantization.calibration import CalibrationChoice
from engine.runs.request import ConvertRequest
from engine.runs.run import REQUEST, Run
from engine.tasks.sweep.records import keep_cell, sweep_folder
from engine.tasks.sweep.sweep import SweepChoice, basis_of, cell_names
from pages.views import sweep as sweeping
from tests.helpers.sweeps import cell
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import ROOT, opened, settled

PAGE = ROOT / "pages" / "dashboard" / "calibration.py"


@pytest.fixture
def run(own_store: Path) -> Run:
    return tiny_run(own_store / "runs" / "tiny")


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    folder = tmp_path / "calibration"
    folder.mkdir()
    rng = np.random.default_rng(8)
    for index in range(16):
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(
            folder / f"{index}.png"
        )
    return folder


def measured(
    run: Run,
    pictures: tuple[Picture, ...],
    host: object,
    choice: SweepChoice,
    *,
    calibration: str | None,
) -> None:
    """Cells as if they had been made: 16 pictures halve the error of 8."""
    basis, _ = basis_of(run, pictures, calibration)
    place = sweep_folder(basis)
    for name in cell_names(choice, basis):
        method = "mse" if "range=mse" in name else "min_max"
        count, seed = (int(part) for part in name.rstrip(")").split("count=")[1].split(",seed="))
        keep_cell(place, cell(method, count, seed, 1.6 / count))


def shown(folder: Path) -> dict[str, object]:
    """State of a session in which the pictures of a folder are on show."""
    return {"pictures_source": "A folder on this machine", "pictures_folder": str(folder)}


def test_the_button_sweeps_and_the_page_shows_what_was_found(
    run: Run, photos: Path, calibration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "sweep", measured)
    test = opened(PAGE, **shown(photos), **{f"sweep_folder_{run.folder}": str(calibration)})
    assert not test.exception
    assert test.title[0].value == "How many calibration pictures are enough?"
    next(b for b in test.button if b.label.startswith("Sweep: 8 models")).click().run()
    settled(test)
    settled(test)
    assert not test.exception
    title = test.title[0].value.replace("\\", "")
    assert title == (
        "int8_float_io needs 16 or more calibration pictures: with 8, its rms can be "
        "100.0\xa0% higher"
    )
    captions = " ".join(element.value for element in test.caption).replace("\\", "")
    assert "All 8 models of this sweep are measured" in captions
    assert "Figures are on 5 pictures that no calibration used" in captions
    assert "16 pictures are all that the folder has" in captions
    table = next(t.value for t in test.dataframe if "choices" in t.value.columns)
    assert list(table["logit rms"]) == ["0.2000", "0.1000"] * 2
    asked: list[ConvertRequest] = []
    monkeypatch.setattr("pages.state.conversion.start", asked.append)
    keep_request(run)
    next(b for b in test.button if b.label == "Convert again with 16 pictures").click().run()
    assert not test.exception
    (request,) = asked
    assert request.calibration == CalibrationChoice(folder=str(calibration), count=16)
    assert (request.variants, request.out) == (("float32", "int8"), None)


def test_own_pictures_on_show_calibrate_in_one_press(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ConvertRequest] = []
    monkeypatch.setattr("pages.state.conversion.start", asked.append)
    keep_request(run)
    test = opened(PAGE.with_name("overview.py"), **shown(photos))
    next(b for b in test.button if b.label == "Convert again").click().run()
    assert not test.exception
    assert [request.calibration for request in asked] == [
        CalibrationChoice(folder=str(photos), count=5)
    ]


def keep_request(run: Run) -> None:
    """Keep beside a run what it was asked for with."""
    (run.folder / REQUEST).parent.mkdir(exist_ok=True)
    request = ConvertRequest(variants=("float32", "int8"))
    (run.folder / REQUEST).write_bytes(msgspec.json.encode(request))


def test_before_anything_is_touched_the_page_asks_for_what_is_missing(
    run: Run, photos: Path
) -> None:
    test = opened(PAGE)
    test.segmented_control(key="pictures_source").set_value("A folder on this machine").run()
    # Crops of these calibrate where nobody names a folder.
    test.text_input(key="pictures_folder").set_value(str(CALIBRATION_IMAGES)).run()
    test.run()
    assert not test.exception
    assert not test.error
    assert not [button for button in test.button if button.key == "sweep"]
    assert [header.value for header in test.header] == ["Show pictures to measure on"]
    test.segmented_control(key="pictures_source").set_value("A folder on this machine").run()
    assert not any(box.label.startswith("Pictures") for box in test.expander)
    test.text_input(key="pictures_folder").set_value(str(photos)).run()
    assert not test.exception
    assert [button for button in test.button if button.key == "sweep"]
    assert "5 of your pictures" in [caption.value for caption in test.sidebar.caption]


def test_a_stored_sweep_is_shown_whatever_is_on_show(
    run: Run, photos: Path, calibration: Path
) -> None:
    choice = SweepChoice(counts=(8, 16), seeds=(0,), ranges=("min_max",))
    measured(run, pictures_in(photos), None, choice, calibration=str(calibration))
    test = opened(PAGE)
    assert test.title[0].value.startswith("int8_float_io needs 16 or more calibration pictures")
    assert not test.error


def test_a_folder_for_calibration_that_is_not_there_is_a_sentence(run: Run, photos: Path) -> None:
    state = {f"sweep_folder_{run.folder}": "/no/such/folder"}
    test = opened(PAGE, **shown(photos), **state)
    assert not test.exception
    assert "not there" in test.error[0].value


def test_a_sweep_that_was_ended_goes_on(run: Run, photos: Path, calibration: Path) -> None:
    choice = SweepChoice(counts=(8,), seeds=(0,), ranges=("min_max",))
    measured(run, pictures_in(photos), None, choice, calibration=str(calibration))
    test = opened(PAGE, **shown(photos), **{f"sweep_folder_{run.folder}": str(calibration)})
    assert not test.exception
    assert [b.label for b in test.button if b.key == "sweep"] == [
        "Go on with: 7 models, some seconds each"
    ]


def test_cells_of_no_use_are_red(run: Run, photos: Path, calibration: Path) -> None:
    choice = SweepChoice(counts=(8, 16), seeds=(0,), ranges=("min_max",))
    pictures = pictures_in(photos)
    measured(run, pictures, None, choice, calibration=str(calibration))
    place = sweep_folder(basis_of(run, pictures, str(calibration))[0])
    keep_cell(place, cell("min_max", 8, 0, 3.0, fault="same_answer"))
    test = opened(PAGE, **shown(photos), **{f"sweep_folder_{run.folder}": str(calibration)})
    assert not test.exception
    (error,) = test.error
    assert "answers the same for every picture, where calibrated on 8 pictures" in error.value
    assert "background-color:#c62659" in str(test.dataframe[0].proto).replace(" ", "")
