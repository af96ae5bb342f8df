"""Time TFLite files in turns (A B C, B C A, …), on one thread, in several processes.

Where a process happens to put its buffers moves a latency by several percent, so each process loads
the files again, in another order.

``python -m benchmarks.latency PREPARED OUT SECONDS NAME=FILE...``
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.attempts import Prepared, write_record
from engine.comparison.latency import time_interleaved
from engine.core.system import host_name, usable_cores
from engine.networks.runners.tflite import TfliteRunner

PROCESSES = 6
FEWEST_ROUNDS, MOST_ROUNDS = 4, 120
WARMUP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Samples taken in turns: those of one round stand at the same place of every list.

    Attributes:
        measured_at: When, in UTC.
        host: Processor and operating system.
        cores: Cores that the process could use.
        samples_ms: By name and for each process, milliseconds of one call, one a round.
    """

    measured_at: str
    host: str
    cores: int
    samples_ms: dict[str, tuple[tuple[float, ...], ...]]


def take_turns(picture: np.ndarray, files: dict[str, Path], seconds: float) -> Turns:
    """Time one call of each file, in turns, in several processes one after the other.

    Args:
        picture: Shape (height, width, 3), float32; every file takes pictures in NHWC.
        files: TFLite files by name.
        seconds: How long timing may take in all.

    Returns:
        The samples.
    """
    order = list(files)
    taken: dict[str, list[tuple[float, ...]]] = {name: [] for name in files}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as fresh:
        for _ in range(PROCESSES):
            named = {name: files[name] for name in order}
            times = fresh.submit(in_this_process, picture, named, seconds / PROCESSES).result()
            for name, samples in times.items():
                taken[name].append(samples)
            order = order[1:] + order[:1]
    return Turns(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        host=host_name(),
        cores=usable_cores(),
        samples_ms={name: tuple(samples) for name, samples in taken.items()},
    )


def in_this_process(
    picture: np.ndarray, files: dict[str, Path], seconds: float
) -> dict[str, tuple[float, ...]]:
    """Time one call of each file, in turns, loaded in the order given.

    Args:
        picture: Shape (height, width, 3), float32.
        files: TFLite files by name.
        seconds: How long timing may take; between `FEWEST_ROUNDS` and `MOST_ROUNDS` are made.

    Returns:
        Milliseconds by name, one a round.
    """
    with ExitStack() as stack:
        calls = {}
        for name, file in files.items():
            runner = stack.enter_context(TfliteRunner(file, layout="NHWC", threads=1))
            runner.feed(picture)
            calls[name] = runner.invoke
        for call in calls.values():
            for _ in range(WARMUP):
                call()
        started = time.perf_counter()
        for call in calls.values():
            call()
        one_round = time.perf_counter() - started
        rounds = min(MOST_ROUNDS, max(FEWEST_ROUNDS, int(seconds / one_round)))
        gc.collect()
        gc.disable()
        try:
            taken = time_interleaved(calls, rounds=rounds, warmup=1)
        finally:
            gc.enable()
    return {
        entry.variant: tuple(round(sample, 4) for sample in entry.samples_ms) for entry in taken
    }


def main() -> None:
    """Time the files and write a record."""
    prepared, out, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    named = (argument.partition("=") for argument in sys.argv[4:])
    files = {name: Path(file) for name, _, file in named}
    picture = np.load(prepared / Prepared.CHECKS)[0]
    write_record(out, take_turns(picture, files, seconds))


if __name__ == "__main__":
    main()
