"""``python -m engine layers``."""

from __future__ import annotations

import click

from engine import api
from engine.cli.files import NamedFile
from engine.cli.output import progress_shown, show_table, write_json
from engine.comparison.layers.records import LayerErrors
from engine.core import formats
from engine.core.files import write_text
from engine.images.pictures import DEFAULT_LAYERS_COUNT
from engine.runs.results import latency_shares

_SHOWN = 10


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--variant", required=True, help="An integer variant, or the name of an added file.")
@click.option("--images", required=True, help="Folder of pictures.")
@click.option("--count", default=DEFAULT_LAYERS_COUNT, show_default=True, help="Pictures to use.")
@click.option("--also", type=NamedFile(), multiple=True, help="Add a .tflite of another tool.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
@click.option(
    "--model-explorer",
    "explorer_file",
    metavar="FILE",
    help="Write node data for Model Explorer; one more file a figure beside it.",
)
def layers(
    run_folder: str,
    variant: str,
    images: str,
    count: int,
    also: tuple[tuple[str, str], ...],
    json_file: str | None,
    explorer_file: str | None,
) -> None:
    """Show what each operator of an integer variant loses against float32, and why.

    Own errors are those of an operator alone, fed with float values brought to its grid: they tell
    a culprit from a victim. JSON has one row an operator, the likeliest culprit first; null is a
    figure that does not exist, such as the SQNR of an operator without any error (its error_ratio
    is 0), or the latency_share of a variant that `latency` has not timed.

    \b
    Examples:
      python -m engine layers --run my_run --variant int8 --images photos
      python -m engine layers --run my_run --variant int8 --images photos --json layers.json
    """
    from engine.comparison.layers.model_explorer import node_data_files

    with progress_shown() as on_progress:
        run = api.add_files(run_folder, dict(also), on_progress=on_progress)
        errors = api.layers(run, variant, images, count=count, on_progress=on_progress)
    if json_file is not None:
        write_json(list(errors.rows(latency_shares(run, variant))), json_file)
    if explorer_file is not None:
        for file, content in node_data_files(errors, explorer_file).items():
            write_text(content, file)
    if json_file != "-":
        _show(errors)


def _show(errors: LayerErrors) -> None:
    shown = errors.by_loss[:_SHOWN]
    show_table(
        f"{errors.run}: {errors.variant} against float32 on {errors.pictures} pictures, "
        f"{len(shown)} of {len(errors.layers)} operators, likeliest culprit first",
        ["operator", "", "own SQNR", "cumulative SQNR", "mean shift", "at the ends", "range used"],
        [
            [
                f"{layer.index} {layer.op}",
                layer.name if len(layer.name) <= 32 else f"…{layer.name[-31:]}",
                formats.decibels(layer.own.sqnr_db if layer.own else None),
                formats.decibels(layer.accumulated.sqnr_db),
                formats.small(layer.accumulated.mean_shift),
                formats.percent(layer.saturation),
                formats.percent(layer.range_used),
            ]
            for layer in shown
        ],
    )
    for layer in shown:
        if layer.cause is not None:
            click.echo(f"{layer.index} {layer.op}: {layer.cause.sentence}. {layer.cause.remedy}")
    for missing in errors.unmatched:
        click.echo(f"Not measured: {missing.side}, {missing.index} {missing.op} {missing.name}")
    for note in errors.notes:
        click.echo(f"Note: {note}")
