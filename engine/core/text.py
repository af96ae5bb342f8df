"""Text files from outside, and text from outside on its way into other files."""

from __future__ import annotations

import codecs
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.errors import LabelsError, OptionError
from engine.core.limits import LIMITS

if TYPE_CHECKING:
    import pandas as pd

# UTF-32's mark begins like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def read_text(path: Path, stage: str, expected: str) -> str:
    """Read a text file in UTF-8, or in what its byte order mark says.

    Args:
        path: The file.
        stage: What is being done, for messages.
        expected: What the file should be, for messages.

    Returns:
        Its text, without the mark.

    Raises:
        LabelsError: It cannot be read, is too large, or is no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LIMITS.text_bytes + 1)
    except OSError as error:
        raise LabelsError(
            stage,
            got=f"{path}, which cannot be read ({error.strerror})",
            expected=expected,
            todo="Check the path.",
        ) from error
    if len(data) > LIMITS.text_bytes:
        raise LabelsError(
            stage,
            got=f"more than {LIMITS.text_bytes / 1e6:.0f} MB",
            expected=expected,
            todo="Check that it is the right file.",
        )
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise LabelsError(
            stage,
            got=f"bytes that are no {encoding.removesuffix('-sig').upper()} text ({error.reason})",
            expected=expected,
            todo="Save it as UTF-8 text.",
        ) from error
    strange = next((c for c in text if c not in "\n\r\t" and (ord(c) < 32 or c == "\x7f")), None)
    if strange is not None:
        raise LabelsError(
            stage,
            got=f"a control character (code {ord(strange)})",
            expected=expected,
            todo="Save it as plain UTF-8 text.",
        )
    return text


def defused(text: str) -> str:
    """Text from outside for a cell that a spreadsheet may open: no formula.

    A spreadsheet runs what begins with ``=``, ``+``, ``-``, ``@``, a tabulator or a carriage
    return; an apostrophe in front makes it text.
    """
    return f"'{text}" if text.startswith(_FORMULAS) else text


def defused_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table on its way to a CSV file, with every text `defused`, those of its head, too."""
    cells = table.map(lambda value: defused(value) if isinstance(value, str) else value)
    return cells.rename(columns=lambda name: defused(name) if isinstance(name, str) else name)


def figure_text(text: str) -> str:
    """Text from outside for a figure: Plotly reads tags, and would show what they do."""
    return escape(text, quote=False)


def write_text(text: str, target: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        OptionError: It cannot be written.
    """
    path = Path(target)
    aside = path.with_name(f".{path.name}.partial")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise OptionError(
            f"Writing {target}",
            got=f"a refusal ({error.strerror})",
            expected="a place to write to",
            todo="Choose another file.",
        ) from error
