"""Right answers that a person gave by clicking: ``RUN/labels/answers.json``, by picture content."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec
import numpy as np

from engine.core.checksums import read_record
from engine.core.errors import LabelsError
from engine.core.files import write_whole
from engine.core.locks import exclusive_lock
from engine.core.types import IntArray
from engine.images.labels import UNLABELLED, answer_count, label_of
from engine.images.pictures import Picture
from engine.runs.run import LABELS, Run


def own_labels(run: Run, pictures: tuple[Picture, ...]) -> IntArray:
    """Read the right answers that a person gave for images.

    Returns:
        Class index an image, shape (images,), int64; -1 where none was given.

    Raises:
        RunError: The file is damaged.
    """
    labels = _read(run)
    indices = [labels.get(picture.sha256, UNLABELLED) for picture in pictures]
    return np.array(indices, dtype=np.int64)


def give_label(run: Run, picture: Picture, index: int | None) -> None:
    """Store the class of an image, by its content; None removes it.

    Raises:
        LabelsError: The model has no such class.
        RunError: The file is damaged.
        StorageError: The disk refuses.
    """
    classes = answer_count(run.manifest.model.classes)
    if index is not None and not 0 <= index < classes:
        raise LabelsError(
            "Keeping the right answer",
            got=f"class {index} for {picture.name}",
            expected=f"0 to {classes - 1}",
            todo="Choose another class.",
        )
    file = _file(run)
    with exclusive_lock(file.parent):
        labels = _read(run)
        labels.pop(picture.sha256, None)
        if index is not None:
            labels[picture.sha256] = index
        write_whole(file, msgspec.json.encode(labels))


def labels_table(run: Run, pictures: tuple[Picture, ...], labels: IntArray) -> str:
    """Write the right answers as a table that ``compare --labels-csv`` reads.

    Returns:
        CSV with the columns ``filename,class_index,class_name``, without unlabelled images.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("filename", "class_index", "class_name"))
    for picture, index in zip(pictures, labels.tolist(), strict=True):
        if index != UNLABELLED:
            table.writerow((picture.name, index, label_of(run.manifest.labels, index)))
    return text.getvalue()


def labels_template(pictures: tuple[Picture, ...]) -> str:
    """Write a table to fill in: a row an image, without its class."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("filename", "class_index", "class_name"))
    table.writerows((picture.name, "", "") for picture in pictures)
    return text.getvalue()


def _file(run: Run) -> Path:
    return run.folder / LABELS / "answers.json"


def _read(run: Run) -> dict[str, int]:
    file = _file(run)
    if not file.exists():
        return {}
    stage = f"Reading the right answers of {run.folder.name}"
    return read_record(file, dict[str, int], stage, f"Delete {file} and give the answers again.")
