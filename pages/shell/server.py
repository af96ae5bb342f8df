"""``python -m pages.shell.server``: `streamlit run app.py`, with three of its faults fixed.

Streamlit takes a folder named ``pages`` for an app of its older kind until the first visitor's
script calls `st.navigation`: that visitor reads "Page not found" where a link leads to a page.

A browser that uploads a file asks where to; Streamlit forgets the answer if a script run begins
before it is sent, and the browser waits for it without a word.

A server that is asked to end waits for every answer that it has begun, without an end: a browser
that has stopped reading keeps it alive.

What the pages import is imported here, so that no visitor waits for it, and kept from the garbage
collection that Streamlit asks for after every script run: over all those modules it takes longer
than some pages.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit.runtime.pages_manager import PagesManager
from streamlit.web.cli import main
from streamlit.web.server.starlette import starlette_server

from engine.core.system import freeze_imports
from engine.workers.sandbox import enclose_workers

APP = Path(__file__).resolve().parent.parent.parent / "app.py"
USED_BY_PAGES = (
    "pandas",
    "pyarrow",
    "plotly.graph_objects",
    "engine.api",
    "engine.reporting.plots.figures",
)
ENDING_SECONDS = 3
_UPLOAD_ADDRESSES = "file_urls_response"
_clear = ForwardMsgQueue.clear
_options_of_uvicorn = starlette_server._get_uvicorn_config_kwargs


def clear_but_upload_addresses(
    queue: ForwardMsgQueue,
    retain_lifecycle_msgs: bool = False,
    fragment_ids_this_run: list[str] | None = None,
) -> None:
    """Clear like `ForwardMsgQueue.clear`, but keep addresses that a browser asked for."""
    asked_for = [msg for msg in queue._queue if msg.WhichOneof("type") == _UPLOAD_ADDRESSES]
    _clear(queue, retain_lifecycle_msgs, fragment_ids_this_run)
    if retain_lifecycle_msgs:
        rest = [msg for msg in queue._queue if msg.WhichOneof("type") != _UPLOAD_ADDRESSES]
        queue._queue = [*asked_for, *rest]


def options_with_an_end() -> dict[str, Any]:
    """Return Streamlit's options of uvicorn, with few seconds for answers that are under way."""
    return {**_options_of_uvicorn(), "timeout_graceful_shutdown": ENDING_SECONDS}


def serve(options: list[str]) -> None:
    """Serve the dashboard with options of `streamlit run` until the process is ended."""
    PagesManager.uses_pages_directory = False
    ForwardMsgQueue.clear = clear_but_upload_addresses  # type: ignore[assignment, method-assign]
    starlette_server._get_uvicorn_config_kwargs = options_with_an_end
    enclose_workers()
    for module in USED_BY_PAGES:
        import_module(module)
    freeze_imports()
    main(["run", str(APP), *options])


if __name__ == "__main__":
    serve(sys.argv[1:])
