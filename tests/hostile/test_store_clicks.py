"""Eight hours of clicks in minutes: nothing grows, nothing is left behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pages.shell.navigation import CHAPTERS
from tests.helpers.server import Server
from tests.helpers.tiny_run import tiny_run
from tests.hostile.conftest import Noted
from tests.hostile.visitor import Visitor

pytestmark = [pytest.mark.hostile, pytest.mark.slow]
RERUNS, WARM, MB = 1000, 60, 1e6
PAGES = tuple(known.stem for known in CHAPTERS)


def test_eight_hours_of_clicks(own_store: Path, scaled: Callable[[int], int], noted: Noted) -> None:
    tiny_run(own_store / "runs" / "tiny")
    count = scaled(RERUNS)
    with Server(own_store) as server, Visitor(server.address) as visitor:
        wait_for_answers(visitor)

        def click(times: int) -> None:
            for number in range(times):
                shown = visitor.rerun(PAGES[number % len(PAGES)])
                assert "float32" in shown
                assert "exception {" not in shown

        click(WARM)
        memory, handles, family = server.resident(), server.handles(), len(server.family())
        click(count)
        grown, more = server.resident() - memory, server.handles() - handles
        assert len(server.family()) <= family
        assert "Traceback" not in server.said()
        assert more <= 5
        assert grown < 50 * MB
    noted("reruns", count, f"memory {grown / MB:+.0f} MB, handles {more:+d}, no process left")


def wait_for_answers(visitor: Visitor) -> None:
    """Let the evaluation of the sample images end, which the first look begins."""
    end = time.monotonic() + 120
    while "q-row" not in visitor.rerun("predictions"):
        assert time.monotonic() < end
        time.sleep(0.5)
