"""Demo mode, ``?demo=1``: larger type, no controls, and the arrow keys turn the pages."""

from __future__ import annotations

import streamlit as st

_IN_ADDRESS = "demo"
_ON = "qlab_demo"
_STYLE = """
<style>
html{font-size:120%}
[data-testid="stSidebar"],[data-testid="stSidebarCollapsedControl"],
[data-testid="stExpandSidebarButton"],.stPopover,.stExpander,.stDownloadButton{display:none!important}
</style>
"""
_KEYS = """
<script>
if (!window.qlabKeys) {
  window.qlabKeys = true;
  window.addEventListener("keydown", (event) => {
    if (!document.querySelector(".q-demo")) return;
    if (event.target.closest("input, textarea, [role=slider], [role=tab]")) return;
    const place = { ArrowRight: "go_on", ArrowLeft: "go_back" }[event.key];
    document.querySelector(`.st-key-${place} a`)?.click();
  });
}
</script>
"""


def show_demo() -> None:
    """Turn demo mode on or off as the address says, and keep it over page switches."""
    if _IN_ADDRESS in st.query_params:
        st.session_state[_ON] = st.query_params[_IN_ADDRESS] == "1"
    if st.session_state.get(_ON):
        st.query_params[_IN_ADDRESS] = "1"
        st.html(f'{_STYLE}<span class="q-demo"></span>')
        st.html(_KEYS, unsafe_allow_javascript=True)
