"""Long work: started once, shown with stage and time, cancelled by a button."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from engine import formats
from engine.jobs import Job
from pages.components.problems import plain, show_problem

Result = TypeVar("Result")
_PREFIX = "qlab_job_"


def start(key: str, title: str, work: Callable[[Job[Result]], Result]) -> None:
    """Start work under a key, unless it is under way.

    Args:
        key: What the page calls it.
        title: What a person calls it.
        work: Does it, in a thread of its own.
    """
    found = get(key)
    if found is None or not found.active:
        st.session_state[_PREFIX + key] = Job(title, work).start()


def get(key: str) -> Job[object] | None:
    """The job under a key, or None."""
    found: Job[object] | None = st.session_state.get(_PREFIX + key)
    return found


def forget(key: str) -> None:
    """Drop a finished job."""
    st.session_state.pop(_PREFIX + key, None)


def show(key: str) -> Job[object] | None:
    """Show a job while it works, and what became of it if it failed.

    Args:
        key: What the page calls it.

    Returns:
        The job once it is done; None while there is none, or it is not done.
    """
    job = get(key)
    if job is None:
        return None
    if job.active:
        _live(key)
        return None
    if job.state == "cancelled":
        st.info(
            f"{plain(job.title)}: cancelled. Nothing half-made was kept.", icon=":material/cancel:"
        )
        return None
    if job.error is not None:
        show_problem(job.error)
        return None
    return job


@st.fragment(run_every=0.5)
def _live(key: str) -> None:
    job = get(key)
    if job is None or not job.active:
        st.rerun()
    with st.container(border=True):
        st.markdown(f"**{plain(job.title)}**")
        progress = job.progress
        step = f"step {progress.done + 1} of {progress.total} · " if progress.total else ""
        st.progress(
            min(progress.fraction, 1.0),
            text=f"{plain(progress.stage)} · {step}{formats.seconds(job.elapsed)}",
        )
        if st.button("Cancel", key=f"cancel_{key}", icon=":material/cancel:"):
            job.cancel()
            job.wait(2)
            st.rerun()
