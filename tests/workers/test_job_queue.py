from __future__ import annotations

import threading
import time

import pytest

from engine.workers.jobs import Job, JobBoard, JobQueue, LastChoices


def test_first_come_first_served_and_everybody_knows_the_place() -> None:
    queue = JobQueue(lambda: 1)
    order: list[int] = []
    places: dict[int, list[int]] = {1: [], 2: [], 3: []}
    release = threading.Event()

    def wait(number: int) -> None:
        with queue.turn(places[number].append):
            order.append(number)

    def hold() -> None:
        with queue.turn(lambda _: None):
            release.wait(120)

    threads = [threading.Thread(target=hold)]
    threads[0].start()
    for number in (1, 2, 3):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        while not places[number]:
            time.sleep(0.005)
    assert {number: seen[-1] for number, seen in places.items()} == {1: 1, 2: 2, 3: 3}
    release.set()
    for thread in threads:
        thread.join(120)
    assert order == [1, 2, 3]


def test_as_many_run_as_there_are_slots() -> None:
    queue, running, most = JobQueue(lambda: 3), [], []
    lock, together = threading.Lock(), threading.Barrier(3)

    def work() -> None:
        with queue.turn(lambda _: None):
            with lock:
                running.append(1)
                most.append(len(running))
            together.wait(60)
            with lock:
                running.pop()

    threads = [threading.Thread(target=work) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert max(most) == 3


def test_who_gives_up_lets_the_next_come_up() -> None:
    queue = JobQueue(lambda: 1)

    def give_up(place: int) -> None:
        raise InterruptedError(place)

    with queue.turn(lambda _: None), pytest.raises(InterruptedError), queue.turn(give_up):
        pass
    with queue.turn(give_up):
        pass


def wait_for_place(job: Job[bool], place: int) -> None:
    end = time.monotonic() + 60
    while job.progress.stage != f"Waiting for its turn: number {place} in the queue":
        assert time.monotonic() < end, job.progress.stage
        time.sleep(0.01)


def test_a_job_says_its_place_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QLAB_JOBS", "1")
    release = threading.Event()
    first = Job("First", lambda job: release.wait(120)).start()
    while first.state == "waiting":
        time.sleep(0.01)
    waiting = []
    for title in ("Second", "Third"):
        waiting.append(Job(title, lambda job: True).start())
        wait_for_place(waiting[-1], len(waiting))
    waiting[0].cancel()
    assert waiting[0].wait(60)
    wait_for_place(waiting[1], 1)
    release.set()
    assert waiting[1].wait(60)
    assert waiting[1].state == "done"


def test_a_board_gives_everybody_their_own_jobs() -> None:
    board = JobBoard(most=2)
    release = threading.Event()
    job = Job("A", lambda job: release.wait(120)).start()
    board.add("me", "convert", "", job)
    assert board.find("me", "convert", "") is job
    assert board.find("you", "convert", "") is None
    assert board.find("me", "convert", "something else") is None
    newer = Job("B", lambda job: True).start()
    board.add("me", "convert", "", newer)
    assert board.find("me", "convert", "") is newer
    board.forget(newer)
    assert board.find("me", "convert", "") is job
    release.set()
    assert job.wait(60)


def test_a_new_attempt_takes_the_place_of_those_that_ended() -> None:
    board = JobBoard()
    ended, other, newer = (Job(name, lambda job: True).start() for name in "ABC")
    assert all(job.wait(60) for job in (ended, other, newer))
    board.add("me", "convert", "", ended)
    board.add("me", "convert", "another run", other)
    board.add("me", "convert", "", newer)
    board.forget(newer)
    assert board.find("me", "convert", "") is None
    assert board.find("me", "convert", "another run") is other


def test_the_last_choices_of_the_latest_owners_are_remembered() -> None:
    choices = LastChoices(most=2)
    for owner, choice in (("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")):
        choices.note(owner, choice)
    assert [choices.of(owner) for owner in "abc"] == ["3", None, "4"]


def test_a_board_does_not_grow() -> None:
    board = JobBoard(most=2)
    for number in range(10):
        job = Job(str(number), lambda job: True).start()
        assert job.wait(60)
        board.add("me", str(number), "", job)
    assert [board.find("me", str(n), "") is None for n in range(10)] == [True] * 7 + [False] * 3
    board = JobBoard(kept_seconds=0)
    board.add("me", "old", "", job)
    board.add("me", "new", "", job)
    assert board.find("me", "old", "") is None
