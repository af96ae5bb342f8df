"""Figures on a page: made once a session, described, and saved as data."""

from __future__ import annotations

from tests.helpers.app_test import script_test


def page() -> None:
    """A figure from what the session holds, and the count of how often one was made."""
    import plotly.graph_objects as go
    import streamlit as st

    from engine.reporting import plots
    from pages.views.figures import show_described_figure, show_figure

    def bars(heights: list[float]) -> go.Figure:
        st.session_state.made = st.session_state.get("made", 0) + 1
        framed = plots.frame.set_frame(go.Figure(go.Bar(y=heights)), x="", y="", height=200)
        return plots.frame.add_title(framed, f"{len(heights)} <b>bars</b>")

    heights = st.session_state.get("heights", [1.0, 2.0])
    show_figure("headed", bars, heights)
    show_described_figure("described", "Words of the page.", bars, heights)


def test_the_same_data_make_one_figure_and_other_data_another() -> None:
    test = script_test(page)
    test.session_state.heights = [1.0, 4.0]
    test.run()
    assert not test.exception
    assert test.session_state.made == 1
    test.run()
    assert test.session_state.made == 1
    test.session_state.heights = [1.0, 3.0]
    test.run()
    assert test.session_state.made == 2


def test_a_figure_has_its_headline_or_the_page_s_words_for_those_who_do_not_see_it() -> None:
    test = script_test(page).run()
    assert [header.value for header in test.header] == [r"2 \<b\>bars\</b\>"]
    charts = test.get("plotly_chart")
    assert [chart.proto.alt for chart in charts] == ["2 <b>bars</b>", "Words of the page."]
    assert len(test.get("download_button")) == 2
