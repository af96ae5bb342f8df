"""A run is made once, goes on where it stopped, and heals."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.checksums import read_verified
from engine.core.errors import ConversionError, JobCancelled, RunError
from engine.core.types import Progress
from engine.runs.cleanup import load_runs
from engine.runs.manifest import FILE_NAME
from engine.runs.run import ONNX_FILE, Run
from engine.runs.staging import WAITING_FOR_SAME, staging_path
from engine.tasks.convert import convert_request
from engine.workers.jobs import Job
from tests.core.test_checksums import flip
from tests.helpers.fake_host import HandMadeHost, request_for


def test_a_run_goes_to_the_store_with_checksums_of_its_files(
    tmp_path: Path, own_store: Path
) -> None:
    host = HandMadeHost()
    run = convert_request(request_for(tmp_path / "m.onnx"), host)
    assert run.folder.parent == own_store / "runs"
    assert [path.name for path in run.folder.parent.iterdir()] == [run.folder.name]
    assert set(run.manifest.files) == {
        ONNX_FILE,
        "float32.tflite",
        "int8.tflite",
        "work/float32.tflite",
    }
    assert run.damaged(again=True) == ()
    assert read_verified(run.folder / "logs" / "convert-1.log") == b"said by a converter"
    assert convert_request(request_for(tmp_path / "m.onnx"), host).folder == run.folder
    assert len(host.tasks) == 1


@pytest.mark.slow
def test_the_same_run_is_made_once_for_all_who_ask_at_once(tmp_path: Path) -> None:
    request = request_for(tmp_path / "m.onnx")
    host = HandMadeHost(seconds=0.5)
    runs: list[Run] = []
    threads = [
        threading.Thread(target=lambda: runs.append(convert_request(request, host)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len({run.folder for run in runs}) == 1
    assert len(runs) == 6
    assert len(host.tasks) == 1
    assert WAITING_FOR_SAME in host.said


@pytest.mark.slow
def test_waiting_for_the_same_can_be_cancelled(tmp_path: Path) -> None:
    request = request_for(tmp_path / "m.onnx", out=tmp_path / "run")
    slow = HandMadeHost(seconds=1.5)
    first = threading.Thread(target=convert_request, args=(request, slow))
    first.start()
    while not slow.tasks:
        time.sleep(0.01)
    job: Job[Run] = Job("Second", lambda job: convert_request(request, job)).start()
    while job.progress.stage != WAITING_FOR_SAME:
        time.sleep(0.01)
    job.cancel()
    assert job.wait(60)
    assert job.state == "cancelled"
    first.join(120)
    assert Run.open(tmp_path / "run").variants == ("float32", "int8")


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    class Failing(HandMadeHost):
        def run(self, *words: object) -> bool:
            super().run(*words)  # type: ignore[arg-type]
            raise ConversionError("ONNX to SavedModel", got="x", expected="y", todo="z")

    place = tmp_path / "runs" / "run"
    with pytest.raises(ConversionError):
        convert_request(request_for(tmp_path / "m.onnx", out=place), Failing())
    assert list(place.parent.iterdir()) == []


def test_a_run_that_is_being_made_is_not_among_the_known(tmp_path: Path, own_store: Path) -> None:
    run = convert_request(request_for(tmp_path / "m.onnx"), HandMadeHost())
    shutil.copytree(run.folder, staging_path(own_store / "runs" / "other"))
    assert [known.folder for known in load_runs()] == [run.folder]


def test_what_a_killed_process_left_is_handed_to_the_next(tmp_path: Path) -> None:
    place = tmp_path / "run"
    side = staging_path(place)
    side.mkdir()
    (side / "from_before").write_text("")

    class Looking(HandMadeHost):
        def run(self, work: object, task: object, *words: object) -> bool:
            assert (side / "from_before").exists()
            (side / "from_before").unlink()
            return super().run(work, task, *words)  # type: ignore[arg-type]

    convert_request(request_for(tmp_path / "m.onnx", out=place), Looking())
    assert not side.exists()


@pytest.mark.parametrize("name", ["int8.tflite", "work/float32.tflite"])
def test_a_damaged_file_is_set_apart_and_made_again(tmp_path: Path, name: str) -> None:
    place = tmp_path / "run"
    host = HandMadeHost()
    request = request_for(tmp_path / "m.onnx", out=place)
    before = convert_request(request, host).manifest
    good = (place / name).read_bytes()
    (place / name).write_bytes(b"damaged")
    after = convert_request(request, host)
    assert host.tasks[-1].base == str(place)
    assert after.damaged(again=True) == ()
    assert after.variants == before_variants(before.artifacts)
    assert (place / name).read_bytes() == good
    (apart,) = (place / "damaged").iterdir()
    assert apart.read_bytes() == b"damaged"


def before_variants(artifacts: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(card.variant for card in artifacts)  # type: ignore[attr-defined]


def test_a_damaged_original_makes_everything_again(tmp_path: Path) -> None:
    place = tmp_path / "run"
    host = HandMadeHost()
    convert_request(request_for(tmp_path / "m.onnx", out=place), host)
    (place / ONNX_FILE).write_bytes(b"damaged")
    run = convert_request(request_for(tmp_path / "m.onnx", "float32", out=place), host)
    assert host.tasks[-1].base is None
    assert host.tasks[-1].request.variants == ("float32", "int8")
    assert run.damaged(again=True) == ()
    assert [path.name.partition("-")[2] for path in (place / "damaged").iterdir()] == [ONNX_FILE]


def test_reading_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    run = convert_request(request_for(tmp_path / "m.onnx", out=tmp_path / "run"), HandMadeHost())
    assert run.file("int8").is_file()
    (run.folder / "int8.tflite").write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"which lies in damaged/ now.*Ask for the same conversion"):
        run.file("int8")
    with pytest.raises(RunError, match="no such file"):
        run.file("int8")
    assert run.file("float32").is_file()


def test_a_run_of_the_store_that_cannot_be_read_is_set_apart(
    tmp_path: Path, own_store: Path
) -> None:
    host = HandMadeHost()
    run = convert_request(request_for(tmp_path / "m.onnx"), host)
    flip(run.folder / FILE_NAME, place=30)
    with pytest.raises(RunError, match=r"damaged manifest|schema version"):
        Run.open(run.folder)
    again = convert_request(request_for(tmp_path / "m.onnx"), host)
    assert again.folder == run.folder
    assert len(list((own_store / "damaged").iterdir())) == 1
    assert len(host.tasks) == 2


def test_a_run_elsewhere_that_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "run"
    convert_request(request_for(tmp_path / "m.onnx", out=place), HandMadeHost())
    (place / FILE_NAME).write_bytes(b"{}")
    with pytest.raises(RunError, match="damaged manifest"):
        convert_request(request_for(tmp_path / "m.onnx", out=place), HandMadeHost())


def test_a_changed_figure_in_the_manifest_is_found(tmp_path: Path) -> None:
    run = convert_request(request_for(tmp_path / "m.onnx", out=tmp_path / "run"), HandMadeHost())
    file = run.folder / FILE_NAME
    text = file.read_bytes()
    assert b'"max_abs_error": 0.5' in text
    file.write_bytes(text.replace(b'"max_abs_error": 0.5', b'"max_abs_error": 0.7'))
    with pytest.raises(RunError, match="not the one that was written"):
        Run.open(run.folder)


def test_a_run_of_an_older_version_is_read(tmp_path: Path) -> None:
    run = convert_request(request_for(tmp_path / "m.onnx", out=tmp_path / "run"), HandMadeHost())
    older = replace(run.manifest, files={}).to_json()
    start = older.index(b',\n  "files"')
    (run.folder / FILE_NAME).write_bytes(older[:start] + b"\n}")
    again = Run.open(run.folder)
    assert again.manifest == replace(run.manifest, files={})
    assert again.damaged() == ()
    (run.folder / "int8.tflite").write_bytes(b"damaged")
    assert again.damaged() == ("int8.tflite",)


def test_progress_of_a_job_that_nobody_wants_ends_it() -> None:
    job: Job[bool] = Job("Working", lambda job: True)
    job.report(Progress("First", 0, 1))
    job.cancel()
    with pytest.raises(JobCancelled):
        job.report(Progress("Second", 0, 1))
