"""A disk that is full says so in a sentence, and leaves what was there as it was."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.core.errors import ConversionError, OptionError, StorageError
from engine.core.files import (
    bytes_under,
    demand_writable,
    refusal,
    sync_tree,
    translate_disk_errors,
    write_bytes,
    write_whole,
)
from engine.images.pictures import pictures_in
from engine.runs.run import Run
from engine.tasks import evaluate as service
from engine.tasks.catalog import CatalogRequest
from engine.tasks.convert import convert_request
from engine.workers.main import answer
from engine.workers.process import Foreground
from engine.workers.protocol import TaskMessage
from tests.helpers.fake_host import HandMadeHost, request_for
from tests.helpers.tiny_run import tiny_run

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FULL, "No space left on device"),
        (OSError(errno.EDQUOT, "x"), os.strerror(errno.EDQUOT)),
        (OSError(errno.EROFS, "x"), "Read-only file system"),
        (OSError("4096 requested and 12 written"), "4096 requested and 12 written"),
        (RuntimeError("UNKNOWN: variables; No space left on device"), "No space left on device"),
        (FileNotFoundError(errno.ENOENT, "no such file"), None),
        (ValueError("odd"), None),
    ],
)
def test_what_a_disk_says_is_heard_from_any_library(error: Exception, said: str | None) -> None:
    assert refusal(error) == said


def test_it_is_heard_through_the_errors_made_of_it() -> None:
    mapped = ConversionError("ONNX to SavedModel", got="x", expected="y", todo="z")
    assert refusal(mapped) is None
    mapped.__cause__ = FULL
    assert refusal(mapped) == "No space left on device"


def test_a_sentence_says_what_to_do() -> None:
    said = r"Keeping: got a refusal of the disk \(No space"
    with pytest.raises(StorageError, match=said) as got, translate_disk_errors("Keeping"):
        raise FULL
    assert "what was there before is as it was" in got.value.todo
    assert "python -m engine store clean" in got.value.todo
    assert got.value.exit_code == 2
    with pytest.raises(ValueError, match="odd"), translate_disk_errors("Keeping"):
        raise ValueError("odd")


def test_the_worker_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(request: CatalogRequest, report: object) -> object:
        raise RuntimeError("UNKNOWN: No space left on device")

    monkeypatch.setattr("engine.tasks.catalog.run_catalog", full)
    import msgspec

    message = TaskMessage(
        "engine.tasks.catalog:run_catalog", msgspec.Raw(msgspec.json.encode(CatalogRequest()))
    )
    told = answer(message, lambda _: None)
    assert getattr(told, "kind", "") == "StorageError"


class FillingDisk:
    """Refuses from the n-th write on: of files that are opened, renamed, flushed, of folders."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
        self.left = 0
        self._place = str(place)
        for module, name, path_at in (
            (os, "replace", 1),
            (os, "mkdir", 0),
            (os, "fsync", None),
            (io, "open", 0),
        ):
            monkeypatch.setattr(module, name, self._counted(getattr(module, name), name, path_at))

    def _counted(self, real: Callable[..., Any], name: str, path_at: int | None) -> Any:
        def call(*words: Any, **options: Any) -> Any:
            writes = name != "open" or any(sign in _mode(words, options) for sign in "wxa")
            inside = path_at is None or str(words[path_at]).startswith(self._place)
            if writes and inside:
                self.left -= 1
                if self.left < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # Flushing to a real disk takes 10 ms and changes nothing here.
            return None if name == "fsync" else real(*words, **options)

        return call


def _mode(words: tuple[Any, ...], options: dict[str, Any]) -> str:
    return str(words[1] if len(words) > 1 else options.get("mode", "r"))


def writes_until_it_works(disk: FillingDisk, work: Callable[[], object]) -> Iterator[int]:
    """Let the disk refuse at the first write, then at the second, until the work is done."""
    for number in range(200):
        disk.left = number
        try:
            work()
        except StorageError:
            disk.left = 10**6
            yield number
        else:
            disk.left = 10**6
            return
    raise AssertionError("it never works")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_conversion_at_every_write(
    tmp_path: Path, own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = convert_request(request_for(tmp_path / "old.onnx", "float32"), HandMadeHost())
    before = snapshot(old.folder)
    disk = FillingDisk(monkeypatch, own_store)
    request = request_for(tmp_path / "new.onnx")
    points = 0
    for _ in writes_until_it_works(disk, lambda: convert_request(request, HandMadeHost())):
        points += 1
        assert [path.name for path in (own_store / "runs").iterdir()] == [old.folder.name]
        assert snapshot(old.folder) == before
    assert points >= 15
    assert len(list((own_store / "runs").iterdir())) == 2


def test_adding_a_variant_at_every_write(
    tmp_path: Path, own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = convert_request(request_for(tmp_path / "m.onnx", "float32"), HandMadeHost())
    listed = {name: (old.folder / name).read_bytes() for name in old.records}
    disk = FillingDisk(monkeypatch, own_store)
    request = request_for(tmp_path / "m.onnx", "int8")
    points = 0
    for _ in writes_until_it_works(disk, lambda: convert_request(request, HandMadeHost())):
        points += 1
        run = Run.open(old.folder)
        assert run.manifest == old.manifest
        assert {name: (run.folder / name).read_bytes() for name in run.records} == listed
    assert points >= 15
    assert Run.open(old.folder).variants == ("float32", "int8")


def test_answers_at_every_write_of_the_parent(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(tmp_path / "run")
    before = snapshot(run.folder)
    rows = np.zeros((5, 48), np.float32)

    class Answering(Foreground):
        def worker(self, lowering: object = None) -> Any:
            from contextlib import nullcontext

            return nullcontext(self)

        def run(self, work: object, request: Any, report: object) -> bool:
            np.save(Path(request.folder) / "float32.npy", rows)
            return True

    disk = FillingDisk(monkeypatch, run.folder)
    work = lambda: service.compute_logits(run, pictures_in(photos), ("float32",), Answering())  # noqa: E731
    points = 0
    for _ in writes_until_it_works(disk, work):
        points += 1
        now = snapshot(run.folder)
        assert {name: now[name] for name in before} == before
        assert not [name for name in now if ".partial" in name]
    assert points >= 8


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    words = [str(mount), "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if mount is None or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("no small disk can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QLAB_HOME", str(small_disk / "store"))
    old = convert_request(request_for(tmp_path / "old.onnx"), HandMadeHost())
    before = snapshot(old.folder)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * 2**20)
    with pytest.raises(StorageError, match="No space left on device"):
        convert_request(request_for(tmp_path / "new.onnx"), HandMadeHost())
    assert [path.name for path in old.folder.parent.iterdir()] == [old.folder.name]
    assert snapshot(old.folder) == before
    filler.unlink()
    assert convert_request(request_for(tmp_path / "new.onnx"), HandMadeHost()).damaged() == ()


def test_a_place_that_cannot_be_written_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = r"Writing .*: got a refusal \(Not a directory\); expected a place to write to. Choose"
    folder, todo = tmp_path / "file" / "folder", "Choose another folder."
    with (
        pytest.raises(OptionError, match=f"{words} another folder."),
        demand_writable(folder, todo),
    ):
        folder.mkdir(parents=True)
    with pytest.raises(OptionError, match=f"{words} another file."):
        write_bytes(b"", str(tmp_path / "file" / "x"))


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "f", b"content")
    assert (tmp_path / "a" / "b" / "f").read_bytes() == b"content"
    assert bytes_under(tmp_path) == 7
    sync_tree(tmp_path)
