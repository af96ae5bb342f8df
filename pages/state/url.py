"""What a link names beside the run: the variant and picture on show, and a flip explained."""

from __future__ import annotations

from typing import Literal

import streamlit as st

Named = Literal["variant", "picture", "flip"]
_NAMES: tuple[Named, ...] = ("variant", "picture", "flip")


def read_address() -> None:
    """Remember what the address names, before Streamlit forgets it on the way to a page."""
    for key in _NAMES:
        if (value := st.query_params.get(key)) is not None:
            st.session_state[f"qlab_{key}"] = value


def named(key: Named) -> str | None:
    """What was named last, by the link or by a choice."""
    value: str | None = st.session_state.get(f"qlab_{key}")
    return value


def name(key: Named, value: str) -> None:
    """Name a choice, for a link and for the other pages."""
    st.session_state[f"qlab_{key}"] = value
    if st.query_params.get(key) != value:
        st.query_params[key] = value


def unname(key: Named) -> None:
    """Take back what was named."""
    st.session_state.pop(f"qlab_{key}", None)
    st.query_params.pop(key, None)
