"""Class names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from engine.errors import LabelsError

LARGEST_LABELS_BYTES = 4 * 1024**2


def read_labels(path: Path, classes: int) -> tuple[str, ...]:
    """Read class names from a text file, one a line, in the order of the logits.

    Args:
        path: The file, UTF-8 with or without a byte order mark.
        classes: Number of logits.

    Returns:
        One name a class.

    Raises:
        LabelsError: The file cannot be read, or has another number of lines.
    """
    stage = f"Reading the labels in {path.name}"
    try:
        if path.stat().st_size > LARGEST_LABELS_BYTES:
            raise LabelsError(
                stage,
                got=f"{path.stat().st_size / 1e6:.0f} MB",
                expected="a text file with one class name a line",
                todo="Give the list of class names.",
            )
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(
            stage,
            got=f"a file that cannot be read as UTF-8 text ({error})",
            expected="a text file with one class name a line",
            todo="Save it as UTF-8 text.",
        ) from error
    lines = [line.strip() for line in text.rstrip().splitlines()]
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
