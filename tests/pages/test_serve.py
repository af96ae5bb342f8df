"""What the server mends of Streamlit."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import streamlit
from playwright.sync_api import Browser, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

from pages.shell.navigation import drawing_scripts
from pages.shell.server import clear_but_upload_addresses
from tests.helpers.browser import CHROMIUM, dashboard
from tests.helpers.server import Server

SCRIPTS = Path(streamlit.__file__).parent / "static" / "static" / "js"


def queue_with(*kinds: str) -> ForwardMsgQueue:
    queue = ForwardMsgQueue()
    for kind in kinds:
        message = ForwardMsg()
        getattr(message, kind).SetInParent()
        queue.enqueue(message)
    return queue


def kinds(queue: ForwardMsgQueue) -> list[str | None]:
    return [message.WhichOneof("type") for message in queue.flush()]


@pytest.mark.parametrize("fragments", [None, ["a fragment"]])
def test_a_script_run_that_begins_leaves_the_addresses_for_an_upload(
    fragments: list[str] | None,
) -> None:
    queue = queue_with("delta", "file_urls_response", "new_session")
    clear_but_upload_addresses(queue, True, fragments)
    left = kinds(queue)
    assert left.count("file_urls_response") == 1
    assert "new_session" in left
    queue = queue_with("file_urls_response", "new_session")
    clear_but_upload_addresses(queue)
    assert kinds(queue) == []


def test_streamlit_alone_loses_them() -> None:
    """Where this fails, Streamlit keeps them by now, and the mend can go."""
    queue = queue_with("file_urls_response", "new_session")
    ForwardMsgQueue.clear(queue, retain_lifecycle_msgs=True)
    assert kinds(queue) == ["new_session"]


@pytest.mark.slow
def test_a_browser_that_stopped_reading_does_not_keep_the_server_alive(tmp_path: Path) -> None:
    largest = max(drawing_scripts(), key=lambda name: (SCRIPTS / name).stat().st_size)
    with Server(tmp_path / "home") as server, socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", server.port))
        reader.sendall(f"GET /static/js/{largest} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert reader.recv(12) == b"HTTP/1.1 200"
        server.end()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_link_to_a_page_works_for_the_first_visitor(browser: Browser, tmp_path: Path) -> None:
    with dashboard(tmp_path / "home") as address:
        page = browser.new_page()
        page.goto(f"{address}/logit_differences")
        expect(page.get_by_role("heading", name="Nothing is converted yet")).to_be_visible()
        expect(page.get_by_text("Page not found")).to_have_count(0)
