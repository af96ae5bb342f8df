"""One variant to choose, int8 first; the address names it, so that a link shows the same."""

from __future__ import annotations

import streamlit as st

from pages.components import address


def variant_pills(names: list[str], *, default: str = "int8") -> str:
    """Show variants as pills.

    What is chosen here is chosen on other pages, too, where they have it.

    Args:
        names: At least one.
        default: Chosen until a person does; the first where it is absent.

    Returns:
        The one chosen.
    """
    wanted = address.named("variant")
    first = next((one for one in (wanted, default) if one in names), names[0])
    chosen = st.pills("Variant", names, default=first, required=True, label_visibility="collapsed")
    found = chosen or first
    # A page that lacks what was chosen elsewhere does not take that choice back.
    if found != first or wanted in (None, found):
        address.name("variant", found)
    return found
