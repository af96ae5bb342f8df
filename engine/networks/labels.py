"""Class names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from engine.core.errors import LabelsError
from engine.core.text import read_text
from engine.networks.label_tables import names_of_table


def read_labels(path: Path, classes: int) -> tuple[str, ...]:
    """Read class names: one a line in the order of the logits, or JSON, YAML or CSV with indices.

    Args:
        path: The file, UTF-8, or UTF-16 or UTF-32 with a byte order mark; the forms that tell
            indices are those of `names_of_table`.
        classes: Number of logits.

    Returns:
        One name a class.

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
    return checked_names(names, classes, stage, "names" if table is not None else "lines")


def checked_names(
    names: Iterable[str], classes: int, stage: str = "Reading the labels", what: str = "names"
) -> tuple[str, ...]:
    """Strip class names, and demand one for each class.

    Args:
        names: The names in the order of the logits.
        classes: Number of logits.
        stage: What is being done, for the message.
        what: What is counted, for the message.

    Returns:
        One name a class.

    Raises:
        LabelsError: There are more or fewer, or one is empty or holds a control character.
    """
    names = [name.strip() for name in names]
    if len(names) != classes or not all(names):
        empty = [number for number, name in enumerate(names, 1) if not name]
        which = f", {what[:-1]} {empty[0]} of them empty" if empty else ""
        raise _misfit(stage, f"{len(names)} {what}{which}", classes)
    strange = next((n for n in names if any(ord(c) < 32 or c == "\x7f" for c in n)), None)
    if strange is not None:
        raise _misfit(stage, f"a control character in the name {strange[:40]!r}", classes)
    return tuple(names)


def _misfit(stage: str, got: str, classes: int) -> LabelsError:
    return LabelsError(
        stage,
        got=got,
        expected=f"{classes} lines, one a class of the model, or as many names with the indices "
        f"0 to {classes - 1}",
        todo="Give one class name a line, in the order of the model's outputs.",
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
