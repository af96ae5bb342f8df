"""Pills that choose one variant, the recommended one first; a link names the choice."""

from __future__ import annotations

import streamlit as st

from pages.state import session as address
from pages.state.evaluation import choice_on_show

_FALLBACK = "int8"


def variant_pills(names: list[str]) -> str:
    """Show variants as pills.

    Until a person chooses, the recommended one is on show. What is chosen here is chosen on other
    pages, too, where they have it.
    """
    wanted = address.named("variant")
    first = first_shown(names, wanted)
    variant = show_pills(names, first)
    # A page that lacks what was chosen elsewhere does not take that choice back, and what is on
    # show because nobody chose is no choice.
    if variant != first or variant == wanted:
        address.name("variant", variant)
    return variant


def first_shown(names: list[str], wanted: str | None) -> str:
    """Choose what to show first: the wanted variant, the recommended one, int8, the first."""
    choice = choice_on_show()
    about = None if choice is None else choice.about
    order = (wanted, about.variant if about else None, _FALLBACK)
    return next((name for name in order if name is not None and name in names), names[0])


def show_pills(names: list[str], first: str) -> str:
    """Show variants as pills, one of them chosen at first."""
    chosen = st.pills("Variant", names, default=first, required=True, label_visibility="collapsed")
    return chosen or first
