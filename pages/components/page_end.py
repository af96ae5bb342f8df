"""How a page ends early: by an exception of its own, so that Streamlit's script ends as usual.

After `st.stop` Streamlit forgets neither the fragments nor the widgets of what was on show before.
A fragment that asks to be run again could then bring a page back that a person has left.
"""

from __future__ import annotations

from typing import NoReturn

import streamlit as st

_ON_SHOW = "qlab_page"


class PageEnd(Exception):
    """The page ends here; what stands below every page still comes."""


def end_page() -> NoReturn:
    """End the page.

    Raises:
        PageEnd: Always; `pages.components.story.chapter` catches it.
    """
    raise PageEnd


def note_page(title: str) -> None:
    """Note which page is on show."""
    st.session_state[_ON_SHOW] = title


def page_on_show() -> str:
    """Title of the page that this session shows; empty before the first."""
    return str(st.session_state.get(_ON_SHOW, ""))
