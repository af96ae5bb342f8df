"""What happens without each defence of the store: the tests of the defences can fail."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.core.errors import EngineError
from engine.core.locks import shared_lock
from engine.runs import cleanup as store_care
from engine.runs import staging as run_folders
from engine.runs.run import OWNERS, Run
from engine.tasks.convert import convert_request
from pages.access import auth as sharing
from pages.state import session
from tests.helpers.fake_host import HandMadeHost, request_for
from tests.helpers.tiny_run import tiny_run
from tests.runs.test_cleanup import used


class NoLock:
    def is_on(self, path: Path) -> bool:
        return path.exists()

    def release(self) -> None:
        """Nothing was held."""


def asked_twice_at_once(file: Path) -> int:
    """How often the same conversion is done, or fails, for two who ask at once."""
    host = HandMadeHost(seconds=0.3)
    failed: list[EngineError | OSError] = []

    def ask() -> None:
        try:
            convert_request(request_for(file), host)
        except (EngineError, OSError) as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return len(host.tasks) + len(failed)


@pytest.mark.slow
def test_without_the_lock_it_is_done_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked, unprotected = tmp_path / "with.onnx", tmp_path / "without.onnx"
    locked.write_bytes(b"a model")
    unprotected.write_bytes(b"another")
    assert asked_twice_at_once(locked) == 1

    def unlocked(folder: Path, wait: Callable[[], None]) -> NoLock:
        folder.mkdir(parents=True, exist_ok=True)
        return NoLock()

    monkeypatch.setattr(run_folders, "lock_when_free", unlocked)
    assert asked_twice_at_once(unprotected) > 1


def test_without_checksums_a_damaged_file_is_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = convert_request(request_for(tmp_path / "m.onnx", out=tmp_path / "run"), HandMadeHost())
    (run.folder / "int8.tflite").write_bytes(b"damaged")
    monkeypatch.setattr("engine.runs.integrity.intact", lambda path, record: True)
    assert run.file("int8").read_bytes() == b"damaged"


def test_without_leases_a_run_goes_while_somebody_works_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = convert_request(request_for(tmp_path / "m.onnx"), HandMadeHost())
    used(run.folder, 5)
    with shared_lock(run.folder):
        assert store_care.make_room(0) == ()
        monkeypatch.setattr(store_care, "try_lock", lambda folder: NoLock())
        assert len(store_care.make_room(0)) == 1
    assert not run.folder.exists()


def test_without_the_folder_aside_a_killed_process_leaves_half_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(HandMadeHost):
        def run(self, work: object, task: object, *words: object) -> bool:
            side = Path(task.side)  # type: ignore[attr-defined]
            (side / "float32.tflite").write_bytes(b"half")
            raise SystemExit

    place = tmp_path / "run"
    with contextlib.suppress(SystemExit):
        convert_request(request_for(tmp_path / "m.onnx", out=place), Killed())
    assert not place.exists()

    @contextlib.contextmanager
    def in_place(place: Path, report: object) -> Iterator[Path]:
        place.mkdir()
        yield place

    monkeypatch.setattr("engine.tasks.convert.staging_folder", in_place)
    with contextlib.suppress(SystemExit):
        convert_request(request_for(tmp_path / "m.onnx", out=place), Killed())
    assert os.listdir(place) == ["float32.tflite"]


def test_without_owners_a_stranger_sees_the_run_of_an_upload(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(own_store / "runs" / "tiny")
    (run.folder / OWNERS).mkdir()
    (run.folder / OWNERS / "me").touch()
    monkeypatch.setenv(sharing.SHARED_VARIABLE, "password")
    monkeypatch.setattr(session, "st", SimpleNamespace(session_state={"qlab_owner": "you"}))
    assert session.visible_runs() == ()
    monkeypatch.setattr(Run, "visible_to", lambda run, owner: True)
    assert len(session.visible_runs()) == 1
