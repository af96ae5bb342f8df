"""Class names from JSON, YAML and CSV, which tell the index of each name."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

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

    Args:
        text: Content of a label file.

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
        names = {_index(key): _name(entry) for key, entry in value.items()}
        if len(names) < len(value) or set(names) != set(range(len(names))):
            raise ValueError(f"indices that are not 0 to {len(value) - 1}, each once")
        return [names[index] for index in range(len(names))]
    if isinstance(value, list):
        return [_name(entry) for entry in value]
    raise ValueError("neither a list of names nor names by index")


def _index(key: str) -> int:
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
