"""How errors and empty states look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import NoReturn

import streamlit as st

from engine.core.errors import EngineError
from engine.core.files import escape_formula

_KEPT = "qlab_kept_problem"
_SPECIAL = re.compile(r"[\\`*{}\[\]()#+\-!|~$:<>&@]|(?<=www)\.|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


@contextmanager
def show_errors() -> Iterator[None]:
    """Turn an error of the engine into a message and end the page there."""
    try:
        yield
    except EngineError as error:
        show_problem(error)
        end_page()


@contextmanager
def keep_error() -> Iterator[None]:
    """Keep an error of the engine for the page: while a callback runs, nothing can be shown."""
    try:
        yield
    except EngineError as error:
        st.session_state[_KEPT] = error


def show_kept_problem() -> None:
    """Show what a callback ran into, once."""
    if (problem := st.session_state.pop(_KEPT, None)) is not None:
        show_problem(problem)


def show_problem(error: EngineError) -> None:
    """Show an error: first what is wrong, then what to do, last what was met while doing what."""
    met = f"{error.stage}: got {error.got}; expected {error.expected}."
    first, *rest = (
        (error.problem, error.todo, met)
        if error.problem
        else (f"{error.stage}: {error.got}", f"Expected {error.expected}.", error.todo)
    )
    # A quiet last line: the words of a library, for those who look for the cause.
    last = f":small[{plain(rest.pop())}]" if error.problem else plain(rest.pop())
    st.error("\n\n".join((f"**{plain(first)}**", *map(plain, rest), last)), icon=":material/error:")


def plain(text: str) -> str:
    """Text from outside, so that Markdown shows it as it is."""
    flat = text.replace("\n", " ")
    # Within a word an underscore means nothing to Markdown, and names are full of them.
    return _SPECIAL.sub(r"\\\g<0>", flat)


def cell(text: str) -> str:
    """Text from outside, for a table: people save tables as CSV and open them in a spreadsheet."""
    return escape_formula(text)


def html(text: str) -> str:
    """Text from outside, for use inside HTML."""
    return escape(text, quote=True)


def no_run_yet() -> NoReturn:
    """Show the empty state of every page that needs a run, and end the page."""
    st.title("Nothing is converted yet")
    with st.container(border=True):
        st.markdown(
            "This page compares the variants of a converted model. EfficientNet-Lite0 is on this "
            "machine already: converting it takes a minute or two and needs no network."
        )
        st.page_link(
            "pages/dashboard/convert.py",
            label="Convert a model",
            icon=":material/conversion_path:",
        )
    end_page()


_ON_SHOW, _BEFORE = "qlab_page", "qlab_page_before"


class PageEnd(Exception):
    """The page ends here; what stands below every page still comes."""


def end_page() -> NoReturn:
    """End the page.

    Raises:
        PageEnd: Always; `pages.shell.navigation.chapter` catches it.
    """
    raise PageEnd


def note_page(title: str) -> None:
    """Note which page is on show."""
    st.session_state[_BEFORE] = page_on_show()
    st.session_state[_ON_SHOW] = title


def page_on_show() -> str:
    """Title of the page that this session shows; empty before the first."""
    return str(st.session_state.get(_ON_SHOW, ""))


def just_opened() -> bool:
    """Check whether the page on show has been opened just now, rather than drawn again."""
    return st.session_state.get(_BEFORE) != page_on_show()
