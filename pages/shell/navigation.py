"""The pages in the order that they tell the story, and what stands at the end of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import streamlit as st

from engine.reporting.snippets import snippet
from pages.state import session
from pages.state.evaluation import NEED
from pages.state.messages import PageEnd, note_page


@dataclass(frozen=True, slots=True)
class Chapter:
    """One page.

    Attributes:
        stem: Name of its file, which is its address, too.
        title: What a person calls it.
        icon: Name of its Material icon.
    """

    stem: str
    title: str
    icon: str

    @property
    def file(self) -> str:
        """Its file, as Streamlit wants it."""
        return f"pages/dashboard/{self.stem}.py"


CHAPTERS = (
    Chapter("overview", "Overview", "target"),
    Chapter("convert", "Convert", "conversion_path"),
    Chapter("predictions", "Pictures", "image"),
    Chapter("logit_differences", "Logits", "scatter_plot"),
    Chapter("latency_and_size", "Speed and size", "speed"),
    Chapter("layers", "Layers", "layers"),
    Chapter("improve", "Improve", "auto_fix_high"),
    Chapter("calibration", "Calibration", "tune"),
    Chapter("accuracy", "Accuracy", "check_circle"),
    Chapter("deploy", "Deploy", "deployed_code"),
    Chapter("run_details", "Details", "list_alt"),
)


@contextmanager
def chapter(title: str) -> Iterator[None]:
    """A page with its code and the way to its neighbours below, even where it ends early.

    Args:
        title: Title of the page.
    """
    note_page(title)
    with suppress(PageEnd):
        yield
    place = next(i for i, known in enumerate(CHAPTERS) if known.title == title)
    _show_code(CHAPTERS[place])
    _show_neighbours(place)


def _show_code(known: Chapter) -> None:
    run = session.current_run()
    if run is None:
        return
    paths = [picture.path for picture in session.pictures()]
    need = float(st.session_state.get(NEED, 95)) / 100
    text = snippet(known.stem, run, paths, reference=session.reference(run), need=need)
    if text:
        with st.expander("Show the code", icon=":material/code:"):
            st.code(text, language="python", wrap_lines=True)


def _show_neighbours(place: int) -> None:
    # Streamlit leaves out a container without content: alone, the way on would stand left.
    with st.container(horizontal=True, horizontal_alignment="distribute" if place else "right"):
        with st.container(key="go_back", width="content"):
            if place > 0:
                before = CHAPTERS[place - 1]
                st.page_link(before.file, label=before.title, icon=":material/arrow_back:")
        with st.container(key="go_on", width="content"):
            if place + 1 < len(CHAPTERS):
                after = CHAPTERS[place + 1]
                st.page_link(
                    after.file,
                    label=after.title,
                    icon=":material/arrow_forward:",
                    icon_position="right",
                )
