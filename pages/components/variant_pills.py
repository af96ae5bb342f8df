"""One variant to choose, int8 first."""

from __future__ import annotations

from typing import Literal

import streamlit as st


def variant_pills(
    names: list[str],
    *,
    key: str | None = None,
    persist_state: Literal["session"] | None = None,
) -> str:
    """Show variants as pills.

    Args:
        names: At least one.
        key: Of the widget, where the page keeps the choice.
        persist_state: ``session`` keeps it while other pages are on show.

    Returns:
        The one chosen; int8 until then, or the first where that is absent.
    """
    default = "int8" if "int8" in names else names[0]
    chosen = st.pills(
        "Variant",
        names,
        default=default,
        required=True,
        label_visibility="collapsed",
        key=key,
        persist_state=persist_state,
    )
    return chosen or default
