"""The right answers for a set of pictures: from a table, or from one folder a class."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from engine.errors import LabelsError
from engine.text_files import read_text
from engine.types import IntArray

UNLABELLED = -1
_STAGE = "Reading the right answers"


def labels_from_csv(path: Path, names: Sequence[str], classes: int) -> IntArray:
    """Right answers from a table with the columns ``filename,class_index``.

    A picture is looked up by its name in the set, then by its file name alone, as long as no other
    picture has that file name. Rows may hold whole paths, with ``/`` or ``\\``.

    Args:
        path: The CSV file with a header, UTF-8, or UTF-16 or UTF-32 with a byte order mark.
        names: Names of the pictures.
        classes: Number of classes of the model.

    Returns:
        Class index a picture, shape (pictures,), int64; -1 where the table has none.

    Raises:
        LabelsError: The table cannot be read, a row is wrong, no picture is in it, or a row names
            several pictures.
    """
    text = read_text(path, _STAGE, "a CSV file with the columns filename,class_index")
    table = _table(csv.DictReader(io.StringIO(text, newline=""), strict=True), path.name, classes)
    rows = _labels_by_end(table)
    found = [_label_of(name, table, rows) for name in names]
    users = Counter(row for name in names for row in _shorter_rows(name, table, rows))
    for name, label in zip(names, found, strict=True):
        if label is None or any(users[row] > 1 for row in _shorter_rows(name, table, rows)):
            raise LabelsError(
                _STAGE,
                got=f"{name}, which shares its row in {path.name} or has several of them",
                expected="a row for each picture",
                todo=f"Write {name}, with its folder, into the table.",
            )
    if all(label == UNLABELLED for label in found):
        raise LabelsError(
            _STAGE,
            got=f"no row of {path.name} for any of the {len(names)} pictures",
            expected="rows whose filename is that of a picture",
            todo="Check that the table belongs to these pictures.",
        )
    return np.array(found, dtype=np.int64)


def _ends(name: str) -> list[str]:
    """A path without its first folders, the longest first: ``a/b/c``, ``b/c``, ``c``."""
    parts = name.replace("\\", "/").split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _labels_by_end(table: Mapping[str, int]) -> dict[str, set[int]]:
    labels: dict[str, set[int]] = {}
    for row, label in table.items():
        for end in _ends(row):
            labels.setdefault(end, set()).add(label)
    return labels


def _shorter_rows(
    name: str, table: Mapping[str, int], rows: Mapping[str, set[int]]
) -> tuple[str, ...]:
    """The row that names a picture without its folders, where no row names it with them."""
    if name in table or name in rows:
        return ()
    return next(((end,) for end in _ends(name) if end in table), ())


def _label_of(name: str, table: Mapping[str, int], rows: Mapping[str, set[int]]) -> int | None:
    """Class index of a picture; -1 without a row, None where rows of its name differ."""
    if name in table:
        return table[name]
    if name in rows:
        return next(iter(rows[name])) if len(rows[name]) == 1 else None
    return next((table[row] for row in _shorter_rows(name, table, rows)), UNLABELLED)


def _table(rows: csv.DictReader[str], name: str, classes: int) -> dict[str, int]:
    table: dict[str, int] = {}
    try:
        _check_columns(rows.fieldnames or [], name)
        for row in rows:
            file, index = (row["filename"] or "").strip(), _index(row["class_index"], classes)
            if not file or index is None or table.get(file, index) != index:
                raise LabelsError(
                    _STAGE,
                    got=f"line {rows.line_num} of {name}: {file!r}, {row['class_index']!r}",
                    expected=f"a file name, once, with a class index of 0 to {classes - 1}",
                    todo="Mend that line.",
                )
            table[file] = index
    except csv.Error as error:
        raise LabelsError(
            _STAGE,
            got=f"line {rows.line_num} of {name}, which is no CSV ({error})",
            expected="a CSV file with the columns filename,class_index",
            todo="Mend that line.",
        ) from error
    return table


def _check_columns(columns: Sequence[str], name: str) -> None:
    if not {"filename", "class_index"} <= set(columns):
        found = ", ".join(columns) or "none"
        got = f"the columns {found} in {name}"
    elif len(set(columns)) < len(columns):
        got = f"a column twice in {name}: {', '.join(columns)}"
    else:
        return
    raise LabelsError(
        _STAGE,
        got=got,
        expected="the columns filename,class_index",
        todo="Give the table a header with these names.",
    )


def _index(text: str | None, classes: int) -> int | None:
    plain = (text or "").strip()
    # int() takes "1_0" and digits of every script, which a table means otherwise or by mistake.
    if not (plain.isascii() and plain.isdecimal() and len(plain) <= 9):
        return None
    return int(plain) if int(plain) < classes else None


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
    shared: set[str] = set()
    for position, label in enumerate(labels or ()):
        if known.setdefault(_folded(label), position) != position:
            shared.add(_folded(label))
    found = []
    for name in names:
        folder = Path(name).parent.name
        if _folded(folder) in shared:
            raise LabelsError(
                _STAGE,
                got=f"{name}, whose folder has the name of more than one class",
                expected="one class a folder",
                todo=f"Name it by class index, such as {known[_folded(folder)]}.",
            )
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
