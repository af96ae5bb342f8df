from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from engine.runs import LATENCY
from engine.timings import stored_timings
from tests.made_up import latency
from tests.tiny_run import tiny_run


def test_timings_come_with_fewest_threads_first(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "tiny")
    assert stored_timings(run) == ()
    folder = run.folder / LATENCY
    folder.mkdir()
    for threads in (2, 1, 10):
        timed = replace(latency({"int8": 4.0}), threads=threads)
        (folder / f"threads-{threads}.json").write_bytes(msgspec.json.encode(timed))
    (folder / "threads-3.json").write_text("damaged")
    (folder / "threads-x.json").write_text("{}")
    assert [timed.threads for timed in stored_timings(run)] == [1, 2, 10]
