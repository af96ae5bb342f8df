"""What hostile tests share: how many attacks, and the table at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from engine.workers import process as jobs
from tests.hostile.reused_worker import ReusedWorker

_ROWS: list[tuple[str, int, str]] = []
Noted = Callable[[str, int, str], None]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReusedWorker]:
    """A worker that only reads what models are made from, kept from attack to attack."""
    command = (sys.executable, "-P", "-m", "tests.hostile.source_worker")
    monkeypatch.setattr(jobs, "WORKER_COMMAND", command)
    kept = ReusedWorker()
    yield kept
    kept.close()


@pytest.fixture
def scaled(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """How many of a number of attacks to make; at least one."""
    scale = float(request.config.getoption("--hostile-scale"))
    return lambda count: max(1, round(count * scale))


@pytest.fixture
def noted() -> Noted:
    """Puts a row into the table: what, how many, what came of it."""
    return lambda what, count, found: _ROWS.append((what, count, found))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _ROWS:
        terminalreporter.section("attacks")
        for what, count, found in _ROWS:
            terminalreporter.write_line(f"{what:<52} {count:>6}  {found}")
