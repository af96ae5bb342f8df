"""Right answers and tags that a person gave, by picture content.

Right answers by clicking are in ``RUN/labels/answers.json``. Tags are a person's own words, so that
each person has a file: ``RUN/labels/tags-<owner>.json``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from engine.core.checksums import read_record
from engine.core.errors import LabelsError
from engine.core.files import read_text, write_whole
from engine.core.locks import exclusive_lock
from engine.core.types import IntArray
from engine.images.labels import TAG, UNLABELLED, answer_count, label_of, look_up
from engine.images.pictures import Picture
from engine.runs.run import LABELS, Run

Tags = tuple[tuple[str, ...], ...]
"""The tags of each image of a set, in its order."""
_LONGEST_TAG = 40


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


def tags_from_csv(path: Path, names: Sequence[str]) -> Tags:
    """Read the tags of images from the column ``tag`` of a table; see `labels_from_csv`.

    Returns:
        The tags of each image; a cell may hold several, with ``;`` between them.

    Raises:
        LabelsError: The table cannot be read, a tag is too long, or it is open which row is which
            picture's.
    """
    stage = "Reading the tags"
    rows = csv.DictReader(io.StringIO(read_text(path, stage, "a CSV file"), newline=""))
    if TAG not in (rows.fieldnames or ()) or "filename" not in (rows.fieldnames or ()):
        return ((),) * len(names)
    distinct: dict[tuple[str, ...], int] = {}
    table: dict[str, int] = {}
    for row in rows:
        given = tuple(clean_tag(tag) for tag in (row[TAG] or "").split(";") if tag.strip())
        if row["filename"] and given:
            file = row["filename"].strip().replace("\\", "/")
            table[file] = distinct.setdefault(given, len(distinct))
    by_index = tuple(distinct)
    indices = look_up(table, names, path.name)
    return tuple(() if index == UNLABELLED else by_index[index] for index in indices)


def clean_tag(text: str) -> str:
    """Strip a tag.

    Raises:
        LabelsError: It is empty, too long, or holds a sign that a tag cannot have.
    """
    tag = " ".join(text.split())
    if not tag or len(tag) > _LONGEST_TAG or ";" in tag or not tag.isprintable():
        raise LabelsError(
            "Naming a tag",
            got=repr(text[: 2 * _LONGEST_TAG]),
            expected=f"1 to {_LONGEST_TAG} signs without a semicolon",
            todo="Choose a short name, such as night.",
        )
    return tag


def own_tags(run: Run, owner: str, pictures: tuple[Picture, ...]) -> Tags:
    """Read the tags that a person gave images.

    Raises:
        RunError: The file is damaged.
    """
    tags = _read_tags(run, owner)
    return tuple(tuple(tags.get(picture.sha256, ())) for picture in pictures)


def give_tag(run: Run, owner: str, pictures: Iterable[Picture], tag: str) -> None:
    """Store a tag of images for a person; see `clean_tag`.

    Raises:
        LabelsError: The tag cannot be used.
        RunError: The file is damaged.
        StorageError: The disk refuses.
    """
    named = clean_tag(tag)
    _change_tags(run, owner, pictures, lambda tags: sorted({*tags, named}))


def remove_tag(run: Run, owner: str, pictures: Iterable[Picture], tag: str) -> None:
    """Remove a tag of images; raises as `give_tag`."""
    _change_tags(run, owner, pictures, lambda tags: [name for name in tags if name != tag])


def _change_tags(
    run: Run, owner: str, pictures: Iterable[Picture], change: Callable[[list[str]], list[str]]
) -> None:
    file = _tags_file(run, owner)
    with exclusive_lock(file.parent):
        tags = _read_tags(run, owner)
        for picture in pictures:
            tags[picture.sha256] = change(tags.pop(picture.sha256, []))
        write_whole(file, msgspec.json.encode({key: names for key, names in tags.items() if names}))


def _tags_file(run: Run, owner: str) -> Path:
    return run.folder / LABELS / f"tags-{owner}.json"


def _read_tags(run: Run, owner: str) -> dict[str, list[str]]:
    file = _tags_file(run, owner)
    if not file.exists():
        return {}
    stage = f"Reading the tags in {run.folder.name}"
    return read_record(file, dict[str, list[str]], stage, f"Delete {file} and give them again.")


def _file(run: Run) -> Path:
    return run.folder / LABELS / "answers.json"


def _read(run: Run) -> dict[str, int]:
    file = _file(run)
    if not file.exists():
        return {}
    stage = f"Reading the right answers of {run.folder.name}"
    return read_record(file, dict[str, int], stage, f"Delete {file} and give the answers again.")
