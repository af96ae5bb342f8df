"""Programs in a process of their own: their end, and their words."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from engine.core.errors import ConversionError
from engine.core.programs import last_line, read_words, run_program

FAILURE = partial(ConversionError, "Asking", expected="an answer", todo="Wait.")


def run(script: str, seconds: float = 60, folder: Path | None = None) -> tuple[int, str]:
    ended = run_program(["sh", "-c", script], seconds, "the tool", FAILURE, folder)
    return ended.returncode, read_words(ended)


def test_it_gives_exit_code_and_words_in_a_folder(tmp_path: Path) -> None:
    assert run("echo late >&2; pwd; exit 4", folder=tmp_path) == (4, f"{tmp_path}\nlate\n")


def test_it_has_nothing_to_read() -> None:
    """A worker's standard input is its pipe of tasks; a tool that reads must not take one."""
    assert run("cat") == (0, "")


def test_no_end_is_a_sentence() -> None:
    with pytest.raises(ConversionError, match=r"no end of the tool within 0\.1 s; expected an"):
        run("exec sleep 60", 0.1)


def test_no_start_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"the tool that does not start .No such file"):
        run_program([str(tmp_path / "absent")], 1, "the tool", FAILURE)
    (tmp_path / "text").write_text("no program")
    with pytest.raises(ConversionError, match=r"the tool that does not start .Permission"):
        run_program([str(tmp_path / "text")], 1, "the tool", FAILURE)


@pytest.mark.parametrize(
    ("words", "line"), [("a\n b \n\n \n", "b"), ("", "no message"), ("\n \n", "no message")]
)
def test_the_last_line_is_the_last_with_something_in_it(words: str, line: str) -> None:
    assert last_line(words) == line
