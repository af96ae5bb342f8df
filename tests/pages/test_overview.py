"""The first screen, with a run made by hand."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.comparison.latency import Latency
from engine.core.store import SAMPLE_IMAGES
from engine.images import pictures as pictures_module
from engine.runs.results import load_latency
from engine.runs.run import Run
from engine.tasks import evaluate as service_module
from engine.tasks.first_run import complete
from engine.tasks.targets import ask_targets, list_unmeasured
from engine.workers import process as host_module
from tests.helpers.app_test import ROOT, dashboard_test
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import opened, settled

PAGE = ROOT / "pages" / "dashboard" / "overview.py"


@pytest.fixture
def run(own_store: Path) -> Run:
    return complete(tiny_run(own_store / "runs" / "tiny"), host_module.Foreground())


def test_the_answer_follows_the_slider_and_the_page_has_its_code(run: Run) -> None:
    test = opened(PAGE)
    assert not test.exception
    assert "answer on all 13 pictures" in test.title[0].value
    assert not test.main.warning
    said = " ".join(element.value for element in test.markdown)
    assert "13 pictures are too few to be sure" in said
    assert "at least 95\xa0%" in said
    test.select_slider(key="overview_need").set_value(80)
    test = settled(test.run())
    assert not test.exception
    said = " ".join(element.value for element in test.markdown)
    assert "at least 80\xa0%" in said
    code = test.code[0].value
    assert str(run.folder) in code
    assert "0.8)" in code
    assert list(test.dataframe[0].value["variant"]) == ["float32", "int8"]


def test_a_chosen_target_decides_and_is_kept_in_the_address(own_store: Path) -> None:
    run = tiny_run(own_store / "runs" / "tiny")
    ask_targets(run, host_module.Foreground(), names=("edge-tpu",))
    test = settled(opened(PAGE))
    test.select_slider(key="overview_need").set_value(90)
    ship_to(test, "microcontroller")
    assert any(button.label == "Ask Microcontroller" for button in test.button)
    said = words_of(test)
    assert "not known whether it runs on a microcontroller: This was not asked yet" in said
    ship_to(test, "edge-tpu")
    assert test.title[0].value.startswith("Ship int8")
    assert test.title[0].value.endswith("runs whole on a Coral Edge TPU")
    said = words_of(test)
    assert "float32: refused on a Coral Edge TPU: Operators compute in float32" in said
    assert "and runs whole on a Coral Edge TPU" in said
    assert "made for integer edges and no float operator: int8 has both" in said
    assert "target='edge-tpu'" in test.code[0].value
    assert test.query_params["target"] in ("edge-tpu", ["edge-tpu"])
    ship_to(test, "any target")
    assert "target" not in test.query_params
    assert "Edge TPU" not in test.title[0].value


def words_of(test: AppTest) -> str:
    return " ".join(element.value for element in test.markdown).replace("\\", "")


def ship_to(test: AppTest, target: str) -> None:
    next(box for box in test.selectbox if box.label == "Ship to").set_value(target).run()
    settled(test)
    assert not test.exception


@pytest.mark.usefixtures("run")
def test_memory_is_measured_at_a_press_and_any_two_figures_are_drawn() -> None:
    test = opened(PAGE)
    axes = test.selectbox(key="trade_off_axes")
    assert axes.options == ["Error over latency", "Error over size", "Size over latency"]
    assert "peak memory" not in test.dataframe[0].value
    test.button(key="start_memory").click()
    test = settled(test.run())
    assert not test.exception
    assert all("MB" in cell or "KB" in cell for cell in test.dataframe[0].value["peak memory"])
    axes = test.selectbox(key="trade_off_axes")
    assert len(axes.options) == 6
    axes.set_value("size-memory")
    test.run()
    assert not test.exception
    headers = [header.value for header in test.header]
    assert any("size or memory" in text or "size and memory" in text for text in headers)
    assert test.query_params["axes"] == "size-memory"


def test_what_is_complete_is_not_made_again(run: Run) -> None:
    before = load_latency(run)
    assert before is not None
    assert {entry.variant for entry in before.entries} >= {"original", "float32", "int8"}
    assert complete(run, host_module.Foreground()) == run
    after = load_latency(run)
    assert after == before
    pictures = pictures_module.as_pictures(sorted(SAMPLE_IMAGES.glob("*.jpg")))
    assert service_module.compute_logits(run, pictures, run.columns, None) is not None


def test_a_fresh_installation_makes_its_first_comparison(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def first(host: host_module.Host) -> Run:
        made.append("first")
        return complete(tiny_run(own_store / "runs" / "tiny"), host)

    monkeypatch.setattr("pages.state.conversion.first_comparison", first)
    test = opened(PAGE)
    test = settled(test)
    assert not test.exception
    assert "answer on all 13 pictures" in test.title[0].value
    assert made == ["first"]
    other = settled(opened(PAGE))
    assert made == ["first"], "another browser finds the work done"
    assert not other.exception


@pytest.mark.usefixtures("catalog")
def test_the_first_comparison_is_shown_on_every_page_while_it_works(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def first(host: host_module.Host) -> Run:
        release.wait(120)
        return complete(tiny_run(own_store / "runs" / "tiny"), host)

    monkeypatch.setattr("pages.state.conversion.first_comparison", first)
    titles = {}
    for stem in ("overview", "layers", "deploy", "logit_differences", "convert"):
        test = dashboard_test()
        test.switch_page(f"pages/dashboard/{stem}.py").run()
        assert not test.exception
        titles[stem] = test.title[0].value
    release.set()
    assert titles.pop("convert").startswith("Convert a classifier")
    assert set(titles.values()) == {"Making the first comparison"}
    assert settled(opened(PAGE)).title[0].value.startswith("Ship ")


def test_a_link_shows_the_same_view(own_store: Path) -> None:
    for name in ("one", "two"):
        tiny_run(own_store / "runs" / name)
    for name in ("one", "two"):
        test = dashboard_test()
        test.switch_page("pages/dashboard/run_details.py")
        test.query_params["run"] = name
        test.query_params["against"] = "int8"
        test.run()
        assert not test.exception
        captions = " ".join(caption.value.replace("\\", "") for caption in test.caption)
        assert f"in {own_store}/runs/{name}" in captions
        assert test.selectbox[1].value == "int8"


@pytest.mark.usefixtures("catalog")
def test_other_pages_wait_for_the_whole_first_comparison(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted, release, profiled = threading.Event(), threading.Event(), threading.Event()
    unmeasured: list[tuple[str, ...]] = []

    def first(host: host_module.Host) -> Run:
        run = tiny_run(own_store / "runs" / "tiny")
        converted.set()
        release.wait(120)
        return complete(run, host)

    def profile(run: Run, timed: Latency, host: host_module.Host) -> Latency:
        unmeasured.append(list_unmeasured(run))
        profiled.set()
        return timed

    monkeypatch.setattr("pages.state.conversion.first_comparison", first)
    monkeypatch.setattr("pages.state.conversion.profile_operators", profile)
    dashboard_test().switch_page("pages/dashboard/overview.py").run()
    assert converted.wait(30)
    for stem in ("predictions", "latency_and_size"):
        test = dashboard_test()
        test.switch_page(f"pages/dashboard/{stem}.py").run()
        assert not test.exception
        assert test.title[0].value == "Making the first comparison"
    assert not profiled.is_set(), "operators are timed after the verdict"
    release.set()
    assert settled(opened(PAGE)).title[0].value.startswith("Ship ")
    assert profiled.wait(30)
    assert unmeasured == [()], "memory is measured after the verdict, before the operators"
