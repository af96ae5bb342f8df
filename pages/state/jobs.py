"""Long work: started once, shown with stage and time, cancelled by a button."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar, cast

import streamlit as st

from engine.core import formats
from engine.workers.jobs import BOARD, Job
from pages.state import session
from pages.state.messages import page_on_show, plain, show_problem
from pages.state.session import scroll_to

Result = TypeVar("Result")
EVERYBODY = "everybody"
"""Owner of the work that belongs to the store, whichever browser sees it."""
LOOKED_AT_EVERY = 0.5
LONG_LOOKED_AT_EVERY = 1.0
"""For work of a minute and for timings: each look takes time of a core that they could use."""
_ABOUT, _RESULTS = "qlab_about_", "qlab_results_"


def start(
    key: str,
    title: str,
    work: Callable[[Job[Result]], Result],
    *,
    about: str = "",
    during: AbstractContextManager[object] | None = None,
    owner: str | None = None,
) -> None:
    """Start work under a key, unless it is under way.

    Args:
        key: What the page calls it.
        title: What a person calls it.
        work: Does it, in a thread of its own.
        about: What exactly is done, where the key alone does not say it.
        during: A context that lasts from now to the end of the work.
        owner: Whose it is; None takes the person who is looking.
    """
    job = get(key, about=about)
    if job is None or not job.active:
        BOARD.add(owner or session.owner(), key, about, Job(title, work, during).start())


def get(key: str, *, about: str = "") -> Job[object] | None:
    """Find the job under a key; one that was started before the page was closed, too."""
    mine = BOARD.find(session.owner(), key, about)
    return mine or BOARD.find(EVERYBODY, key, about)


def take(key: str, *, about: str = "") -> object:
    """Return the result of a job once it is done, and drop the job; None before."""
    job = get(key, about=about)
    if job is None or job.state != "done":
        return None
    BOARD.forget(job)
    return job.result


def stop_others(key: str, *, about: str) -> None:
    """Cancel and drop this session's job under a key, if it is about something else."""
    before = st.session_state.get(_ABOUT + key)
    st.session_state[_ABOUT + key] = about
    if before not in {None, about} and (job := get(key, about=before)) is not None:
        job.cancel()
        BOARD.forget(job)


def forget(key: str, *, about: str = "") -> None:
    """Drop a finished job."""
    if (job := get(key, about=about)) is not None:
        BOARD.forget(job)


def forget_failed() -> None:
    """Drop this person's jobs that failed or were cancelled."""
    for job in BOARD.jobs(session.owner()):
        if job.state in {"failed", "cancelled"}:
            BOARD.forget(job)


def busy(key: str) -> bool:
    """Return whether work is under way; once it is done, draw the page with what it made."""
    job = get(key)
    if job is not None and job.state == "done":
        forget(key)
        st.rerun()
    return job is not None and job.active


def show(key: str, *, about: str = "", every: float = LOOKED_AT_EVERY) -> Job[object] | None:
    """Show a job while it works, and what became of it if it failed.

    Args:
        key: What the page calls it.
        about: What exactly is done, where the key alone does not say it.
        every: Seconds between two looks at it.

    Returns:
        The job once it is done; None while there is none, or it is not done.
    """
    job = get(key, about=about)
    if job is None or job.state == "done":
        return job
    with st.container(key=f"job_{key}"):
        _show_unfinished(key, about, job, every)
        # The button that started it may be at the lower edge of the window.
        scroll_to(f"job_{key}", (id(job), job.active))
    return None


def _show_unfinished(key: str, about: str, job: Job[object], every: float) -> None:
    if job.state == "failed" and job.error is not None:
        show_problem(job.error)
    elif job.state == "cancelled":
        st.info(
            f"{plain(job.title)}: cancelled. Nothing half-made was kept.", icon=":material/cancel:"
        )
    else:
        st.fragment(_live, run_every=every)(key, page_on_show(), about)


def see_through(
    key: str,
    title: str,
    work: Callable[[Job[Result]], Result],
    *,
    about: str,
    every: float = LOOKED_AT_EVERY,
) -> None:
    """Do what a view lacks: started once, shown while it works, offered again if it failed.

    Work of the key that is about anything else is cancelled; arguments are those of `start`.
    """
    stop_others(key, about=about)
    job = get(key, about=about)
    if job is None or job.state == "done":  # what an earlier one made is gone
        start(key, title, work, about=about)
    show(key, about=about, every=every)
    job = get(key, about=about)
    assert job is not None
    if job.state == "done":  # it ended since the view looked: look again
        st.rerun()
    if not job.active and st.button("Try again", key=f"again_{key}", icon=":material/refresh:"):
        forget(key, about=about)
        st.rerun()


def digest(*parts: object) -> str:
    """Name what work is about by its parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def result_or_wait(
    key: str, title: str, work: Callable[[Job[Result]], Result], *, about: str
) -> Result | None:
    """Give the result of work that this session had done before, or have it done.

    Arguments are those of `start`.

    Returns:
        The result; None while it is made, and where it failed.
    """
    results: dict[str, Result] = st.session_state.setdefault(f"{_RESULTS}{key}", {})
    if about not in results:
        job = get(key, about=about)
        if job is None or job.state != "done":
            see_through(key, title, work, about=about)
            return None
        results[about] = cast("Result", take(key, about=about))
    return results[about]


def _live(key: str, page: str, about: str = "") -> None:
    if page != page_on_show():
        return  # Asked for by a page that the person has left meanwhile.
    job = get(key, about=about)
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

    Arguments are those of `start`.
    """
    if not busy(key) and st.button(
        label, type="primary" if primary else "secondary", icon=icon, key=f"start_{key}"
    ):
        start(key, title, work, during=during)
        st.rerun()
    show(key)
