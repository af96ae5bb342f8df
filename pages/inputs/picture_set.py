"""The pictures on show, chosen in the sidebar of every page, with their right answers."""

from __future__ import annotations

import streamlit as st

from engine.core.formats import plural
from engine.runs.run import Run
from engine.tasks.evaluate import warm_up
from pages.inputs.labels import choose_labels
from pages.inputs.pictures import choose_source
from pages.state import session
from pages.state.messages import show_problem

_PLACE = "pictures_of_the_sidebar"
_BRING_INTO_VIEW = """
<script>
/* {moment} */
setTimeout(() => {{
  document.querySelector("[data-testid=stExpandSidebarButton]")?.click();
  setTimeout(() => {{
    document.querySelector(".st-key-{key}")?.scrollIntoView({{ block: "nearest" }});
    document.querySelector(".st-key-{key} summary")?.focus();
  }}, 400);
}}, 100);
</script>
"""
"""On a phone the sidebar is closed, and where it is low it scrolls."""


def show_picture_set(run: Run) -> None:
    """Show how many pictures are on show and whose; opened, the ways to choose others."""
    with st.container(key=_PLACE):
        # Streamlit makes another expander of one whose label changes, closed and empty.
        on_show = st.empty()
        panel = st.expander(
            "Choose pictures",
            icon=":material/photo_library:",
            key=session.PICTURE_SET,
            on_change="rerun",
        )
        closed = st.container()
    if panel.open:
        warm_up(run)
    with panel:
        problem = choose_source(run)
        on_show.caption(_title())
        if problem is not None:
            with panel if panel.open else closed:
                show_problem(problem)
                st.caption(f"Meanwhile {_title()} are shown.")
        wrong_labels = choose_labels(run, session.pictures())
        if wrong_labels is not None:
            with panel if panel.open else closed:
                show_problem(wrong_labels)
    if panel.open and (opened := session.picture_set_opened()):
        script = _BRING_INTO_VIEW.format(moment=opened, key=_PLACE)
        st.html(script, unsafe_allow_javascript=True)


def offer_picture_set(label: str) -> None:
    """Show a button that opens the picture set in the sidebar."""
    st.button(label, icon=":material/photo_library:", on_click=session.open_picture_set)


def _title() -> str:
    count = len(session.pictures())
    if session.own_pictures():
        return f"{count} of your pictures"
    return plural(count, "sample picture")
