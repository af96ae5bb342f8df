"""The page Deploy, with a run made by hand."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.comparison.recommendation import candidates, recommend
from engine.core.store import SAMPLE_IMAGES
from engine.deployment.adb import VARIABLE
from engine.deployment.phone import benchmarks_of
from engine.images import pictures as pictures_module
from engine.reporting.text.overview import not_recommended
from engine.runs.run import KITS, Run
from engine.tasks import evaluate as service_module
from engine.workers import process as host
from tests.deployment.test_phone import NEW
from tests.helpers.phone import PROGRAM, left_on, plug_in
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import ROOT, opened, settled

PAGE = ROOT / "pages" / "dashboard" / "deploy.py"


@pytest.fixture
def run(own_store: Path) -> Run:
    return tiny_run(own_store / "runs" / "tiny")


def test_a_kit_is_made_shown_and_made_again(run: Run) -> None:
    test = opened(PAGE, qlab_shipped_tiny="int8")
    assert not test.exception
    assert test.title[0].value.startswith("Take int8 to a phone")
    next(b for b in test.button if b.label == "Make the kit").click().run()
    settled(test)
    assert not test.exception
    (kit,) = (run.folder / KITS).glob("int8-*.zip")
    with zipfile.ZipFile(kit) as archive:
        assert "run_model.py" in archive.namelist()
    assert [tab.label for tab in test.tabs][:2] == ["Model card", "Python"]
    (card,) = [m.value for m in test.markdown if "**Golden set**" in m.value]
    assert "SHA-256 of the weights | `111111111111…`" in card
    assert "run_model.py" not in card
    next(b for b in test.button if b.label == "Make it again").click().run()
    assert not test.exception
    assert list((run.folder / KITS).glob("*.zip")) == []


def test_one_press_on_result_makes_the_kit_of_its_variant(run: Run) -> None:
    test = opened(PAGE.with_name("overview.py"), qlab_shipped_tiny="int8")
    next(b for b in test.button if b.label == "Make the kit").click().run()
    assert not test.exception
    assert test.title[0].value.startswith("Take float32 to a phone")
    # Streamlit's runner does not stay where a page led it.
    test.switch_page(str(PAGE.relative_to(ROOT)))
    settled(test)
    (kit,) = (run.folder / KITS).glob("float32-*.zip")
    assert "Make it again" in [button.label for button in test.button]
    kit.unlink()
    assert "Make the kit" in [b.label for b in test.run().button], "one press makes one kit"


def test_a_kit_for_a_microcontroller_is_made_and_shown(run: Run) -> None:
    test = opened(PAGE, qlab_shipped_tiny="int8")
    next(b for b in test.button if b.label == "Make the firmware kit").click().run()
    settled(test)
    assert not test.exception
    (kit,) = (run.folder / KITS).glob("int8-*-firmware.zip")
    with zipfile.ZipFile(kit) as archive:
        assert "main.cc" in archive.namelist()
    assert [tab.label for tab in test.tabs] == ["main.cc", "model.h", "golden.h"]
    assert any("kArenaBytes = " in block.value for block in test.code)
    (readme,) = [m.value for m in test.markdown if "**Build it**" in m.value]
    assert "What is in the kit" not in readme


def test_no_firmware_is_offered_of_a_variant_with_float_edges(run: Run) -> None:
    test = opened(PAGE, qlab_shipped_tiny="float32")
    assert not test.exception
    assert any("float32 has floats there. Take int8." in m.value for m in test.markdown)
    assert "Make the firmware kit" not in [button.label for button in test.button]


def brought(text: str) -> AppTest:
    test = opened(PAGE, qlab_shipped_tiny="int8")
    uploader = next(u for u in test.file_uploader if u.label.startswith("Output of"))
    uploader.set_value(("log.txt", text.encode(), "text/plain")).run()
    assert not test.exception
    return test


def test_a_phones_figures_stand_beside_those_of_this_machine(run: Run) -> None:
    test = brought(NEW)
    next(box for box in test.text_input if box.label == "Which phone is it?").set_value("P9").run()
    next(b for b in test.button if b.label.startswith("Keep it")).click().run()
    assert not test.exception
    assert [found.phone for found in benchmarks_of(run)] == ["P9"]
    assert any(s.value.startswith("int8 takes 12.0\xa0ms on P9") for s in test.header)
    table = next(t.value for t in test.dataframe if "on the phone" in t.value.columns)
    assert list(table["how"]) == ["mean of 80 calls, threads: 4, XNNPACK"]


def test_an_unknown_text_is_a_sentence(run: Run) -> None:
    test = brought("My holiday")
    shown = " ".join(element.value for element in test.error)
    assert "Reading the output of benchmark" in shown
    assert benchmarks_of(run) == ()


def test_the_recommended_variant_is_offered_and_not_one_that_was_looked_at(run: Run) -> None:
    pictures = pictures_module.as_pictures(sorted(SAMPLE_IMAGES.glob("*.jpg")))
    comparison = service_module.evaluate(run, pictures, host.Foreground()).comparison
    choice = recommend(candidates(comparison), 0.95)
    assert choice.taken is not None
    assert choice.taken.variant == "float32"
    # What a flip, or another page's plots, named is in the session; see `address`.
    test = opened(PAGE, qlab_variant="int8", qlab_flip="int8:abc")
    assert not test.exception
    assert test.title[0].value.startswith("Take float32 to a phone")
    assert not test.info
    test.button_group[0].set_value("int8").run()
    assert not test.exception
    assert test.title[0].value.startswith("Take int8 to a phone")
    assert [note.value for note in test.info] == [not_recommended(choice, "int8")]
    assert test.run().title[0].value.startswith("Take int8 to a phone")


@pytest.mark.parametrize("page", ["run_details", "accuracy", "logit_differences"])
def test_other_pages_begin_with_the_recommended_variant_too(run: Run, page: str) -> None:
    opened(PAGE)
    test = opened(ROOT / "pages" / "dashboard" / f"{page}.py")
    assert not test.exception
    pills = next(group for group in test.button_group if "float32" in group.options)
    assert pills.value in ("float32", ["float32"])
    pills.set_value("int8").run()
    assert test.session_state["qlab_variant"] == "int8"


def test_one_click_times_the_variant_on_the_phone_that_adb_sees(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = opened(PAGE, qlab_shipped_tiny="int8")
    assert any(VARIABLE in caption.value for caption in test.caption)
    assert not any(button.label == "Time it on the phone" for button in test.button)
    program = tmp_path / "benchmark_model"
    program.write_text(PROGRAM)
    monkeypatch.setenv(VARIABLE, str(program))
    home = plug_in(tmp_path, monkeypatch)
    test.run()
    next(b for b in test.button if b.label == "Time it on the phone").click().run()
    settled(test)
    assert not test.exception
    assert [benchmark.phone for benchmark in benchmarks_of(run)] == ["Pixel 9"]
    table = next(t.value for t in test.dataframe if "on the phone" in t.value.columns)
    assert list(table["memory there"]) == ["10.0\xa0MB"]
    assert left_on(home) == []
