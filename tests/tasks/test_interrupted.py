from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from engine.runs.request import ConvertRequest
from engine.tasks.convert import UnderWay, list_interrupted, write_note
from engine.workers.jobs import Job

WORK = UnderWay("me", "Converting", ConvertRequest(variants=("int8",)))
SERVER = (
    "import sys, time; sys.path.insert(0, '.')\n"
    "from tests.tasks.test_interrupted import WORK\n"
    "from engine.tasks.convert import write_note\n"
    "with write_note(WORK):\n"
    "    print('write_note', flush=True)\n"
    "    time.sleep(60)\n"
)


def test_a_conversion_that_ends_leaves_no_note(own_store: Path) -> None:
    with write_note(WORK):
        assert list_interrupted("me") == ()
        assert len(list((own_store / "jobs").iterdir())) == 1
    assert list((own_store / "jobs").iterdir()) == []


def test_a_killed_server_leaves_one_for_its_owner_alone(own_store: Path) -> None:
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, cwd=root)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        assert list_interrupted("me") == ()
        process.kill()
        process.wait()
    (found,) = list_interrupted("me")
    assert found.work == WORK
    assert list_interrupted("you") == ()
    found.forget()
    assert list_interrupted("me") == ()


def test_a_note_that_cannot_be_read_goes(own_store: Path) -> None:
    place = own_store / "jobs" / "x"
    place.mkdir(parents=True)
    (place / "note.json").write_bytes(b"{")
    assert list_interrupted("me") == ()
    assert not place.exists()


def test_an_old_note_goes(own_store: Path) -> None:
    from engine.core.checksums import write_verified

    place = own_store / "jobs" / "x"
    import msgspec

    write_verified(place / "note.json", msgspec.json.encode(WORK))
    assert len(list_interrupted("me")) == 1
    old = time.time() - 25 * 3600
    os.utime(place, (old, old))
    assert list_interrupted("me") == ()


def test_a_job_is_noted_while_it_waits(own_store: Path) -> None:
    release = threading.Event()
    first = Job("First", lambda job: release.wait(120)).start()
    while first.state == "waiting":
        time.sleep(0.01)
    second = Job("Second", lambda job: True, write_note(WORK)).start()
    while not (own_store / "jobs").is_dir() or not list((own_store / "jobs").iterdir()):
        time.sleep(0.01)
    assert second.state == "waiting"
    second.cancel()
    assert second.wait(60)
    assert list((own_store / "jobs").iterdir()) == []
    release.set()
    assert first.wait(60)
