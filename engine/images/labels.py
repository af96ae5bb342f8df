"""Right answers for a set of images, from a table or from one folder a class, and class names."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import LabelsError
from engine.core.files import read_text
from engine.core.formats import plural
from engine.core.types import IntArray

if TYPE_CHECKING:
    import yaml

UNLABELLED = -1
TAG = "tag"
"""Column of a table for a person's own groups of pictures."""
_STAGE = "Reading the right answers"


def labels_from_csv(
    path: Path, names: Sequence[str], classes: int, answers: tuple[str, ...] | None = None
) -> IntArray:
    """Read the right answers from a table: ``filename`` and ``class_index`` or ``class_name``.

    A table with the column ``tag`` need not have any; see `engine.runs.labels.tags_from_csv`.

    An image is looked up by its name in the set, then by the tail of its path or of the row's,
    so that ``C:\\photos\\cat\\1.jpg`` is ``cat/1.jpg`` and ``1.jpg``.

    Args:
        path: A CSV file with a header, as `read_text` takes it.
        names: Names of the images.
        classes: Number of classes.
        answers: Class names of the model, or None. A row without an index is read by its name.

    Returns:
        Class index a picture, shape (pictures,), int64; -1 where the table has none.

    Raises:
        LabelsError: The table cannot be read, a row is wrong, no picture is in it, or it leaves
            open which row is which picture's.
    """
    text = read_text(path, _STAGE, "a CSV file with the columns filename,class_index")
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    table = _table(rows, path.name, classes, _ClassNames(answers))
    indices = look_up(table, names, path.name)
    if all(index == UNLABELLED for index in indices) and TAG not in (rows.fieldnames or ()):
        raise LabelsError(
            _STAGE,
            got=f"no row of {path.name} for any of the {len(names)} pictures",
            expected="rows whose filename is that of a picture",
            todo="Check that the table belongs to these pictures.",
        )
    return np.array(indices, dtype=np.int64)


def look_up(table: dict[str, int], names: Sequence[str], called: str) -> list[int]:
    """Find the row of each image by its name; see `labels_from_csv`.

    Returns:
        What the table, called ``called`` in messages, has for each; -1 for nothing.

    Raises:
        LabelsError: It is open which row is which picture's.
    """
    rows: dict[str, list[str]] = {}
    for row in table:
        rows.setdefault(PurePosixPath(row).name, []).append(row)
    answers, picture_of = [], dict[str, str]()
    for name in names:
        path = _posix(name)
        if path in table:
            answers.append(table[path])
            continue
        tails = [row for row in rows.get(PurePosixPath(path).name, ()) if _is_tail(row, path)]
        longest = max((_depth(row, path) for row in tails), default=0)
        nearest = [row for row in tails if _depth(row, path) == longest]
        if len({table[row] for row in nearest}) > 1:
            raise _open_which(f"the rows {nearest[0]} and {nearest[1]} of {called} for {name}")
        for row in nearest:
            if picture_of.setdefault(row, name) != name:
                raise _open_which(f"the row {row} of {called} for {picture_of[row]} and {name}")
        answers.append(table[nearest[0]] if nearest else UNLABELLED)
    return answers


