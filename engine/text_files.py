"""Text files, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from engine.errors import OptionError


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
