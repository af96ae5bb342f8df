"""Right answers that a person gave by clicking: ``RUN/labels/answers.json``, by picture content."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec
import numpy as np

from engine.core.errors import LabelsError, RunError
from engine.core.files import write_whole
from engine.core.locks import alone_in
from engine.core.types import IntArray
from engine.images.labels import UNLABELLED, answer_count, label_of
from engine.images.pictures import Picture
from engine.runs.run import LABELS, Run

_FILE = "answers.json"


def own_labels(run: Run, pictures: tuple[Picture, ...]) -> IntArray:
    """The right answers that were given for pictures.

    Args:
        run: The run.
        pictures: The pictures.

    Returns:
        Class index a picture, shape (pictures,), int64; -1 where none was given.

    Raises:
        RunError: What was kept is damaged.
    """
    kept = _kept(run)
    return np.array([kept.get(picture.sha256, UNLABELLED) for picture in pictures], dtype=np.int64)


def give_label(run: Run, picture: Picture, index: int | None) -> None:
    """Keep the right answer for a picture.

    Args:
        run: The run.
        picture: The picture; the same file under another name is the same picture.
        index: Its class; None takes an answer back.

    Raises:
        LabelsError: The model has no such class.
        RunError: What was kept is damaged.
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
    file = _place(run)
    with alone_in(file.parent):
        labels = _kept(run)
        labels.pop(picture.sha256, None)
        if index is not None:
            labels[picture.sha256] = index
        write_whole(file, msgspec.json.encode(labels))


def labels_table(run: Run, pictures: tuple[Picture, ...], labels: IntArray) -> str:
    """The right answers as a table that ``compare --labels-csv`` reads.

    Args:
        run: The run.
        pictures: The pictures.
        labels: Class index a picture, -1 for unknown.

    Returns:
        CSV with the columns ``filename,class_index,class_name``; unknown pictures are left out.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("filename", "class_index", "class_name"))
    for picture, index in zip(pictures, labels.tolist(), strict=True):
        if index != UNLABELLED:
            table.writerow((picture.name, index, label_of(run.manifest.labels, index)))
    return text.getvalue()


def _place(run: Run) -> Path:
    return run.folder / LABELS / _FILE


def _kept(run: Run) -> dict[str, int]:
    file = _place(run)
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, int])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise RunError(
            f"Reading the right answers of {run.folder.name}",
            got=f"a damaged {LABELS}/{_FILE}",
            expected="a file as it was written",
            todo=f"Delete {file} and give the answers again.",
        ) from error
