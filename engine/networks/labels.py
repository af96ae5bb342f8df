"""Class names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from engine.errors import LabelsError
from engine.text_files import read_text


def read_labels(path: Path, classes: int) -> tuple[str, ...]:
    """Read class names from a text file: one a line in the order of the logits, or JSON.

    JSON is a list of names, or an object from class index to name or to ``[wnid, name]``.

    Args:
        path: The file, UTF-8, or UTF-16 or UTF-32 with a byte order mark.
        classes: Number of logits.

    Returns:
        One name a class.

    Raises:
        LabelsError: The file cannot be read, or has another number of lines.
    """
    stage = f"Reading the labels in {path.name}"
    text = read_text(path, stage, "a text file with one class name a line")
    # Not splitlines(), which also ends lines at signs that a name may hold, such as U+2028.
    ended = text.rstrip().replace("\r\n", "\n")
    lines = [line.strip() for line in ended.split("\n" if "\n" in ended else "\r")]
    lines = _names_in_json(text, classes) or lines
    if len(lines) != classes or not all(lines):
        empty = [number for number, line in enumerate(lines, 1) if not line]
        found = f"{len(lines)} lines" + (f", line {empty[0]} of them empty" if empty else "")
        raise LabelsError(
            stage,
            got=found,
            expected=f"{classes} lines, one a class of the model",
            todo="Give one class name a line, in the order of the model's outputs, or a JSON list.",
        )
    return tuple(lines)


def _names_in_json(text: str, classes: int) -> list[str] | None:
    """Class names of a JSON list or object; None where the text is none of the two."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        content = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    if isinstance(content, dict):
        if set(content) != {str(index) for index in range(classes)}:
            return None
        content = [content[str(index)] for index in range(classes)]
    names = [value[-1] if isinstance(value, list) and value else value for value in content]
    # Escapes bring control characters past read_text, which refuses them.
    if not all(isinstance(n, str) and all(ord(c) >= 32 and c != "\x7f" for c in n) for n in names):
        return None
    return [name.strip() for name in names]


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
    """Names by which a person can choose a class: those that several share carry their number.

    Args:
        labels: Class names, or None.
        classes: Number of logits.

    Returns:
        One name an answer, no two alike.
    """
    names = [label_of(labels, index) for index in range(answer_count(classes))]
    counts = Counter(names)
    return tuple(
        f"{name} ({index})" if counts[name] > 1 else name for index, name in enumerate(names)
    )
