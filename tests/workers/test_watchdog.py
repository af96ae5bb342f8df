"""A worker that misbehaves is ended with all it started; each defence is also shown to matter."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.core.errors import EngineError, WorkerDied
from engine.core.limits import LIMITS
from engine.workers import jobs as jobs_module
from engine.workers import process as process_module
from engine.workers import watchdog as worker_watch
from engine.workers.process import Worker
from engine.workers.sandbox import variables
from tests.helpers.misbehaving_worker import Deed, run_deed

TOTAL = psutil.virtual_memory().total
SMALL = replace(
    LIMITS,
    worker_memory_share=300e6 / TOTAL,
    worker_processes=20,
    worker_log_bytes=4 << 20,
)


@pytest.fixture(autouse=True)
def misbehaving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        process_module,
        "WORKER_COMMAND",
        (sys.executable, "-P", "-m", "tests.helpers.misbehaving_worker"),
    )
    monkeypatch.setattr(worker_watch, "LIMITS", SMALL)


@pytest.fixture
def pid_file(tmp_path: Path) -> Iterator[Path]:
    """Where deeds note what they started; what a test leaves is ended."""
    file = tmp_path / "pids"
    file.touch()
    yield file
    for pid in living(file):
        psutil.Process(pid).kill()


def living(file: Path) -> list[int]:
    pids = [int(line) for line in file.read_text().split()]
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != "zombie"]


def do(worker: Worker, what: str, **more: Any) -> Any:
    return worker.run(run_deed, Deed(what, **more))


slow = pytest.mark.hostile


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("eat_elsewhere", "of memory, with all it started"),
        ("leave_behind", "SIGSEGV"),
        ("garbage", "the end of the worker process"),
        pytest.param("eat", "of memory, with all it started", marks=slow),
        pytest.param("hang", "no sign of life from the worker for 3 s: it hangs", marks=slow),
        pytest.param("spin", "it hangs", marks=slow),
        pytest.param("stop", "it hangs", marks=slow),
        pytest.param("fork", r"started \d+ processes", marks=slow),
        pytest.param("shout", "printed more than 4 MB", marks=slow),
        pytest.param("crash", "SIGSEGV", marks=slow),
        pytest.param("leave", "exit code 7", marks=slow),
    ],
)
def test_it_is_ended_with_a_sentence_and_the_next_one_works(
    what: str, sentence: str, pid_file: Path
) -> None:
    started = time.monotonic()
    with Worker(silent_seconds=3) as worker, pytest.raises(WorkerDied, match=sentence):
        do(worker, what, pid_file=str(pid_file))
    assert time.monotonic() - started < 60
    assert living(pid_file) == []
    with Worker() as worker:
        assert do(worker, "surroundings")["folder"]


@pytest.mark.hostile
def test_without_the_mark_a_process_of_another_session_gets_away(
    monkeypatch: pytest.MonkeyPatch, pid_file: Path
) -> None:
    monkeypatch.setattr(worker_watch, "MARK", "NO_SUCH_VARIABLE")
    with Worker(silent_seconds=2) as worker:
        job = jobs_module.Job(
            "", lambda job: do(worker, "fork", amount=2, pid_file=str(pid_file))
        ).start()
        assert not job.wait(6), "they hold the pipe that the parent reads from"
        assert len(living(pid_file)) == 2, "the group alone does not find them"
        for pid in living(pid_file):
            psutil.Process(pid).kill()
        assert job.wait(60)
        assert "it hangs" in str(job.error)


@pytest.mark.hostile
def test_without_the_watch_a_hanging_worker_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_watch.Watchdog, "_check_limits", lambda self: None)
    with Worker(silent_seconds=0.2) as worker:
        job = jobs_module.Job("Hanging", lambda job: do(job.adopt(worker), "hang")).start()
        assert not job.wait(2)
        job.cancel()
        assert job.wait(60)


def test_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "relative")
    with Worker() as worker:
        found = do(worker, "surroundings")
        folder = Path(found["folder"])
        assert folder.is_dir()
    assert not folder.exists(), "what it wrote goes with it"
    assert "secret" not in str(found["variables"])
    assert {"PATH", "HOME", "QLAB_HOME"} <= set(found["variables"])
    assert os.path.abspath("relative") in found["path"]
    assert folder not in map(Path, found["path"])


def test_without_the_choice_a_worker_sees_what_the_server_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def everything(mark: str, folder: Path) -> dict[str, str]:
        return dict(os.environ) | variables(mark, folder)

    monkeypatch.setattr("engine.workers.process.variables", everything)
    with Worker() as worker:
        assert "secret" in str(do(worker, "surroundings")["variables"])


def test_variables_are_chosen_by_name(tmp_path: Path) -> None:
    around = {
        "PATH": "/bin",
        "GITHUB_TOKEN": "x",
        "LD_PRELOAD": "y",
        "https_proxy": "p",
        "QLAB_PASSWORD": "z",
    }
    found = variables("mark", tmp_path, around)
    assert found["https_proxy"] == "p"
    assert {"GITHUB_TOKEN", "LD_PRELOAD", "QLAB_PASSWORD"}.isdisjoint(found)


def test_messages_are_cut_and_cannot_steer_a_terminal() -> None:
    error = EngineError("x", got="\x1b[2J\u202efdp.exe" + "a" * 5000, expected="y", todo="z")
    assert "\x1b" not in str(error)
    assert "\u202e" not in str(error)
    assert len(str(error)) < 2100


def test_a_process_that_ended_is_no_member_though_nobody_noticed_yet() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        family = worker_watch.ProcessTree(process, "a mark")
        assert [p.pid for p in family.members(afresh=True)] == [process.pid]
        process.kill()
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert family.members(afresh=True) == []
