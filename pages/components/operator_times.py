"""What each kind of operator takes of every variant's time."""

from __future__ import annotations

import streamlit as st

from engine.comparison.latency import Latency
from engine.reporting import plots
from pages.components.figures import show_figure
from pages.components.problems import plain


def show_operator_times(timed: Latency) -> None:
    """Show the times, and why a file has none; nothing where no profile was taken.

    Args:
        timed: Timings of a run.
    """
    unprofiled = [entry for entry in timed.entries if entry.unprofiled]
    if not timed.profiled and not unprofiled:
        return
    with st.container(border=True):
        if timed.profiled:
            show_figure("operator_times", plots.operator_times, timed)
        else:
            st.header("The operators of no variant could be timed")
        for entry in unprofiled:
            st.caption(plain(f"Not {entry.variant}. {entry.unprofiled}"))
