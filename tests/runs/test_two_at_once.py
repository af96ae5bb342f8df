"""Many processes, and two threads of one, that write to the same run: nothing is lost."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from engine.comparison.latency import Latency
from engine.core import locks
from engine.core.checksums import is_verified, write_verified
from engine.core.errors import StorageError
from engine.deployment.phone import benchmarks_of
from engine.images.pictures import Picture, pictures_in
from engine.runs.labels import give_label, own_labels
from engine.runs.pinned import list_pinned, pin, unpin
from engine.runs.results import load_latency
from engine.runs.run import LABELS, LATENCY, PHONE, Run
from tests.helpers.factories import artifact, latency
from tests.helpers.tiny_run import CLASSES, tiny_run

ROOT = Path(__file__).parent.parent.parent
PROCESSES = 8
PROGRAM = """
import hashlib, json, sys, traceback
from pathlib import Path
from engine.runs.run import Run
number = int(sys.argv[1])
for line in sys.stdin:
    work, folder, given = json.loads(line)
    names = dict(hashlib=hashlib, Path=Path, number=number, given=Path(given))
    names["run"] = Run.open(folder)
    program = compile(work, "work", "exec")
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        exec(program, names)
    except BaseException:
        print(json.dumps(traceback.format_exc()), flush=True)
    else:
        print(json.dumps(""), flush=True)
"""
Together = Callable[[Run, str, Path], None]


@pytest.fixture(scope="module")
def together() -> Iterator[Together]:
    """Let eight processes do the same work at once, each with a number of its own.

    They are started once: what they import takes longer than most of the work.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=ROOT,
        )
        for number in range(PROCESSES)
    ]
    channels = [(process.stdin, process.stdout) for process in processes]

    def work_at_once(run: Run, work: str, given: Path) -> None:
        for stdin, _ in channels:
            print(json.dumps([work, str(run.folder), str(given)]), file=stdin)
        assert [stdout.readline() for _, stdout in channels] == ["ready\n"] * PROCESSES
        for stdin, _ in channels:
            print("go", file=stdin)
        assert [json.loads(stdout.readline()) for _, stdout in channels] == [""] * PROCESSES

    yield work_at_once
    assert [process.communicate()[1] for process in processes] == [""] * PROCESSES


def labelled(number: int) -> Picture:
    name = f"{number}.png"
    return Picture(name, Path(name), hashlib.sha256(name.encode()).hexdigest())


GIVE_LABELS = """
from engine.images.pictures import Picture
from engine.runs.labels import give_label
for index in range(number * 50, number * 50 + 50):
    name = f"{index}.png"
    picture = Picture(name, Path(name), hashlib.sha256(name.encode()).hexdigest())
    give_label(run, picture, index % 48)
"""


@pytest.mark.slow
def test_400_labels_of_eight_processes(tmp_path: Path, together: Together) -> None:
    run = tiny_run(tmp_path / "run")
    together(run, GIVE_LABELS, tmp_path)
    pictures = tuple(labelled(number) for number in range(400))
    assert own_labels(run, pictures).tolist() == [number % CLASSES for number in range(400)]
    assert [path.name for path in (run.folder / LABELS).iterdir()] == ["answers.json"]


def test_labels_of_two_threads(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    pictures = [labelled(number) for number in range(60)]

    def label(which: int) -> None:
        for number in range(which, 60, 2):
            give_label(run, pictures[number], number % CLASSES)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(label, range(2)))
    expected = [number % CLASSES for number in range(60)]
    assert own_labels(run, tuple(pictures)).tolist() == expected


PIN = """
from dataclasses import replace
from engine.images.pictures import pictures_in
from engine.runs.pinned import pin, unpin
pictures = pictures_in(given)
for picture in pictures[number::8]:
    pin(run, picture)
    pin(run, replace(pictures[-1], name=f"{number}.png"))
    unpin(run, pictures[0].sha256)
"""


@pytest.mark.slow
def test_100_pins_of_eight_processes(tmp_path: Path, together: Together) -> None:
    run, given = tiny_run(tmp_path / "run"), tmp_path / "given"
    given.mkdir()
    for number in range(102):
        Image.fromarray(np.full((2, 2, 3), number, np.uint8)).save(given / f"{number:03}.png")
    pictures = pictures_in(given)
    together(run, PIN, given)
    unpin(run, pictures[0].sha256)
    pinned = list_pinned(run)
    assert {picture.sha256 for picture in pinned} == {p.sha256 for p in pictures[1:]}
    # The last picture was pinned by all under eight names: it is there once.
    assert len(pinned) == 101


