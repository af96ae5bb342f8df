"""Progress on a page: it brings the page back when the work is done, and no page that was left."""

from __future__ import annotations

import pytest

from tests.helpers.app_test import script_test


def page() -> None:
    import streamlit as st

    from pages.state import jobs
    from pages.state.messages import note_page

    st.session_state.runs = st.session_state.get("runs", 0) + 1
    note_page("Logits")
    if st.session_state.runs == 1:
        jobs._live("a job that is over", st.session_state.asked_for_by)


@pytest.mark.parametrize(("asked_for_by", "runs"), [("Logits", 2), ("Pictures", 1)])
def test_work_that_is_over_runs_the_page_again_but_no_page_that_was_left(
    asked_for_by: str, runs: int
) -> None:
    test = script_test(page)
    test.session_state.asked_for_by = asked_for_by
    test.run()
    assert not test.exception
    assert test.session_state.runs == runs