def _posix(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def _is_tail(row: str, path: str) -> bool:
    """Tell whether one path is the end of the other."""
    depth = _depth(row, path)
    return PurePosixPath(row).parts[-depth:] == PurePosixPath(path).parts[-depth:]


def _depth(row: str, path: str) -> int:
    return min(len(PurePosixPath(row).parts), len(PurePosixPath(path).parts))


def _open_which(got: str) -> LabelsError:
    return LabelsError(
        _STAGE,
        got=got,
        expected="one row a picture",
        todo="Write the folders into the table, as the pictures are named.",
    )


class _ClassNames:
    """Indices of classes by their names, whatever their case.

    Args:
        labels: Class names of a model, or None.
    """

    def __init__(self, labels: tuple[str, ...] | None) -> None:
        self.indices: dict[str, int] = {}
        self.shared: set[str] = set()
        for position, label in enumerate(labels or ()):
            if self.indices.setdefault(_fold(label), position) != position:
                self.shared.add(_fold(label))

    def find(self, name: str) -> int | None:
        """Give the class of a name; None where none or more than one has it."""
        return None if _fold(name) in self.shared else self.indices.get(_fold(name))


def _table(
    rows: csv.DictReader[str], name: str, classes: int, class_names: _ClassNames
) -> dict[str, int]:
    table: dict[str, int] = {}
    try:
        _check_columns(rows.fieldnames or [], name)
        for row in rows:
            file = (row["filename"] or "").strip()
            given = (row.get("class_index") or "").strip()
            called = (row.get("class_name") or "").strip()
            if file and not given and not called and {"class_name", TAG} & set(row):
                continue  # a row of the template that nobody filled in
            index = _index(given, classes) if given or not called else class_names.find(called)
            path = _posix(file)
            if not file or index is None or table.get(path, index) != index:
                raise LabelsError(
                    _STAGE,
                    got=f"line {rows.line_num} of {name}: {file!r}, {given or called!r}",
                    expected=f"a file name, once, with a class index of 0 to {classes - 1}"
                    + (", or the name of one class" if class_names.indices else ""),
                    todo="Mend that line.",
                )
            table[path] = index
    except csv.Error as error:
        raise LabelsError(
            _STAGE,
            got=f"line {rows.line_num} of {name}, which is no CSV ({error})",
            expected="a CSV file with the columns filename,class_index",
            todo="Mend that line.",
        ) from error
    return table


def _check_columns(columns: Sequence[str], name: str) -> None:
    if "filename" not in columns or not {"class_index", "class_name", TAG} & set(columns):
        got = f"the columns {', '.join(columns) or 'none'} in {name}"
    elif len(set(columns)) < len(columns):
        got = f"a column twice in {name}: {', '.join(columns)}"
    else:
        return
    raise LabelsError(
        _STAGE,
        got=got,
        expected="the columns filename,class_index or filename,class_name",
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
    """Read the right answers from the folders of images: a class index or a class name each.

    Args:
        names: Names of the pictures, such as ``tabby/IMG_1.jpg`` or ``281/IMG_1.jpg``.
        labels: Class names of the model, or None.
        classes: Number of classes of the model.

    Returns:
        Class index a picture, shape (pictures,), int64.

    Raises:
        LabelsError: A picture lies in no folder, or a folder names no class.
    """
    class_names = _ClassNames(labels)
    indices = []
    for name in names:
        folder = Path(name).parent.name
        if _fold(folder) in class_names.shared:
            raise LabelsError(
                _STAGE,
                got=f"{name}, whose folder has the name of more than one class",
                expected="one class a folder",
                todo=f"Name it by class index, such as {class_names.indices[_fold(folder)]}.",
            )
        by_name = class_names.find(folder)
        index = _index(folder, classes) if folder.isdecimal() else by_name
        if index is not None and by_name not in {None, index}:
            raise LabelsError(
                _STAGE,
                got=f"{name}, whose folder is the index of class {index} and the name of class "
                f"{by_name}",
                expected="folders that mean one class",
                todo="Give a table with --labels-csv.",
            )
        if index is None:
            raise LabelsError(
                _STAGE,
                got=f"{name}, which lies in {'the folder ' + folder if folder else 'no folder'}",
                expected="one folder a class, named by class index or class name",
                todo="Rename the folder, or give a table with --labels-csv.",
            )
        indices.append(index)
    return np.array(indices, dtype=np.int64)


def _fold(name: str) -> str:
    return name.casefold().replace("_", " ").strip()


def read_labels(path: Path, classes: int) -> tuple[str, ...]:
    """Read class names: one a line in the order of the logits, or as `names_of_table` takes them.

    Raises:
        LabelsError: The file cannot be read, or has another number of names.
    """
    stage = f"Reading the labels in {path.name}"
    text = read_text(path, stage, "a text file with one class name a line")
    # Not splitlines(), which also ends lines at signs that a name may hold, such as U+2028.
    text = text.rstrip().replace("\r\n", "\n").replace("\r", "\n")
    try:
        table = names_of_table(text)
    except ValueError as error:
        raise _misfit(stage, str(error), classes) from error
    names = text.split("\n") if table is None else table
    return check_class_names(
        names, classes, stage, "names" if table is not None else "lines", path.name
    )


def check_class_names(
    names: Iterable[str],
    classes: int,
    stage: str = "Reading the labels",
    what: str = "names",
    called: str = "The list",
) -> tuple[str, ...]:
    """Strip class names, in the order of the logits, and demand one for each class.

    Raises:
        LabelsError: There are more or fewer, or one is empty or holds a control character.
    """
    names = [name.strip() for name in names]
    if len(names) != classes or not all(names):
        empty = [number for number, name in enumerate(names, 1) if not name]
        which = f", {what[:-1]} {empty[0]} of them empty" if empty else ""
        problem = (
            f"{called} has {plural(len(names), 'name')}, but the model has "
            f"{plural(classes, 'class', 'classes')}."
            if not empty
            else f"{called} leaves the name of a class empty."
        )
        raise _misfit(stage, f"{len(names)} {what}{which}", classes, problem)
    strange = next((n for n in names if any(ord(c) < 32 or c == "\x7f" for c in n)), None)
    if strange is not None:
        raise _misfit(stage, f"a control character in the name {strange[:40]!r}", classes)
    return tuple(names)


def _misfit(stage: str, got: str, classes: int, problem: str = "") -> LabelsError:
    return LabelsError(
        stage,
        got=got,
        expected=f"{classes} lines, one for each class, or as many names with the indices "
        f"0 to {classes - 1}",
        todo="Put one name per line, in the order of the model's outputs.",
        problem=problem,
    )


def answer_count(classes: int) -> int:
    """Count the answers that a model of so many outputs has: one output has two, no and yes."""
    return max(2, classes)


def answer_names(labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Name the answers of a model: one output is its class (answer 1) or not (answer 0)."""
    return (f"not {labels[0]}", *labels) if labels is not None and len(labels) == 1 else labels


def label_of(labels: tuple[str, ...] | None, index: int) -> str:
    """Name an answer by the class names of its model, or ``class 17`` where there are none."""
    names = answer_names(labels)
    return names[index] if names is not None else f"class {index}"


def unique_labels(labels: tuple[str, ...] | None, classes: int) -> tuple[str, ...]:
    """Name every answer so that no two are alike: names that several share carry their number."""
    names = [label_of(labels, index) for index in range(answer_count(classes))]
    counts = Counter(names)
    return tuple(
        f"{name} ({index})" if counts[name] > 1 else name for index, name in enumerate(names)
    )


_NAME_COLUMNS = ("name", "class_name", "label_name", "display_name", "label", "class", "category")
_INDEX_COLUMNS = ("index", "class_index", "class_id", "label_id", "id", "class", "label")
_YAML_NAMES = re.compile(r"^names:[ \t]*($|[\[{#&])", re.MULTILINE)
_LARGEST_YAML = 1_000_000
_DEEPEST_YAML = 20


def names_of_table(text: str) -> list[str] | None:
    """Read the class names of a JSON, YAML or CSV text, in the order of their indices.

    JSON: a list of names, or an object of index to name or to [id, name]; Hugging Face's
    ``id2label`` and a ``names`` entry are looked into. YAML: the ``names`` of Ultralytics, a list
    or index to name. CSV: with a header that names a column of indices and one of names.

    Returns:
        The names; None where the text is none of these.

    Raises:
        ValueError: It is one of these, and cannot be read.
    """
    start = text.lstrip()[:1]
    if start in {"[", "{"}:
        try:
            return _in_order(json.loads(text, object_pairs_hook=_without_repetition))
        except json.JSONDecodeError as error:
            if start == "[":  # a first class such as [background]
                return None
            raise ValueError(f"what is no JSON ({error})") from error
        except RecursionError as error:
            raise ValueError("JSON that is nested too deeply") from error
    if _YAML_NAMES.search(text):
        return _in_order(_yaml_value(text))
    return _csv_names(text)


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("an index or a key twice")
    return entries


def _in_order(value: object) -> list[str]:
    if isinstance(value, dict):
        value = value.get("names", value.get("id2label", value))
    if isinstance(value, dict):
        names = {_index_of_key(key): _name(entry) for key, entry in value.items()}
        if len(names) < len(value) or set(names) != set(range(len(names))):
            raise ValueError(f"indices that are not 0 to {len(value) - 1}, each once")
        return [names[index] for index in range(len(names))]
    if isinstance(value, list):
        return [_name(entry) for entry in value]
    raise ValueError("neither a list of names nor names by index")


def _index_of_key(key: str) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) <= 9):
        raise ValueError(f"{key[:40]!r} where an index belongs")
    return int(key)


def _name(entry: object) -> str:
    if isinstance(entry, list) and len(entry) == 2:
        entry = entry[1]  # Keras and torchvision: [WordNet id, name]
    if not isinstance(entry, str):
        raise ValueError(f"{str(entry)[:40]!r} where a name belongs")
    return entry


def _yaml_value(text: str) -> object:
    import yaml

    if len(text) > _LARGEST_YAML:
        raise ValueError(f"YAML of more than {_LARGEST_YAML / 1e6:g} million characters")
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.BaseLoader):
            if isinstance(event, yaml.AliasEvent):  # a few may expand to billions of names
                raise ValueError("YAML with aliases (*name)")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST_YAML:
                raise ValueError("YAML that is nested too deeply")
        return _plain(yaml.compose(text, Loader=yaml.BaseLoader))
    except yaml.YAMLError as error:
        raise ValueError(f"what is no YAML ({' '.join(str(error).split())})") from error


def _plain(node: yaml.Node) -> object:
    """Turn a node into lists, dicts and texts; nothing is guessed: ``no`` stays ``no``."""
    if node.id == "mapping":
        return _without_repetition([(str(key.value), _plain(value)) for key, value in node.value])
    if node.id == "sequence":
        return [_plain(value) for value in node.value]
    return node.value


def _csv_names(text: str) -> list[str] | None:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [cell.strip().lower() for cell in next(rows, [])]
        name = next((column for column in _NAME_COLUMNS if column in columns), None)
        index = next((c for c in _INDEX_COLUMNS if c in columns and c != name), None)
        if name is None or index is None or len(set(columns)) < len(columns):
            return None
        entries: list[tuple[str, object]] = []
        for row in filter(None, rows):
            if len(row) != len(columns):
                raise ValueError(f"line {rows.line_num} with {len(row)} of {len(columns)} columns")
            entries.append((row[columns.index(index)].strip(), row[columns.index(name)]))
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}, which is no CSV ({error})") from error
    return _in_order(_without_repetition(entries))
