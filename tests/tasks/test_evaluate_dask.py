"""Answers by shards on Dask: the same as on one machine, whatever happens to a worker."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster
from PIL import Image

import engine
from engine.core.errors import EngineError, OptionError, PictureError
from engine.core.store import folder
from engine.core.types import Progress
from engine.images.pictures import pictures_in
from engine.runs.run import LOGITS, Run
from engine.tasks import evaluate_dask as shards
from engine.workers import dask as cluster
from engine.workers.dask import LOCAL, LOG, call_each, check_address, check_versions, connect
from engine.workers.process import Foreground
from tests.helpers.tiny_run import tiny_run

pytestmark = pytest.mark.filterwarnings(
    # A worker that was killed leaves its connections open.
    "ignore:unclosed:ResourceWarning",
    "ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning",
)
COLUMNS = ("original", "float32", "int8")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return tiny_run(tmp_path / "run")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    rng = np.random.default_rng(4)
    for index in range(24):
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(
            folder / f"{index:02}.png"
        )
    return folder


def pids(client: object) -> set[int]:
    return set(client.run(os.getpid).values())  # type: ignore[attr-defined]


def half(name: str) -> str:
    """Something to do on a cluster that fails for one argument."""
    if name == "b":
        raise PictureError("Reading", got="b", expected="a", todo="Leave it out.")
    return name * 2


@pytest.mark.slow
def test_another_cluster_on_this_machine_is_no_hindrance() -> None:
    with socket.socket() as others:
        with suppress(OSError):  # taken is what it shall be
            others.bind(("127.0.0.1", 8787))
            others.listen()
        with connect(LOCAL, lambda _: None) as client:
            assert client.submit(int, "5").result() == 5


@pytest.mark.slow
def test_a_cluster_answers_as_one_machine_does_though_a_worker_is_killed(
    run: Run, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = engine.compare(tiny_run(tmp_path / "other"), many, variants=["float32", "int8"])
    monkeypatch.setattr(shards, "SHARD", 2)
    workers: list[set[int]] = []
    victims: list[int] = []
    keep_all = shards._keep_all

    def watched(run: Run, waiting: list[shards.Shard], client: object, host: Foreground) -> None:
        workers.append(pids(client))

        def kill(progress: Progress) -> None:
            if progress.done >= 6 and not victims:
                victims.append(min(workers[0]))
                os.kill(victims[0], signal.SIGKILL)

        keep_all(run, waiting, client, Foreground(kill))
        client.wait_for_workers(2)  # type: ignore[attr-defined]
        workers.append(pids(client))

    monkeypatch.setattr(shards, "_keep_all", watched)
    found = engine.compare(run, many, variants=["float32", "int8"], dask=LOCAL)
    assert len(victims) == 1
    assert victims[0] not in workers[1], "the nanny started another in its place"
    assert found.to_dict()["variants"] == alone.to_dict()["variants"]
    for one, other in zip(found.variants, alone.variants, strict=True):
        np.testing.assert_array_equal(one.picture_rms, other.picture_rms)
    assert not list((run.folder / LOGITS).glob("shard-*"))
    assert "XNNPACK" in (folder("cache") / LOG).read_text(), "what libraries print goes to a log"
    again = engine.compare(run, many, variants=["float32", "int8"], dask=LOCAL)
    assert again.to_dict() == found.to_dict()
    assert len(workers) == 2, "what is known needs no cluster"


def test_results_and_errors_of_workers_arrive() -> None:
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as threads,
        Client(threads) as client,
    ):
        assert sorted(call_each(client, half, [("a",), ("c",)])) == [(0, "aa"), (1, "cc")]
        with pytest.raises(PictureError, match="Leave it out"):
            list(call_each(client, half, [("b",)]))


def test_what_an_ended_comparison_left_is_used(
    run: Run, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = pictures_in(many)
    monkeypatch.setattr(shards, "SHARD", 10)
    waiting = shards._shards(run, "int8", pictures)
    assert [len(part) for _, part in waiting] == [10, 10, 4]
    # Answers that no model gives show that rows were copied.
    marked = np.full((10, run.manifest.model.classes), 7, np.float32)
    shards._keep(run, "int8", waiting[0][1], marked)
    assert [part for _, part in shards._shards(run, "int8", pictures)] == [
        part for _, part in waiting[1:]
    ]

    def in_this_process(_: object, function: object, given: list[tuple]) -> Iterator[tuple]:
        yield from ((place, function(*one)) for place, one in enumerate(given))  # type: ignore[operator]

    monkeypatch.setattr(shards, "call_each", in_this_process)
    monkeypatch.setattr(shards, "connect", lambda *_: _Nothing())
    shards.evaluate_by_shards(run, pictures, ("int8",), LOCAL, Foreground())
    (stored,) = (run.folder / LOGITS).glob("*/int8-*.npy")
    rows = np.load(stored)
    np.testing.assert_array_equal(rows[:10], marked)
    assert np.abs(rows[10:]).max() < 5


class _Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def test_rows_of_a_wrong_shape_are_refused(run: Run, many: Path) -> None:
    part = pictures_in(many)[:2]
    with pytest.raises(EngineError, match="expected float32 of shape"):
        shards._keep(run, "int8", part, np.zeros((1, 3), np.float32))


@pytest.mark.parametrize("address", ["", "10.0.0.1:8786", "locale", "http://x:1"])
def test_an_address_that_is_none_is_a_mistake(address: str) -> None:
    with pytest.raises(OptionError, match="the address of a scheduler"):
        check_address(address)


def test_without_dask_the_mistake_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(OptionError, match=r"requirements-dask\.txt"):
        check_address(LOCAL)


def test_no_scheduler_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(OptionError, match="no answer of a scheduler"),
        connect("tcp://127.0.0.1:9", lambda _: None),
    ):
        pass


def test_a_worker_of_other_versions_is_refused() -> None:
    own = {"numpy": "2.4.6", "platform": "here"}
    check_versions(own, own | {"platform": "there", "more": "1"})
    with pytest.raises(EngineError, match=r"numpy 2\.0 for 2\.4\.6"):
        check_versions(own, {"numpy": "2.0"})
