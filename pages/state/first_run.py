"""The comparison that a fresh installation makes of itself, once a process."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import streamlit as st

from engine.core import store
from engine.runs.run import Run
from engine.tasks.first_run import BASE, first_comparison, with_optimized
from engine.tasks.improve import improved_name
from engine.workers.jobs import Job
from pages.state import jobs, session
from pages.state.messages import end_page

JOB, OPTIMIZED_JOB = "first", "first_optimized"


class _Started:
    """The two jobs of a store, whichever browser sees them."""

    def __init__(self) -> None:
        self.first: Job[Run] | None = None
        self.optimized: Job[Run] | None = None


# Of the process, not of a session: whoever opens the page sees the same work, and nobody's data.
_BY_HOME: dict[Path, _Started] = {}


def _mine() -> _Started:
    return _BY_HOME.setdefault(store.home(), _Started())


def show_making() -> NoReturn:
    """Without any run: make the first comparison, and show how far it is; the page ends here."""
    started = _mine()
    # Done without a run on show: somebody deleted it meanwhile.
    if started.first is None or started.first.state == "done":
        started.first = Job("Converting, comparing and timing", first_comparison).start()
    st.session_state[jobs.PREFIX + JOB] = started.first
    st.title("Making the first comparison")
    st.markdown(
        "EfficientNet-Lite0 becomes seven TFLite variants on this machine, all of them see the "
        "sample images, and each is timed. It takes a minute or so, once, and needs no network. "
        "You may leave and come back."
    )
    jobs.show(JOB)
    if not started.first.active and st.button("Try again", icon=":material/refresh:"):
        started.first = None
        st.rerun()
    st.page_link(
        "pages/dashboard/convert.py",
        label="Convert a model of your own instead",
        icon=":material/conversion_path:",
    )
    end_page()


def wait_for_first_run(page: str) -> None:
    """Show how far the first comparison is, while it works, on a page that needs a run.

    Args:
        page: Title of the page; on Convert a person may go on meanwhile.
    """
    if page != "Convert" and under_way() and session.current_run() is None:
        show_making()


def under_way() -> bool:
    """Whether the first comparison is being made now."""
    first = _mine().first
    return first is not None and first.active


def show_optimizing(run: Run) -> None:
    """After the first comparison: add the optimized variant, and say how far that is."""
    started = _mine()
    first = started.first
    if first is None or first.result is None or first.result.folder != run.folder:
        return
    if BASE not in run.variants:
        return
    if improved_name(run, BASE) not in run.variants and started.optimized is None:
        title = f"Adding {improved_name(run, BASE)}: as small and quick, closer to the original"
        started.optimized = Job(title, lambda job: with_optimized(run, job)).start()
    if started.optimized is not None and started.optimized.active:
        st.session_state[jobs.PREFIX + OPTIMIZED_JOB] = started.optimized
        jobs.show(OPTIMIZED_JOB)
        st.caption("One more variant is being made: what this page advises may change with it.")
