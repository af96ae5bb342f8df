"""Workers that eat memory, hang or fork, ten times each."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engine.core.limits import LIMITS
from engine.workers import process as jobs
from engine.workers import watchdog as worker_watch
from engine.workers.process import Worker
from tests.helpers.misbehaving_worker import Deed, run_deed
from tests.hostile.rows import Noted, Row, Scaled

pytestmark = pytest.mark.hostile


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


KINDS = (("eat", "eat_elsewhere"), ("hang", "spin", "stop"), ("fork", "leave_behind"))


def test_they_are_ended_and_the_next_request_is_served(
    scaled: Scaled, noted: Noted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("workers that eat, hang or fork", scaled(30), noted)
    monkeypatch.setattr(
        jobs, "WORKER_COMMAND", (sys.executable, "-P", "-m", "tests.helpers.misbehaving_worker")
    )
    total = psutil.virtual_memory().total
    small = replace(LIMITS, worker_memory_share=300e6 / total, worker_processes=20)
    monkeypatch.setattr(worker_watch, "LIMITS", small)
    for number, rng in row.cases():
        deed = rng.choice(KINDS[number % 3])
        pids = tmp_path / f"pids{number}"
        pids.touch()
        amount = rng.randrange(30, 300)
        started = time.monotonic()
        with row.tried(f"{number} {deed}", "NOT ENDED"), Worker(silent_seconds=3) as worker:
            worker.run(run_deed, Deed(deed, str(pids), amount))
        assert time.monotonic() - started < 20, deed
        left = [int(line) for line in pids.read_text().split()]
        assert not [pid for pid in left if lives(pid)], deed
        with Worker() as worker:
            assert worker.run(run_deed, Deed("surroundings"))["folder"]
    row.check()
    assert "NOT ENDED" not in row.outcomes
    assert not [child for child in psutil.Process().children(recursive=True) if lives(child.pid)]
