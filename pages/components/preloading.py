"""What a browser fetches before the first plot: Plotly, 4.7 MB, while a page is on its way."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st

# Relative to Streamlit's own script, so that it holds behind a proxy with a path of its own; the
# same address is the same module to a browser, which compiles it beside the page's own work.
_IMPORT = """
<script>
(() => {{
  const own = document.querySelector('script[type="module"][src]');
  if (own) import(new URL("{name}", own.src)).catch(() => {{}});
}})();
</script>
"""


def preload_plotly() -> None:
    """Let the browser fetch and compile what draws plots, before there is one."""
    name = plotly_script()
    if name is not None:
        st.html(_IMPORT.format(name=name), unsafe_allow_javascript=True)


@cache
def plotly_script() -> str | None:
    """The file of Streamlit's that draws plots; None where this Streamlit has not one alone."""
    folder = Path(st.__file__).parent / "static" / "static" / "js"
    found = list(folder.glob("PlotlyChart.*.js"))
    return found[0].name if len(found) == 1 else None
