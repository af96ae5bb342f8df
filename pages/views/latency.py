"""Size against latency against agreement, in one plot."""

from __future__ import annotations

import streamlit as st

from engine.comparison.latency import Latency
from engine.comparison.recommendation import candidates
from engine.comparison.trade_offs import timed_of
from engine.reporting import plots
from engine.reporting.plots import figures
from engine.runs.run import Run
from engine.tasks import evaluate as service
from pages.state import session
from pages.state.evaluation import compared
from pages.state.messages import plain
from pages.views.figures import show_figure


def show_trade_off(run: Run, timed: Latency | None) -> None:
    """Show the plot, as far as the pictures on show were compared.

    Args:
        run: The run on show.
        timed: Its timings, where there are some.
    """
    pictures = session.pictures()
    reference = session.reference(run)
    if not service.evaluated(run, pictures, (reference, *run.runnable)):
        st.caption("The answers on the pictures on show are not computed yet.")
        st.page_link("pages/dashboard/predictions.py", label="Compare the answers first")
        return
    comparison = compared(run, pictures, reference, timed)
    show_figure("trade_off", figures.trade_off, comparison)
    by_speed = bool(timed_of(candidates(comparison)))
    st.caption(
        f"Up is closer to the reference on {len(pictures)} pictures, left is "
        f"{'quicker; a larger mark is a larger file' if by_speed else 'smaller'}."
    )


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
