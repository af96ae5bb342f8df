"""Size against latency against agreement, in one plot."""

from __future__ import annotations

import streamlit as st

from engine import plots, service
from engine.runs import Run
from engine.types import Latency
from pages.components import session


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
    comparison = service.compare_run(run, pictures, service.Foreground(), reference=reference)
    points = [
        plots.TradeOffPoint(
            variant=variant.variant,
            latency_ms=entry.median_ms if timed and (entry := timed.of(variant.variant)) else None,
            size_bytes=comparison.sizes.get(variant.variant, 0),
            difference=variant.logit_rms,
            agreement=variant.top1_agreement,
        )
        for variant in comparison.variants
    ]
    if timed is None:
        st.plotly_chart(plots.trade_off_by_size(points))
    else:
        st.plotly_chart(plots.trade_off(points))
    st.caption(
        f"Up is closer to the reference on {len(pictures)} pictures, left is "
        f"{'smaller' if timed is None else 'quicker; a larger mark is a larger file'}."
    )
