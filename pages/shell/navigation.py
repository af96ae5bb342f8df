"""The pages in their order, what stands at the end of each, demo mode, and preloaded scripts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import streamlit as st

from engine.reporting.snippets import snippet
from pages.state import session
from pages.state.evaluation import needed, target_on_show
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


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the sidebar: a question, and the pages that answer it as tabs.

    Attributes:
        title: What a person calls it.
        icon: Name of its Material icon.
        chapters: Its pages, the first of which the line opens.
    """

    title: str
    icon: str
    chapters: tuple[Chapter, ...]


ENTRIES = (
    Entry("Result", "target", (Chapter("overview", "Overview", "target"),)),
    Entry(
        "Pictures",
        "image",
        (
            Chapter("predictions", "Pictures", "image"),
            Chapter("accuracy", "Accuracy", "check_circle"),
        ),
    ),
    Entry(
        "Numbers",
        "scatter_plot",
        (
            Chapter("logit_differences", "Logits", "scatter_plot"),
            Chapter("latency_and_size", "Speed and size", "speed"),
        ),
    ),
    Entry(
        "Improve",
        "auto_fix_high",
        (
            Chapter("layers", "Layers", "layers"),
            Chapter("improve", "Optimize", "auto_fix_high"),
            Chapter("calibration", "Calibration", "tune"),
        ),
    ),
    Entry(
        "Ship",
        "deployed_code",
        (
            Chapter("deploy", "Deploy", "deployed_code"),
            Chapter("targets", "Targets", "memory"),
            Chapter("run_details", "Details", "list_alt"),
        ),
    ),
)
NEW_RUN = Entry("New run", "add", (Chapter("convert", "Convert", "conversion_path"),))
"""A button above the entries."""
STORY = tuple(chapter for entry in ENTRIES for chapter in entry.chapters)
"""The pages of a run in the order in which they are told."""
CHAPTERS = (*STORY, *NEW_RUN.chapters)
"""All pages; the first is the one that an address without a name opens."""


def chapter_named(title: str) -> Chapter:
    """Return the page of a title."""
    return next(chapter for chapter in CHAPTERS if chapter.title == title)


def entry_of(chapter: Chapter) -> Entry:
    """Return the line of the sidebar under which a page stands."""
    return next(entry for entry in (*ENTRIES, NEW_RUN) if chapter in entry.chapters)


def show_entries(chapter: Chapter) -> None:
    """Show the lines of the sidebar; that of the page on show leads to this very page."""
    with st.container(key="new_run"):
        (convert,) = NEW_RUN.chapters
        st.page_link(convert.file, label=NEW_RUN.title, icon=f":material/{NEW_RUN.icon}:")
    with st.container(key="entries", gap=None):
        for entry in ENTRIES:
            opened = chapter if chapter in entry.chapters else entry.chapters[0]
            st.page_link(opened.file, label=entry.title, icon=f":material/{entry.icon}:")


def show_tabs(chapter: Chapter) -> None:
    """Show the short name of a page above its headline, beside those of its entry's other pages."""
    entry = entry_of(chapter)
    if entry.chapters == (chapter,):
        st.html(f'<p class="q-entry">{entry.title}</p>')
        return
    with st.container(key="tabs", horizontal=True, gap="small"):
        for tab in entry.chapters:
            st.page_link(tab.file, label=tab.title)


@contextmanager
def chapter(title: str) -> Iterator[None]:
    """Show the code of a page and links to its neighbours below it, even where it ends early."""
    page = chapter_named(title)
    note_page(title)
    show_tabs(page)
    with suppress(PageEnd):
        yield
    _show_code(page)
    if page in STORY:
        _show_neighbours(STORY.index(page))


def _show_code(page: Chapter) -> None:
    run = session.current_run()
    if run is None:
        return
    paths = [picture.path for picture in session.pictures()]
    text = snippet(
        page.stem,
        run,
        paths,
        reference=session.reference(run),
        need=needed(),
        target=target_on_show(),
    )
    if text:
        with st.expander("Show the code", icon=":material/code:"):
            st.code(text, language="python", wrap_lines=True)


def _show_neighbours(index: int) -> None:
    # Streamlit leaves out a container without content: alone, the way on would stand left.
    with st.container(horizontal=True, horizontal_alignment="distribute" if index else "right"):
        with st.container(key="go_back", width="content"):
            if index > 0:
                before = STORY[index - 1]
                st.page_link(before.file, label=before.title, icon=":material/arrow_back:")
        with st.container(key="go_on", width="content"):
            if index + 1 < len(STORY):
                after = STORY[index + 1]
                st.page_link(
                    after.file,
                    label=after.title,
                    icon=":material/arrow_forward:",
                    icon_position="right",
                )


DEMO_VARIABLE = "QLAB_DEMO"
"""Set by `make demo`: sessions begin with the slides."""
_IN_ADDRESS = "demo"
_ON = "qlab_demo"


def demo_is_on() -> bool:
    """Check whether the slides are on show: the address says so, or whatever said so last."""
    if _IN_ADDRESS in st.query_params:
        st.session_state[_ON] = st.query_params[_IN_ADDRESS] != "0"
    return bool(st.session_state.setdefault(_ON, os.environ.get(DEMO_VARIABLE) == "1"))


def enter_demo() -> None:
    """Show the slides, and name them in the address."""
    st.session_state[_ON] = True
    st.query_params[_IN_ADDRESS] = ""


def leave_demo() -> None:
    """Leave the slides for the page behind them."""
    st.session_state[_ON] = False
    st.query_params.pop(_IN_ADDRESS, None)


_DRAWING = ("PlotlyChart", "DataFrame")
# Relative to Streamlit's own script, so that it holds behind a proxy with a path of its own; the
# same address is the same module to a browser, which compiles it beside the page's own work.
_IMPORT = """
<script>
(() => {{
  const own = document.querySelector('script[type="module"][src]');
  if (!own) return;
  for (const name of {names}) import(new URL(name, own.src)).catch(() => {{}});
}})();
</script>
"""


def preload_scripts() -> None:
    """Let the browser fetch and compile what draws plots and tables, before there is one."""
    st.html(_IMPORT.format(names=drawing_scripts()), unsafe_allow_javascript=True)


@cache
def drawing_scripts() -> list[str]:
    """Find Streamlit's scripts that draw plots and tables, where there is exactly one for each."""
    folder = Path(st.__file__).parent / "static" / "static" / "js"
    scripts = [list(folder.glob(f"{name}.*.js")) for name in _DRAWING]
    return [files[0].name for files in scripts if len(files) == 1]
