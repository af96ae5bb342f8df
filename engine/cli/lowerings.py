"""``python -m engine lowerings``."""

from __future__ import annotations

import click

from engine.cli.output import progress_shown, show_table
from engine.reporting.text import runs as sentences
from engine.runs.run import Run


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--rounds", default=50, show_default=True, help="Timed calls of each file.")
def lowerings(run_folder: str, rounds: int) -> None:
    """Compare onnx-tf's own lowering with ours for the model of a run.

    \b
    Examples:
      python -m engine lowerings --run my_run
    """
    from engine.tasks.lowerings import compare_lowerings, lowering_rows
    from engine.workers.process import Foreground

    run = Run.open(run_folder)
    with progress_shown() as on_progress:
        found = compare_lowerings(run, Foreground(on_progress), rounds=rounds)
    show_table(
        sentences.lowering_headline(found),
        ["", "stock", "nhwc", "stock ÷ nhwc"],
        [[row.title, row.stock, row.nhwc, row.ratio] for row in lowering_rows(found)],
    )
    for side in (found.stock, found.nhwc):
        for variant, reason in side.failures.items():
            click.echo(f"Note: {variant} could not be made. {reason}")
    click.echo(f"Timed on {found.latency.host}, threads: {found.latency.threads}")
