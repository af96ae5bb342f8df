from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import pytest

from engine.core.errors import JobCancelled, RunError
from engine.core.locks import FolderLock, lock_when_free
from engine.core.types import Progress
from engine.tasks.inspect_operator import run_float_trial
from engine.tasks.latency import LatencyRequest, run_latency, run_profile
from engine.tasks.targets import run_timed_target
from engine.workers.process import Worker
from engine.workers.protocol import is_alone, types_of
from engine.workers.slots import SLOTS_VARIABLE, WAITING, hold_slot
from tests.helpers.tasks import TASKS

NO_RUN = LatencyRequest(run="/nowhere", columns=("original",))


def taken_gate(store: Path) -> FolderLock:
    return lock_when_free(store / "cache" / "slots" / "gate", lambda: None)


def test_a_turn_that_is_free_says_nothing(own_store: Path) -> None:
    said: list[Progress] = []
    for _ in range(2):
        with hold_slot(said.append):
            assert (own_store / "cache" / "slots" / "gate").exists()
    assert said == []


@pytest.mark.slow
def test_a_worker_waits_for_the_work_of_another_process(own_store: Path) -> None:
    other = taken_gate(own_store)
    told = threading.Event()
    ended: list[float] = []

    def note(progress: Progress) -> None:
        if progress.stage == WAITING:
            told.set()

    def ask(worker: Worker) -> None:
        with pytest.raises(RunError):
            worker.run(run_latency, NO_RUN, lambda p: told.set() if p.stage == WAITING else None)
        ended.append(time.monotonic())

    with Worker() as worker:
        asking = threading.Thread(target=ask, args=(worker,))
        asking.start()
        assert told.wait(60)
        time.sleep(0.3)
        assert ended == []
        released = time.monotonic()
        other.release()
        asking.join(120)
        assert ended[0] >= released


@pytest.mark.slow
def test_waiting_can_be_cancelled_and_a_killed_worker_lets_go(own_store: Path) -> None:
    other = taken_gate(own_store)
    with ExitStack() as held, Worker() as worker:
        held.callback(other.release)
        threading.Timer(1.0, worker.cancel).start()
        with pytest.raises(JobCancelled):
            worker.run(run_latency, NO_RUN)
    with hold_slot(lambda _: None):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(False, True), (True, False), (True, True)])
@pytest.mark.parametrize(("slots", "slots_of_second"), [(3, 1), (1, 8)])
def test_nothing_runs_beside_a_timing_however_many_slots_each_process_has(
    own_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: bool,
    second: bool,
    slots: int,
    slots_of_second: int,
) -> None:
    waiting, started = threading.Event(), threading.Event()
    monkeypatch.setenv(SLOTS_VARIABLE, str(slots))
    with ExitStack() as running:
        if slots > 1 and not first:  # the job in the first slot ends, the one in the second stays
            with hold_slot(lambda _: None):
                running.enter_context(hold_slot(lambda _: None))
        else:
            running.enter_context(hold_slot(lambda _: None, alone=first))
        monkeypatch.setenv(SLOTS_VARIABLE, str(slots_of_second))

        def ask() -> None:
            with hold_slot(lambda _: waiting.set(), alone=second):
                started.set()

        asking = threading.Thread(target=ask)
        asking.start()
        assert waiting.wait(10)
        assert not started.wait(0.5)
    asking.join(10)
    assert started.is_set()


def test_every_task_that_takes_timings_runs_alone() -> None:
    with_rounds = {
        task for task in TASKS if any(field.name == "rounds" for field in fields(types_of(task)[0]))
    }
    others = {run_profile, run_float_trial, run_timed_target}
    assert with_rounds | others == {task for task in TASKS if is_alone(task)}


def test_work_beside_takes_no_slot_but_waits_for_a_timing(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SLOTS_VARIABLE, "1")
    with hold_slot(lambda _: None), hold_slot(lambda _: None, beside=True):
        pass
    started, waiting = threading.Event(), threading.Event()

    def ask() -> None:
        with hold_slot(lambda _: waiting.set(), beside=True):
            started.set()

    asking = threading.Thread(target=ask)
    with hold_slot(lambda _: None, alone=True):
        asking.start()
        assert waiting.wait(10)
        assert not started.is_set()
    asking.join(10)
    assert started.is_set()
