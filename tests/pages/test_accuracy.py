"""The page Accuracy, with a run made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from engine.core.store import SAMPLE_IMAGES
from engine.images.pictures import pictures_in
from engine.runs.labels import give_label, own_labels
from engine.runs.run import Run
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import ROOT, opened, settled

PAGE = ROOT / "pages" / "dashboard" / "accuracy.py"


@pytest.fixture
def run(own_store: Path) -> Run:
    return tiny_run(own_store / "runs" / "tiny")


def test_a_click_is_kept_and_counted(run: Run, photos: Path) -> None:
    test = opened(
        PAGE,
        qlab_variant="int8",
        pictures_source="A folder on this machine",
        pictures_folder=str(photos),
    )
    assert not test.exception
    assert test.title[0].value == "Is int8 right? Label some pictures to find out"
    pictures = pictures_in(photos)
    for _ in range(2):
        press(test, "Skip")
    assert any(pictures[2].name in caption.value for caption in test.caption)
    test.button(key="label_1").click().run()
    settled(test)
    assert not test.exception
    labels = own_labels(run, pictures)
    assert [index != -1 for index in labels] == [False, False, True, False, False]
    assert test.title[0].value == "1 picture labelled: figures are shown from 5 on"
    assert not test.dataframe
    for picture in (pictures[0], *pictures[3:]):
        give_label(run, picture, 0)
    assert settled(test).title[0].value == "4 pictures labelled: figures are shown from 5 on"
    give_label(run, pictures[1], 0)
    assert "of 5 pictures" in settled(test).title[0].value
    headers = [header.value for header in test.header]
    assert headers.index("What is in this picture?") == 0, "the card stays where it was"
    assert "All models" in headers


def press(test: AppTest, label: str) -> None:
    next(button for button in test.button if button.label == label).click().run()
    assert not test.exception


def test_labels_go_on_by_themselves_and_are_taken_back(run: Run, photos: Path) -> None:
    source = {"pictures_source": "A folder on this machine", "pictures_folder": str(photos)}
    test = opened(PAGE, **source)
    pictures = pictures_in(photos)
    for row in range(2):
        assert any(f"picture {row + 1} of 5" in caption.value for caption in test.caption)
        test.button(key="label_2").click().run()
    assert [index != -1 for index in own_labels(run, pictures)] == [True, True, False, False, False]
    first = own_labels(run, pictures)[0]
    press(test, "Undo")
    again = own_labels(run, pictures)
    assert [index != -1 for index in again] == [True, False, False, False, False]
    assert again[0] == first
    assert any("picture 2 of 5" in caption.value for caption in test.caption)
    shortcuts = {button.label: button.proto.shortcut for button in test.button}
    assert (shortcuts["Skip"], shortcuts["Undo"]) == ("s", "u")
    assert {"1", "2"} <= set(shortcuts.values())


def test_ten_clicks_are_enough_for_figures(run: Run) -> None:
    for picture in pictures_in(SAMPLE_IMAGES)[:9]:
        give_label(run, picture, 0)
    test = opened(PAGE)
    assert test.title[0].value == "9 pictures labelled: figures are shown from 10 on"
    give_label(run, pictures_in(SAMPLE_IMAGES)[9], 0)
    assert "of 10 pictures" in settled(test).title[0].value


def test_figures_and_classes_are_shown(run: Run, photos: Path) -> None:
    for picture in pictures_in(photos):
        logits = run.manifest.preprocess.apply(picture.decode()).ravel()
        give_label(run, picture, int(np.argmin(logits)))
    test = opened(
        PAGE,
        qlab_variant="int8",
        pictures_source="A folder on this machine",
        pictures_folder=str(photos),
    )
    assert not test.exception
    assert test.title[0].value.startswith("int8 is right on 0 of 5 pictures")
    table = next(t.value for t in test.dataframe if "McNemar p" in t.value.columns)
    assert list(table["model"]) == ["original", "float32", "int8"]
    assert any(s.value == "int8 loses no right answer in any class" for s in test.header)


def test_a_wrong_table_is_a_sentence(run: Run) -> None:
    test = opened(PAGE)
    source = next(c for c in test.segmented_control if c.label == "Right answers")
    source.set_value("A table (CSV)").run()
    uploader = next(u for u in test.file_uploader if u.label.startswith("A table"))
    uploader.set_value(("labels.csv", b"name,class\na,1\n", "text/csv")).run()
    assert not test.exception
    assert "Reading the right answers" in " ".join(element.value for element in test.error)
