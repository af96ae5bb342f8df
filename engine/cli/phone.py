"""``python -m engine phone``."""

from __future__ import annotations

import click

from engine import api
from engine.cli.output import progress_shown, show_table
from engine.core.formats import UNKNOWN, megabytes, milliseconds
from engine.deployment.adb import VARIABLE
from engine.quantization.recipes import names_in
from engine.runs.results import load_latency
from engine.runs.run import Run
from engine.tasks.targets import read_memory


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option(
    "--benchmark-model",
    metavar="FILE",
    help=f"LiteRT's program, built for the phone; else the one that {VARIABLE} names.",
)
@click.option("--variants", default="", help="Comma-separated; all by default.")
@click.option("--serial", help="adb's name of the phone, where it sees several.")
@click.option("--threads", default=1, show_default=True, help="Threads each model gets.")
def phone(
    run_folder: str, benchmark_model: str | None, variants: str, serial: str | None, threads: int
) -> None:
    """Time the files of a run on the phone that adb sees, beside this machine.

    The program and a file are pushed, run and removed again; timings stay in the run.

    \b
    Examples:
      python -m engine phone --run my_run --benchmark-model benchmark_model --variants int8
    """
    with progress_shown() as on_progress:
        benchmarks = api.time_on_phone(
            run_folder,
            variants=names_in(variants),
            benchmark_model=benchmark_model,
            serial=serial,
            threads=threads,
            on_progress=on_progress,
        )
    run = Run.open(run_folder)
    timed, here = load_latency(run, threads), read_memory(run)
    rows = []
    for benchmark in benchmarks:
        host = None if timed is None else timed.of(benchmark.variant)
        memory = here.get(benchmark.variant)
        rows.append(
            [
                benchmark.variant,
                milliseconds(benchmark.timing.mean_ms),
                milliseconds(host.median_ms) if host else UNKNOWN,
                megabytes(benchmark.timing.memory_bytes),
                megabytes(None if memory is None else memory.peak_bytes),
            ]
        )
    show_table(
        f"Threads: {threads}; on {benchmarks[0].phone} and on this machine",
        ["variant", "there", "here", "memory there", "memory here"],
        rows,
    )
