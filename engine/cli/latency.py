"""``python -m engine latency`` and ``lowerings``."""

from __future__ import annotations

import click

from engine import api
from engine.cli.output import progress_shown, say, show_table, write_json
from engine.comparison.latency import Latency, LatencySamples, latency_warnings
from engine.comparison.records import latency_dict
from engine.core import formats
from engine.core.formats import join_names
from engine.quantization.recipes import names_in
from engine.reporting.text import runs as sentences
from engine.tasks.lowerings import lowering_rows
from engine.tflite.operator_times import left_share, time_by_kind

_KINDS = 3


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--variants", default="", help="Comma-separated; the original and all by default.")
@click.option("--threads", default=1, show_default=True, help="Threads each model gets.")
@click.option("--rounds", default=50, show_default=True, help="Timed calls of each model.")
@click.option("--warmup", default=5, show_default=True, help="Calls before timing starts.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
def latency(
    run_folder: str, variants: str, threads: int, rounds: int, warmup: int, json_file: str | None
) -> None:
    """Time every model of a run on this machine, in turns.

    \b
    Examples:
      python -m engine latency --run my_run
      python -m engine latency --run my_run --threads 2 --variants float32,int8 --json L.json
    """
    names = names_in(variants)
    with progress_shown() as on_progress:
        timed = api.latency(
            run_folder,
            variants=names,
            threads=threads,
            rounds=rounds,
            warmup=warmup,
            on_progress=on_progress,
        )
    if json_file is not None:
        write_json(latency_dict(timed), json_file)
    if json_file != "-":
        _show(timed)


def _show(timed: Latency) -> None:
    rows = [
        [
            entry.variant,
            formats.milliseconds(entry.median_ms, entry.pictures),
            formats.milliseconds(entry.p90_ms, entry.pictures),
            formats.percent(entry.spread),
            formats.UNKNOWN
            if (ratio := timed.ratio(entry.variant, "float32")) is None
            else f"{ratio:.2f}",
        ]
        for entry in timed.entries
    ]
    show_table(
        f"{timed.host}, {timed.cores} cores, threads: {timed.threads}",
        ["model", "median", "p90", "spread", "of float32"],
        rows,
    )
    for entry in timed.entries:
        if entry.operators:
            say(f"{entry.variant} spends its time on {_slowest(entry)}")
        if entry.unprofiled:
            click.echo(f"Note: {entry.variant}: {entry.unprofiled}")
    for warning in latency_warnings(timed):
        click.echo(f"Note: {warning}")


def _slowest(entry: LatencySamples) -> str:
    """List the kinds of operators that take most of a variant's time."""
    kinds = time_by_kind(entry.operators)[:_KINDS]
    words = join_names([f"{kind.kind} ({formats.percent(kind.share)})" for kind in kinds])
    left = left_share(entry.operators)
    return f"{words}; {formats.percent(left)} of it without XNNPACK" if left else words


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--rounds", default=50, show_default=True, help="Timed calls of each file.")
def lowerings(run_folder: str, rounds: int) -> None:
    """Compare onnx-tf's own lowering with ours for the model of a run.

    \b
    Examples:
      python -m engine lowerings --run my_run
    """
    with progress_shown() as on_progress:
        both = api.lowerings(run_folder, rounds=rounds, on_progress=on_progress)
    show_table(
        sentences.lowering_headline(both),
        ["", "stock", "nhwc", "stock ÷ nhwc"],
        [[row.title, row.stock, row.nhwc, row.ratio] for row in lowering_rows(both)],
    )
    for side in (both.stock, both.nhwc):
        for variant, reason in side.failures.items():
            click.echo(f"Note: {variant} could not be made. {reason}")
    click.echo(f"Timed on {both.latency.host}, threads: {both.latency.threads}")
