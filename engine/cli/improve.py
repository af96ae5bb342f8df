"""``python -m engine improve``."""

from __future__ import annotations

import click

from engine.cli.output import progress_shown, show_table
from engine.core import formats
from engine.runs.run import Run


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--variant", default="int8", show_default=True, help="An integer variant of it.")
def improve(run_folder: str, variant: str) -> None:
    """Add a better integer variant: weights, biases and ranges chosen anew.

    \b
    Examples:
      python -m engine improve --run my_run
      python -m engine improve --run my_run --variant uint8
    """
    from engine.reporting.text.improve import layer_title
    from engine.tasks.improve import improve as improved
    from engine.tasks.improve import improved_layers, improved_name
    from engine.workers.host import Foreground

    run = Run.open(run_folder)
    name = improved_name(run, variant)
    with progress_shown() as on_progress:
        run = improved(run, variant, Foreground(on_progress))
    layers = improved_layers(run, name)
    show_table(
        f"{name}: what was done, layer by layer",
        ["layer", "changed", "own error rms before", "after"],
        [
            [
                layer_title(layer),
                ", ".join(layer.done) or f"left: {layer.left}",
                formats.small(layer.before),
                formats.small(layer.after),
            ]
            for layer in layers
        ],
    )
    click.echo(f"Run: {run.folder}")
