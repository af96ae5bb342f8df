"""Conversions that ended with the server: shown, gone on with, or dropped."""

from __future__ import annotations

import streamlit as st

from engine.requests import ConvertRequest
from engine.under_way import interrupted
from pages.components import session
from pages.components.problems import plain


def chosen_interrupted() -> ConvertRequest | None:
    """Show what was interrupted, with a button to go on.

    Returns:
        The request of the one to go on with; None while none is chosen.
    """
    for found in interrupted(session.owner()):
        with st.container(border=True):
            st.markdown(f":material/pause_circle: **{plain(found.work.title)}** was interrupted.")
            st.caption("The server stopped meanwhile. Finished stages are kept.")
            with st.container(horizontal=True):
                name = found.folder.name
                if st.button(
                    "Go on", key=f"go_on_{name}", type="primary", icon=":material/resume:"
                ):
                    found.forget()
                    return found.work.request
                if st.button("Drop it", key=f"drop_{name}", icon=":material/delete:"):
                    found.forget()
                    st.rerun()
    return None
