"""``python -m pages.components.serve``: `streamlit run app.py`, with links that work at once.

Streamlit takes a folder named ``pages`` for an app of its older kind until the first visitor's
script calls `st.navigation`: that visitor is told "Page not found" where a link leads to a page.
"""

from __future__ import annotations

import sys
from pathlib import Path

from streamlit.runtime.pages_manager import PagesManager
from streamlit.web.cli import main

APP = Path(__file__).resolve().parent.parent.parent / "app.py"


def serve(options: list[str]) -> None:
    """Serve the dashboard until the process is ended.

    Args:
        options: Options of `streamlit run`.
    """
    PagesManager.uses_pages_directory = False
    main(["run", str(APP), *options])


if __name__ == "__main__":
    serve(sys.argv[1:])
