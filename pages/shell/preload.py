"""What a browser fetches before it needs it: Streamlit's scripts for plots and tables, 6 MB."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st

_DRAWING = ("PlotlyChart", "DataFrame")
# Relative to Streamlit's own script, so that it holds behind a proxy with a path of its own; the
# same address is the same module to a browser, which compiles it beside the page's own work.
_IMPORT = """
<script>
(() => {{
  const own = document.querySelector('script[type="module"][src]');
  if (!own) return;
  for (const name of {names}) import(new URL(name, own.src)).catch(() => {{}});
}})();
</script>
"""


def preload_scripts() -> None:
    """Let the browser fetch and compile what draws plots and tables, before there is one."""
    st.html(_IMPORT.format(names=drawing_scripts()), unsafe_allow_javascript=True)


@cache
def drawing_scripts() -> list[str]:
    """The files of Streamlit's that draw plots and tables, as far as each is one alone."""
    folder = Path(st.__file__).parent / "static" / "static" / "js"
    found = [list(folder.glob(f"{name}.*.js")) for name in _DRAWING]
    return [files[0].name for files in found if len(files) == 1]
