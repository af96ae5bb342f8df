"""Size against latency against agreement, in one plot."""

from __future__ import annotations

import streamlit as st

from engine.comparison.latency import Latency
from engine.comparison.recommendation import candidates
from engine.comparison.trade_offs import timed_of
from engine.reporting.plots import figures
from engine.runs.run import Run
from engine.tasks import evaluate as service
from pages.components import session
from pages.components.evaluation import compared
from pages.components.figures import show_figure


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
