"""Class names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from engine.errors import LabelsError
from engine.text_files import read_text


def read_labels(path: Path, classes: int) -> tuple[str, ...]:
    """Read class names from a text file, one a line, in the order of the logits.

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
    lines = [line.strip() for line in text.rstrip().replace("\r\n", "\n").split("\n")]
    if len(lines) != classes or not all(lines):
        empty = [number for number, line in enumerate(lines, 1) if not line]
        found = f"{len(lines)} lines" + (f", line {empty[0]} of them empty" if empty else "")
        raise LabelsError(
            stage,
            got=found,
            expected=f"{classes} lines, one a class of the model",
            todo="Give one class name a line, in the order of the model's outputs.",
        )
    return tuple(lines)


def label_of(labels: tuple[str, ...] | None, index: int) -> str:
    """Name of a class, or ``class 17`` where there are no names."""
    return labels[index] if labels is not None else f"class {index}"


def unique_labels(labels: tuple[str, ...] | None, classes: int) -> tuple[str, ...]:
    """Names by which a person can choose a class: those that several share carry their number.

    Args:
        labels: Class names, or None.
        classes: Number of logits.

    Returns:
        One name a class, no two alike.
    """
    counts = Counter(labels)
    return tuple(
        f"{name} ({index})" if counts[name] > 1 else name
        for index, name in enumerate(label_of(labels, index) for index in range(classes))
    )
