from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import LabelsError, RunError
from engine.images.labels import labels_from_csv
from engine.images.pictures import pictures_in
from engine.runs.labels import give_label, labels_table, labels_template, own_labels
from engine.runs.run import LABELS
from tests.helpers.tiny_run import CLASSES, tiny_run


def test_answers_belong_to_the_content_and_can_be_taken_back(tmp_path: Path, photos: Path) -> None:
    run, pictures = tiny_run(tmp_path / "run"), pictures_in(photos)
    assert own_labels(run, pictures).tolist() == [-1] * 5
    give_label(run, pictures[1], 7)
    give_label(run, pictures[1], 8)
    give_label(run, pictures[4], 0)
    assert own_labels(run, pictures).tolist() == [-1, 8, -1, -1, 0]
    assert own_labels(run, (replace(pictures[1], name="other.png"),)).tolist() == [8]
    give_label(run, pictures[1], None)
    assert own_labels(run, pictures).tolist() == [-1, -1, -1, -1, 0]


def test_the_table_is_read_as_a_persons_own(tmp_path: Path, photos: Path) -> None:
    run, pictures = tiny_run(tmp_path / "run"), pictures_in(photos)
    labels = np.array([3, -1, 0, -1, CLASSES - 1])
    table = tmp_path / "labels.csv"
    table.write_text(labels_table(run, pictures, labels))
    read = labels_from_csv(table, [picture.name for picture in pictures], CLASSES)
    assert read.tolist() == labels.tolist()
    assert table.read_text().splitlines()[1] == "photo_0.png,3,class 3"


def test_the_template_is_read_as_no_answers_until_it_is_filled_in(
    tmp_path: Path, photos: Path
) -> None:
    pictures = pictures_in(photos)
    table = tmp_path / "labels.csv"
    lines = labels_template(pictures).splitlines()
    assert lines[:2] == ["filename,class_index,class_name", "photo_0.png,,"]
    table.write_text("\n".join([*lines[:2], "photo_1.png,,dog", *lines[3:]]))
    names = [picture.name for picture in pictures]
    assert labels_from_csv(table, names, 2, ("cat", "dog")).tolist() == [-1, 1, -1, -1, -1]
    table.write_text(labels_template(pictures))
    with pytest.raises(LabelsError, match="no row"):
        labels_from_csv(table, names, 2, ("cat", "dog"))


@pytest.mark.parametrize("index", [-1, CLASSES])
def test_a_class_that_the_model_lacks_is_refused(tmp_path: Path, photos: Path, index: int) -> None:
    run = tiny_run(tmp_path / "run")
    with pytest.raises(LabelsError, match=f"class {index} for photo_0"):
        give_label(run, pictures_in(photos)[0], index)


def test_damage_is_told(tmp_path: Path, photos: Path) -> None:
    run, pictures = tiny_run(tmp_path / "run"), pictures_in(photos)
    give_label(run, pictures[0], 1)
    next((run.folder / LABELS).iterdir()).write_text("[")
    with pytest.raises(RunError, match="a damaged labels/"):
        own_labels(run, pictures)
