"""``python -m engine report-json``."""

from __future__ import annotations

from typing import Any

import click

from engine import api, service
from engine.cli.output import progress_shown, write_json
from engine.report import run_report
from engine.runs import Run
from engine.types import ORIGINAL


@click.command("report-json")
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--images", help="Folder of pictures to compare on.")
@click.option("--labels-csv", help="Table with the columns filename,class_index.")
@click.option("--labels-from-folders", is_flag=True, help="One folder a class.")
@click.option(
    "--reference", default=ORIGINAL, show_default=True, help="original, onnx or a variant."
)
@click.option("--threads", default=1, show_default=True, help="Which stored timings to add.")
@click.option("--out", default="-", show_default=True, help="File to write ('-' for stdout).")
def report_json(
    run_folder: str, images: str | None, reference: str, threads: int, out: str, **labels: Any
) -> None:
    """Write everything known about a run as JSON: manifest, comparison, stored timings.

    \b
    Examples:
      python -m engine report-json --run my_run --out run.json
      python -m engine report-json --run my_run --images photos --out run.json
    """
    run = Run.open(run_folder)
    timed = service.stored_latency(run, threads)
    comparison = None
    if images is not None:
        with progress_shown() as on_progress:
            comparison = api.compare(
                run, images, reference=reference, latency=timed, on_progress=on_progress, **labels
            )
    write_json(run_report(run.manifest, comparison, timed), out)
