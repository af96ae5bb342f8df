"""The page Speed and size, with timings made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from engine.comparison.latency import Latency
from engine.runs.run import LATENCY, Run
from pages.views import latency as views
from tests.helpers.factories import latency, memory_use, operator_time, profiled
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import ROOT, opened

PAGE = ROOT / "pages" / "dashboard" / "latency_and_size.py"
TIMED = latency({"int8": 4.0, "float32": 8.0})
DIED = "The worker was ended by SIGKILL."


@pytest.fixture
def run(own_store: Path) -> Run:
    made = tiny_run(own_store / "runs" / "tiny")
    (made.folder / LATENCY).mkdir()
    return made


def store(run: Run, timed: Latency) -> None:
    (run.folder / LATENCY / "threads-1.json").write_bytes(msgspec.json.encode(timed))


def test_a_file_that_could_not_be_profiled_is_named_beside_those_that_were(run: Run) -> None:
    times = {"int8": (operator_time("CONV_2D", "Convolution", 60.0),)}
    first, *others = profiled(TIMED, times).entries
    exact = replace(others[0], unprofiled=DIED)
    store(run, replace(TIMED, entries=(first, exact)))
    test = opened(PAGE)
    assert not test.exception
    assert any("convolution takes 100.0\xa0% of int8" in header.value for header in test.header)
    assert f"Not float32. {DIED}" in [caption.value for caption in test.caption]


def test_it_says_so_where_no_file_could_be_profiled(run: Run) -> None:
    entries = tuple(replace(entry, unprofiled=DIED) for entry in TIMED.entries)
    store(run, replace(TIMED, entries=entries))
    test = opened(PAGE)
    assert not test.exception
    assert "The operators of no variant could be timed" in [header.value for header in test.header]
    captions = [caption.value for caption in test.caption]
    assert [c for c in captions if DIED in c] == [
        f"Not int8. {DIED}",
        f"Not float32. {DIED}",
    ]


def test_memory_is_drawn_where_it_was_measured_and_offered_where_not(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(run, TIMED)
    test = opened(PAGE)
    assert "Peak memory and load time\\: not measured." in [m.value for m in test.markdown]
    assert test.button(key="start_memory").label == "Measure"
    monkeypatch.setattr(views, "read_memory", lambda _: memory_use({"float32": 46e6, "int8": 15e6}))
    monkeypatch.setattr(views, "list_unmeasured", lambda _: ())
    test = opened(PAGE)
    assert not test.exception
    headers = " ".join(header.value for header in test.header)
    assert "int8 takes the least memory at its peak" in headers
    assert "Files load in 2.0\xa0ms" in headers
    assert "start_memory" not in [button.key for button in test.button]
