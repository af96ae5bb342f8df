"""The page Accuracy, with a run made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
    pills = next(p for p in test.pills if p.key == f"click_{pictures[2].sha256}")
    pills.set_value(int(pills.options[0].removeprefix("class "))).run()
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
    assert headers.index("Click the right answer") == 0, "the cards stay where they were"
    assert "All models" in headers


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
    assert any(s.value == "int8 loses no correct answer in any class" for s in test.header)


def test_a_wrong_table_is_a_sentence(run: Run) -> None:
    test = opened(PAGE)
    source = next(c for c in test.segmented_control if c.label == "Right answers")
    source.set_value("A table (CSV)").run()
    uploader = next(u for u in test.file_uploader if u.label.startswith("A table"))
    uploader.set_value(("labels.csv", b"name,class\na,1\n", "text/csv")).run()
    assert not test.exception
    assert "Reading the right answers" in " ".join(element.value for element in test.error)