def test_pins_of_two_threads(tmp_path: Path, photos: Path) -> None:
    run, pictures = tiny_run(tmp_path / "run"), pictures_in(photos)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda picture: pin(run, picture), pictures * 4))
    assert [picture.sha256 for picture in list_pinned(run)] == [p.sha256 for p in pictures]


ADD = """
from dataclasses import replace
import msgspec
from engine.runs import external_files
from engine.tasks import add_file
from engine.tflite.artifact import Artifact
from engine.workers.process import Foreground
card = msgspec.json.decode((given / "card.json").read_bytes(), type=Artifact)
def tried(run, name, file, host):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    size = file.stat().st_size
    return replace(card, variant=name, file=f"also/{name}.tflite", bytes=size, sha256=digest)
add_file._try_in_worker = tried
for index in range(5):
    file = given / f"{number}-{index}.tflite"
    file.write_bytes(b"\\0\\0\\0\\0TFL3" + f"{number}-{index}".encode())
    add_file.add_file(run, f"own_{number}_{index}", file, Foreground())
    add_file.add_file(run, "shared", file, Foreground())
    gone = add_file.add_file(run, f"gone_{number}", file, Foreground())
    external_files.remove_file(gone, f"gone_{number}")
"""


@pytest.mark.slow
def test_40_files_from_elsewhere_of_eight_processes(tmp_path: Path, together: Together) -> None:
    run, given = tiny_run(tmp_path / "run"), tmp_path / "given"
    given.mkdir()
    (given / "card.json").write_bytes(msgspec.json.encode(artifact("card")))
    own = {f"own_{number}_{index}": 1.0 for number in range(PROCESSES) for index in range(5)}
    timed = latency({"float32": 2.0, "shared": 1.0, "gone_3": 1.0} | own)
    write_verified(run.folder / LATENCY / "threads-1.json", msgspec.json.encode(timed))
    together(run, ADD, given)
    grown = Run.open(run.folder)
    assert {added.artifact.variant for added in grown.added} == {"shared", *own}
    assert grown.damaged(again=True) == ()
    entries = msgspec.json.decode(
        (run.folder / LATENCY / "threads-1.json").read_bytes(), type=Latency
    ).entries
    assert {entry.variant for entry in entries} == {"float32", *own}


STORE_TIMINGS = """
from engine.tasks.latency import store_latency
from engine.comparison.latency import Latency, LatencySamples
for index in range(5):
    entry = LatencySamples(f"v{number}{index}", (1.0 + number,))
    store_latency(run, Latency("host", 2, 1, "2026-01-01T00:00:00+00:00", (entry,)))
"""


@pytest.mark.slow
def test_40_timings_of_eight_processes(tmp_path: Path, together: Together) -> None:
    run = tiny_run(tmp_path / "run")
    together(run, STORE_TIMINGS, tmp_path)
    timed = load_latency(run)
    assert timed is not None
    medians = {entry.variant: entry.median_ms for entry in timed.entries}
    assert medians == {f"v{p}{n}": 1.0 + p for p in range(PROCESSES) for n in range(5)}
    assert is_verified(run.folder / LATENCY / "threads-1.json", again=True)


ADD_RESULTS = """
from engine.deployment.phone import add_benchmark, benchmarks_of
text = "Inference timings in us: Init: 1, First inference: 2, Inference (avg): 9800\\n"
for index in range(5):
    add_benchmark(run, "int8", f"{number} {index}", f"{text}process {number}: {index}")
    add_benchmark(run, "int8", "shared", text)
    benchmarks_of(run)
"""


@pytest.mark.slow
def test_40_results_of_phones_of_eight_processes(tmp_path: Path, together: Together) -> None:
    run = tiny_run(tmp_path / "run")
    together(run, ADD_RESULTS, tmp_path)
    own = [f"{number} {index}" for number in range(PROCESSES) for index in range(5)]
    assert sorted(result.phone for result in benchmarks_of(run)) == sorted(["shared", *own])
    assert {file.suffix for file in (run.folder / PHONE).iterdir()} == {".json"}


WRITE = """
from engine.core.checksums import is_verified, write_verified
for round in range(50):
    write_verified(given / "f.json", f"{number} {round}".encode())
    assert is_verified(given / "f.json", again=True)
"""


@pytest.mark.slow
def test_a_file_that_eight_write_at_once_is_never_called_damaged(
    tmp_path: Path, together: Together
) -> None:
    together(tiny_run(tmp_path / "run"), WRITE, tmp_path)
    assert is_verified(tmp_path / "f.json", again=True)


def test_a_folder_without_locks_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(tmp_path / "run")

    def without_locks(opened: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, "flock", without_locks)
    with pytest.raises(StorageError, match="No locks available"):
        give_label(run, labelled(0), 1)
    assert list((run.folder / LABELS).iterdir()) == []
