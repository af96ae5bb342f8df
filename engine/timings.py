"""All stored timings of a run."""

from __future__ import annotations

from engine.runs import LATENCY, Run
from engine.service import stored_latency
from engine.types import Latency


def stored_timings(run: Run) -> tuple[Latency, ...]:
    """The last timings of a run for each number of threads that was measured, fewest first."""
    counts = sorted(
        int(digits)
        for file in (run.folder / LATENCY).glob("threads-*.json")
        if (digits := file.stem.removeprefix("threads-")).isdigit()
    )
    found = (stored_latency(run, count) for count in counts)
    return tuple(timed for timed in found if timed is not None)
