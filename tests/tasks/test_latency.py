from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from engine.runs.results import delete_timings, latency_shares, load_latency, load_timings
from engine.runs.run import LATENCY
from engine.tasks.latency import measure, run_profile, store_latency
from engine.workers.process import Foreground, Worker
from tests.helpers.factories import latency, operator_time, profiled
from tests.helpers.tiny_run import tiny_run


def test_timings_come_with_fewest_threads_first(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "tiny")
    assert load_timings(run) == ()
    folder = run.folder / LATENCY
    folder.mkdir()
    for threads in (2, 1, 10):
        timed = replace(latency({"int8": 4.0}), threads=threads)
        (folder / f"threads-{threads}.json").write_bytes(msgspec.json.encode(timed))
    (folder / "threads-3.json").write_text("damaged")
    (folder / "threads-x.json").write_text("{}")
    assert [timed.threads for timed in load_timings(run)] == [1, 2, 10]


def test_a_part_that_is_measured_again_leaves_the_others(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "tiny")
    first = latency({"float32": 8.0, "int8": 4.0, "float16": 9.0})
    store_latency(run, first)
    later = replace(latency({"int8": 5.0}), measured_at="2026-01-03T00:00:00+00:00")
    assert store_latency(run, later).entries[0].measured_at == later.measured_at
    timed = load_latency(run)
    assert timed is not None
    medians = {entry.variant: entry.median_ms for entry in timed.entries}
    assert medians == {"float32": 8.0, "int8": 5.0, "float16": 9.0}
    assert [entry.measured_at for entry in timed.entries] == [
        first.measured_at,
        later.measured_at,
        first.measured_at,
    ]
    assert timed.moments == (first.measured_at, later.measured_at)
    assert timed.measured_at == later.measured_at


def test_what_is_known_of_operators_stays_where_they_were_not_asked_for(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "tiny")
    times = (operator_time("CONV_2D", "Convolution", 60.0, 0),)
    store_latency(run, profiled(latency({"int8": 4.0}), {"int8": times}))
    store_latency(run, latency({"int8": 5.0}))
    timed = load_latency(run)
    assert timed is not None
    assert (timed.entries[0].median_ms, timed.entries[0].operators) == (5.0, times)


@pytest.mark.parametrize("change", [{"host": "another machine"}, {"cores": 64}])
def test_timings_of_two_machines_are_not_mixed_and_come_back(
    tmp_path: Path, change: dict[str, object]
) -> None:
    run = tiny_run(tmp_path / "tiny")
    store_latency(run, latency({"float32": 8.0, "int8": 4.0}))
    store_latency(run, replace(latency({"int8": 1.0}), **change))
    there = load_latency(run)
    assert there is not None
    assert [entry.variant for entry in there.entries] == ["int8"]
    assert len(load_timings(run)) == 1
    store_latency(run, latency({"int8": 5.0}))
    here = load_latency(run)
    assert here is not None
    medians = {entry.variant: entry.median_ms for entry in here.entries}
    assert medians == {"float32": 8.0, "int8": 5.0}


def test_a_variant_is_dropped_from_the_timings_of_every_machine(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "tiny")
    delete_timings(run.folder, "int8")
    store_latency(run, latency({"float32": 8.0, "int8": 4.0}))
    store_latency(run, replace(latency({"int8": 1.0}), host="another machine"))
    delete_timings(run.folder, "int8")
    store_latency(run, latency({"float16": 9.0}))
    timed = load_latency(run)
    assert timed is not None
    assert [entry.variant for entry in timed.entries] == ["float32", "float16"]


@pytest.mark.slow
def test_every_file_is_profiled_and_a_profile_that_dies_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DiesOnFloat(Worker):
        def run(self, task, request, *rest):  # type: ignore[no-untyped-def]
            if task is run_profile and request.variant == "float32":
                self._family.end()
            return super().run(task, request, *rest)

    monkeypatch.setattr("engine.tasks.latency.Worker", DiesOnFloat)
    run = tiny_run(tmp_path / "tiny")
    timed = measure(run, Foreground(), rounds=2, warmup=0)
    assert timed == load_latency(run)
    exact, integer = timed.of("float32"), timed.of("int8")
    assert exact is not None
    assert integer is not None
    assert exact.operators == ()
    assert "SIGKILL" in exact.unprofiled
    assert [(one.index, one.op) for one in integer.operators] == [(0, "RESHAPE")]
    assert integer.unprofiled == ""


def test_latency_shares_by_hand(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "tiny")
    assert latency_shares(run, "int8") == {}
    times = (
        operator_time("CONV_2D", "Convolution (NHWC, QC8) IGEMM", 60.0, 0),
        operator_time("Copy", "Copy (NC, X8)", 20.0, None),
        operator_time("ADD", "", 20.0, 2),
    )
    (run.folder / LATENCY).mkdir()
    stored = profiled(latency({"int8": 4.0, "float32": 8.0}), {"int8": times})
    (run.folder / LATENCY / "threads-1.json").write_bytes(msgspec.json.encode(stored))
    assert latency_shares(run, "int8") == {0: 0.6, 2: 0.2}
    assert latency_shares(run, "float32") == {}
