"""What the server mends of Streamlit."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

from pages.shell.server import clear_but_upload_addresses
from tests.helpers.browser import CHROMIUM, dashboard


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
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_link_to_a_page_works_for_the_first_visitor(browser: Browser, tmp_path: Path) -> None:
    with dashboard(tmp_path / "home") as address:
        page = browser.new_page()
        page.goto(f"{address}/logit_differences")
        expect(page.get_by_role("heading", name="Nothing is converted yet")).to_be_visible()
        expect(page.get_by_text("Page not found")).to_have_count(0)
