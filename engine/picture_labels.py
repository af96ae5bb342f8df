"""The right answers for a set of pictures: from a table, or from one folder a class."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.errors import LabelsError
from engine.types import IntArray

UNLABELLED = -1
_STAGE = "Reading the right answers"


def labels_from_csv(path: Path, names: Sequence[str], classes: int) -> IntArray:
    """Right answers from a table with the columns ``filename,class_index``.

    A picture is looked up by its name in the set, then by its file name alone.

    Args:
        path: The CSV file, UTF-8, with a header.
        names: Names of the pictures.
        classes: Number of classes of the model.

    Returns:
        Class index a picture, shape (pictures,), int64; -1 where the table has none.

    Raises:
        LabelsError: The table cannot be read, a row is wrong, or no picture is in it.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(
            _STAGE,
            got=f"{path}, which cannot be read as UTF-8 text ({error})",
            expected="a CSV file with the columns filename,class_index",
            todo="Check the path, or save it as UTF-8.",
        ) from error
    table = _table(csv.DictReader(io.StringIO(text)), path.name, classes)
    found = [table.get(name, table.get(Path(name).name, UNLABELLED)) for name in names]
    if all(label == UNLABELLED for label in found):
        raise LabelsError(
            _STAGE,
            got=f"no row of {path.name} for any of the {len(names)} pictures",
            expected="rows whose filename is that of a picture",
            todo="Check that the table belongs to these pictures.",
        )
    return np.array(found, dtype=np.int64)


def _table(rows: csv.DictReader[str], name: str, classes: int) -> dict[str, int]:
    columns = rows.fieldnames or []
    if not {"filename", "class_index"} <= set(columns):
        raise LabelsError(
            _STAGE,
            got=f"the columns {', '.join(columns) or 'none'} in {name}",
            expected="the columns filename,class_index",
            todo="Give the table a header with these names.",
        )
    table: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        file, index = (row["filename"] or "").strip(), _index(row["class_index"], classes)
        if not file or index is None or table.get(file, index) != index:
            raise LabelsError(
                _STAGE,
                got=f"line {number} of {name}: {file!r}, {row['class_index']!r}",
                expected=f"a file name, once, with a class index of 0 to {classes - 1}",
                todo="Mend that line.",
            )
        table[file] = index
    return table


def _index(text: str | None, classes: int) -> int | None:
    try:
        index = int(text or "")
    except ValueError:
        return None
    return index if 0 <= index < classes else None


def labels_from_folders(
    names: Sequence[str], labels: tuple[str, ...] | None, classes: int
) -> IntArray:
    """Right answers from the folders that pictures lie in: a class index or a class name each.

    Args:
        names: Names of the pictures, such as ``tabby/IMG_1.jpg`` or ``281/IMG_1.jpg``.
        labels: Class names of the model, or None.
        classes: Number of classes of the model.

    Returns:
        Class index a picture, shape (pictures,), int64.

    Raises:
        LabelsError: A picture lies in no folder, or a folder names no class.
    """
    known: dict[str, int] = {}
    for position, label in reversed(list(enumerate(labels or ()))):
        known[_folded(label)] = position
    found = []
    for name in names:
        folder = Path(name).parent.name
        index: int | None = (
            _index(folder, classes) if folder.isdecimal() else known.get(_folded(folder))
        )
        if index is None:
            raise LabelsError(
                _STAGE,
                got=f"{name}, which lies in {'the folder ' + folder if folder else 'no folder'}",
                expected="one folder a class, named by class index or class name",
                todo="Rename the folder, or give a table with --labels-csv.",
            )
        found.append(index)
    return np.array(found, dtype=np.int64)


def _folded(name: str) -> str:
    return name.casefold().replace("_", " ").strip()
