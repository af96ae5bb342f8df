"""Conversions that are killed at random moments: no half run, and asked again they complete."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.hostile.conftest import Noted
from tests.hostile.terminals import Terminal
from tests.networks.test_own_onnx import SIZE, classifier

pytestmark = [pytest.mark.hostile, pytest.mark.slow]
KILLS, SEED = 40, 7


def killed(terminal: Terminal, victim: str, seconds: float) -> str:
    """Kill a conversion after a time; say how it ended."""
    process = terminal.start()
    parent = psutil.Process(process.pid)
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.01)
    workers: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        workers = parent.children(recursive=True)
        for target in [parent] if victim == "server" else workers:
            target.kill()
    said, _ = process.communicate(timeout=300)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive, "a worker outlived its parent"
    assert "Traceback" not in said
    return "whole" if process.returncode == 0 else "killed"


def test_killed_at_random_moments(
    tmp_path: Path, scaled: Callable[[int], int], noted: Noted
) -> None:
    model = classifier(tmp_path / "tiny.onnx", shape=[1, 3, SIZE, SIZE])
    reference = Terminal(model, tmp_path / "reference")
    started = time.monotonic()
    code, said = reference.convert()
    took = time.monotonic() - started
    assert code == 0, said
    wanted = reference.digests()
    dice = random.Random(SEED)
    count = scaled(KILLS)
    moments = [took * (number + dice.random()) / count for number in range(count)]
    dice.shuffle(moments)

    def stands(terminal: Terminal) -> None:
        assert terminal.digests() == wanted
        (found,) = terminal.verify()
        assert found["damaged"] == []

    def attack(number: int) -> str:
        terminal = Terminal(model, tmp_path / f"store{number}")
        how = killed(terminal, ("worker", "server")[number % 2], moments[number])
        if how == "killed" and terminal.visible():
            # Between the move into place and the last word of the command.
            how = "in place"
            stands(terminal)
        left = bool(terminal.hidden())
        code, said = terminal.convert()
        assert code == 0, said
        stands(terminal)
        assert terminal.hidden() == []
        return f"{how}, {'went on' if left else 'from the start'}"

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(attack, range(count)))
    told = ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends)))
    noted("SIGKILL during a conversion, worker and server", count, f"all bit-identical ({told})")
