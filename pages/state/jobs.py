"""Long work: started once, shown with stage and time, cancelled by a button."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import streamlit as st

from engine.core import formats
from engine.workers.jobs import BOARD, Job
from pages.state import session
from pages.state.messages import page_on_show, plain, show_problem
from pages.state.session import scroll_to

Result = TypeVar("Result")
PREFIX = "qlab_job_"
LOOKED_AT_EVERY = 0.5
_ABOUT = "qlab_about_"


def start(
    key: str,
    title: str,
    work: Callable[[Job[Result]], Result],
    *,
    about: str = "",
    during: AbstractContextManager[object] | None = None,
) -> None:
    """Start work under a key, unless it is under way.

    Args:
        key: What the page calls it.
        title: What a person calls it.
        work: Does it, in a thread of its own.
        about: What exactly is done, where the key alone does not say it.
        during: A context that lasts from now to the end of the work.
    """
    found = get(key, about=about)
    if found is None or not found.active:
        job = Job(title, work, during).start()
        st.session_state[PREFIX + key] = job
        BOARD.add(session.owner(), key, about, job)


def get(key: str, *, about: str = "") -> Job[object] | None:
    """The job under a key, or None; one that was started before the page was closed, too."""
    found: Job[object] | None = st.session_state.get(PREFIX + key)
    if found is None:
        found = BOARD.find(session.owner(), key, about)
        if found is not None:
            st.session_state[PREFIX + key] = found
    return found


def stop_others(key: str, *, about: str) -> None:
    """Cancel and drop this session's job under a key, if it is about something else."""
    known = st.session_state.get(_ABOUT + key)
    st.session_state[_ABOUT + key] = about
    if known not in {None, about}:
        found = st.session_state.get(PREFIX + key)
        if found is not None:
            found.cancel()
        forget(key)


def forget(key: str) -> None:
    """Drop a finished job."""
    found = st.session_state.pop(PREFIX + key, None)
    if found is not None:
        BOARD.forget(found)


def forget_failed() -> None:
    """Drop this session's jobs that failed or were cancelled."""
    for name in [str(name) for name in st.session_state if str(name).startswith(PREFIX)]:
        if st.session_state[name].state in {"failed", "cancelled"}:
            forget(name.removeprefix(PREFIX))


def busy(key: str) -> bool:
    """Whether work is under way; once it is done, the page is drawn anew with what it made."""
    job = get(key)
    if job is not None and job.state == "done":
        forget(key)
        st.rerun()
    return job is not None and job.active


def show(key: str, *, every: float = LOOKED_AT_EVERY) -> Job[object] | None:
    """Show a job while it works, and what became of it if it failed.

    Args:
        key: What the page calls it.
        every: Seconds between two looks at it.

    Returns:
        The job once it is done; None while there is none, or it is not done.
    """
    job = get(key)
    if job is None or job.state == "done":
        return job
    with st.container(key=f"job_{key}"):
        _show_unfinished(key, job, every)
        # The button that started it may be at the lower edge of the window.
        scroll_to(f"job_{key}", (id(job), job.active))
    return None


def _show_unfinished(key: str, job: Job[object], every: float) -> None:
    if job.state == "failed" and job.error is not None:
        show_problem(job.error)
    elif job.state == "cancelled":
        st.info(
            f"{plain(job.title)}: cancelled. Nothing half-made was kept.", icon=":material/cancel:"
        )
    else:
        st.fragment(_live, run_every=every)(key, page_on_show())


def see_through(
    key: str,
    title: str,
    work: Callable[[Job[Result]], Result],
    *,
    about: str,
    every: float = LOOKED_AT_EVERY,
) -> None:
    """Do what a view lacks: started once, shown while it works, offered again if it failed.

    Args:
        key: What the page calls it.
        title: What a person calls it.
        work: Does it, in a thread of its own.
        about: What exactly is done; work of the key about anything else is cancelled.
        every: Seconds between two looks at it.
    """
    stop_others(key, about=about)
    if get(key, about=about) is None:
        start(key, title, work, about=about)
    show(key, every=every)
    job = get(key)
    assert job is not None
    # It ended since the view looked: look again.
    again = job.state == "done"
    if not job.active and not again:
        again = st.button("Try again", key=f"again_{key}", icon=":material/refresh:")
    if again:
        forget(key)
        st.rerun()


def _live(key: str, page: str) -> None:
    if page != page_on_show():
        return  # Asked for by a page that the person has left meanwhile.
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


def job_button(
    key: str,
    label: str,
    title: str,
    work: Callable[[Job[Result]], Result],
    *,
    icon: str,
    primary: bool = False,
    during: AbstractContextManager[object] | None = None,
) -> None:
    """Show the button, or the work that it started.

    Args:
        key: What the page calls the work.
        label: On the button.
        title: What a person calls the work.
        work: Does it, in a thread of its own.
        icon: On the button.
        primary: Whether it is what the page is about.
        during: A context that lasts from the click to the end of the work.
    """
    if not busy(key) and st.button(
        label, type="primary" if primary else "secondary", icon=icon, key=f"start_{key}"
    ):
        start(key, title, work, during=during)
        st.rerun()
    show(key)
