"""A button for long work: it starts the work, shows it, and draws the page anew when it is done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import streamlit as st

from engine.workers.jobs import Job
from pages.components import jobs
from pages.components.jobs import Result


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
    if not jobs.busy(key) and st.button(
        label, type="primary" if primary else "secondary", icon=icon, key=f"start_{key}"
    ):
        jobs.start(key, title, work, during=during)
        st.rerun()
    jobs.show(key)
