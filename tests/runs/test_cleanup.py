from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.core.errors import OptionError
from engine.core.locks import shared_lock
from engine.core.store import RUNS_VARIABLE, UPLOADS_VARIABLE, StoreLimits, limits
from engine.runs import cleanup as store_care
from engine.runs.cleanup import Upkeep
from engine.runs.manifest import FILE_NAME
from engine.runs.run import Run
from engine.runs.staging import staging_path
from engine.tasks.convert import convert_request
from tests.core.test_checksums import flip
from tests.helpers.fake_host import HandMadeHost, request_for

HOUR = 3600.0


def used(path: Path, hours_ago: float) -> None:
    when = time.time() - hours_ago * HOUR
    os.utime(path, (when, when))


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """Three runs of the store, the first used longest ago."""
    made = []
    for number in range(3):
        file = tmp_path / f"m{number}.onnx"
        file.write_bytes(b"model %d" % number)
        made.append(convert_request(request_for(file), HandMadeHost()))
        used(made[-1].folder, 10 - number)
    return made


def names() -> set[str]:
    return {run.name for run in store_care.list_runs()}


def test_the_list_says_what_is_there(runs: list[Run]) -> None:
    found = store_care.list_runs()
    assert [run.name for run in found] == [run.folder.name for run in reversed(runs)]
    assert found[0].model == "tiny"
    assert found[0].variants == ("float32", "int8")
    assert found[0].bytes > 1000
    assert not found[0].in_use
    (runs[0].folder / FILE_NAME).write_bytes(b'{"schema_version": 1}')
    with shared_lock(runs[0].folder):
        old = store_care.list_runs()[-1]
    assert old.problem is not None
    assert "schema version 1" in old.problem
    assert old.in_use


def test_the_least_recently_used_runs_are_let_go(runs: list[Run]) -> None:
    sizes = {run.name: run.bytes for run in store_care.list_runs()}
    most = sum(sizes.values()) - 1
    (gone,) = store_care.make_room(most)
    assert gone.name == runs[0].folder.name
    assert names() == {run.folder.name for run in runs[1:]}
    assert len(list(runs[0].folder.parent.iterdir())) == 2


def test_a_run_in_use_or_used_lately_stays(runs: list[Run]) -> None:
    used(runs[1].folder, 0.01)
    with shared_lock(runs[0].folder):
        gone = store_care.make_room(0)
    assert [run.name for run in gone] == [runs[2].folder.name]
    store_care.make_room(0, keep=runs[0].folder)
    assert names() == {run.folder.name for run in runs[:2]}


def test_a_new_run_lets_an_old_one_go(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = sum(run.bytes for run in store_care.list_runs())
    monkeypatch.setenv(RUNS_VARIABLE, f"{(total + 10) / 1e9:.9f}")
    new = convert_request(request_for(tmp_path / "new.onnx"), HandMadeHost())
    assert names() == {new.folder.name, *(run.folder.name for run in runs[1:])}


def test_looking_at_a_run_counts_as_use(runs: list[Run], tmp_path: Path) -> None:
    convert_request(request_for(tmp_path / "m0.onnx"), HandMadeHost())
    assert store_care.list_runs()[0].name == runs[0].folder.name


def test_verify_reads_every_byte_and_sets_damage_apart(runs: list[Run]) -> None:
    assert all(not found.damaged and found.problem is None for found in store_care.verify_runs())
    flip(runs[0].folder / "int8.tflite", place=100)
    flip(runs[1].folder / "logs" / "convert-1.log")
    (runs[2].folder / FILE_NAME).write_bytes(b"{")
    found = {one.name: one for one in store_care.verify_runs()}
    assert found[runs[0].folder.name].damaged == ("int8.tflite",)
    assert "Ask for the same conversion again" in found[runs[0].folder.name].todo
    assert found[runs[1].folder.name].damaged == ("logs/convert-1.log",)
    assert "damaged manifest" in str(found[runs[2].folder.name].problem)
    assert len(list((runs[0].folder / "damaged").iterdir())) == 1
    assert [one.name for one in store_care.verify_runs([runs[0].folder.name])] == [
        runs[0].folder.name
    ]


def test_clean_lets_go_of_leftovers_and_nothing_that_is_worked_on(
    runs: list[Run], own_store: Path
) -> None:
    left, busy = (staging_path(own_store / "runs" / name) for name in ("left", "busy"))
    for side in (left, busy):
        side.mkdir()
        (side / "half").write_bytes(b"x" * 1000)
    inside = staging_path(runs[0].folder / "logits" / "set")
    inside.mkdir(parents=True)
    (runs[1].folder / "int8.tflite").write_bytes(b"damaged")
    store_care.verify_runs()
    for run in runs:
        used(run.folder, 5)
    with shared_lock(busy):
        gone = store_care.clean_store()
    assert gone.runs == ()
    assert set(gone.leftovers) == {left.name, inside.name, "damaged"}
    assert gone.bytes >= 1000
    assert busy.exists()
    assert not left.exists()
    assert not inside.exists()
    assert names() == {run.folder.name for run in runs}
    assert len(store_care.clean_store(runs_bytes=0).runs) == 3


def test_uploads_go_after_their_time(own_store: Path) -> None:
    for name, hours in (("old", 25), ("new", 23)):
        folder = own_store / "uploads" / name
        folder.mkdir(parents=True)
        (folder / "photo.png").write_bytes(b"x" * 10)
        used(folder, hours)
    assert store_care.delete_old_uploads() == (1, 10)
    assert [path.name for path in (own_store / "uploads").iterdir()] == ["new"]


def test_uploads_go_without_anybody_coming(own_store: Path) -> None:
    old = own_store / "uploads" / "old"
    old.mkdir(parents=True)
    used(old, 25)
    upkeep = Upkeep(seconds=0.05)
    upkeep.begin()
    upkeep.begin()
    end = time.monotonic() + 60
    while old.exists() and time.monotonic() < end:
        time.sleep(0.01)
    used_again = own_store / "uploads" / "other"
    used_again.mkdir()
    used(used_again, 25)
    while used_again.exists() and time.monotonic() < end:
        time.sleep(0.01)
    upkeep.end()
    assert not old.exists()
    assert not used_again.exists()


def test_limits_can_be_set_and_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits() == StoreLimits()
    monkeypatch.setenv(RUNS_VARIABLE, "2.5")
    monkeypatch.setenv(UPLOADS_VARIABLE, "1")
    assert limits() == StoreLimits(runs_bytes=2_500_000_000, uploads_seconds=HOUR)
    for nonsense in ("much", "-1", "nan", "inf", ""):
        monkeypatch.setenv(RUNS_VARIABLE, nonsense)
        with pytest.raises(OptionError, match=RUNS_VARIABLE):
            limits()
