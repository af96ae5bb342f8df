from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.core.locks import lock_when_free, shared_lock, try_lock

HOLD = (
    "import sys, time, pathlib; sys.path.insert(0, '.')\n"
    "from engine.core.locks import try_lock\n"
    "lock = try_lock(pathlib.Path(sys.argv[1]))\n"
    "print(lock is not None, flush=True)\n"
    "time.sleep(60)\n"
)


def test_one_holder_at_a_time_and_shared_ones_together(tmp_path: Path) -> None:
    first = try_lock(tmp_path)
    assert first is not None
    assert try_lock(tmp_path) is None
    assert try_lock(tmp_path, shared=True) is None
    first.release()
    one, two = try_lock(tmp_path, shared=True), try_lock(tmp_path, shared=True)
    assert one is not None
    assert two is not None
    assert try_lock(tmp_path) is None
    one.release()
    two.release()
    assert try_lock(tmp_path / "nowhere") is None


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, cwd=root
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline().strip() == b"True"
        assert try_lock(tmp_path) is None
        process.kill()
        process.wait()
    lock = try_lock(tmp_path)
    assert lock is not None
    lock.release()


def test_who_waits_gets_it_and_a_refusal_ends_the_waiting(tmp_path: Path) -> None:
    place = tmp_path / "place"
    first = lock_when_free(place, lambda: None)

    def give_up() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        lock_when_free(place, give_up)
    threading.Timer(0.3, first.release).start()
    started = time.monotonic()
    second = lock_when_free(place, lambda: None)
    assert time.monotonic() - started > 0.25
    second.release()


def test_a_folder_that_went_away_meanwhile_is_not_taken_for_the_new_one(tmp_path: Path) -> None:
    place = tmp_path / "place"
    first = lock_when_free(place, lambda: None)
    place.rename(tmp_path / "elsewhere")
    assert not first.is_on(place)
    second = lock_when_free(place, lambda: None)
    assert second.is_on(place)
    first.release()
    second.release()


def test_a_folder_that_goes_away_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    make = os.mkdir

    def taken_away_between_the_two_looks(path: Path, mode: int = 0o777) -> None:
        monkeypatch.setattr(os, "mkdir", make)
        place.rmdir()
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))

    monkeypatch.setattr(os, "mkdir", taken_away_between_the_two_looks)
    lock = lock_when_free(place, lambda: None)
    assert lock.is_on(place)
    lock.release()


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("")
    with pytest.raises(NotADirectoryError):
        lock_when_free(tmp_path / "place", lambda: None)


def test_a_folder_in_use_cannot_be_taken(tmp_path: Path) -> None:
    with shared_lock(tmp_path), shared_lock(tmp_path):
        assert try_lock(tmp_path) is None
    lock = try_lock(tmp_path)
    assert lock is not None
    lock.release()
    with shared_lock(tmp_path / "nowhere"):
        pass


def test_a_folder_is_in_use_however_long_it_took_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = try_lock(tmp_path)
    assert holder is not None
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 500:
            holder.release()

    monkeypatch.setattr(time, "sleep", wait)
    with shared_lock(tmp_path):
        assert len(waits) == 500
        assert try_lock(tmp_path) is None
