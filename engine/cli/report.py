"""``python -m engine report`` and ``report-json``."""

from __future__ import annotations

from typing import Any

import click

from engine import api
from engine.cli.output import progress_shown, write_json
from engine.core.errors import OptionError
from engine.core.files import write_text
from engine.core.types import ORIGINAL
from engine.reporting.report import run_report
from engine.runs.results import load_latency
from engine.runs.run import Run


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--images", required=True, help="Folder of pictures.")
@click.option("--out", help="HTML file to write.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
@click.option("--csv", "csv_file", metavar="FILE", help="Write a table, one row a variant.")
@click.option("--against", help="Another run folder, to hold it against.")
@click.option("--labels-csv", help="Table with the columns filename,class_index.")
@click.option("--labels-from-folders", is_flag=True, help="One folder a class.")
@click.option(
    "--reference", default=ORIGINAL, show_default=True, help="original, onnx or a variant."
)
@click.option("--threads", default=1, show_default=True, help="Which stored timings to show.")
@click.option("--agreement", "need", default=0.95, show_default=True, help="What you need, 0 to 1.")
@click.option("--target", help="Where it is shipped to; what is refused there is not recommended.")
def report(
    run_folder: str,
    images: str,
    out: str | None,
    json_file: str | None,
    csv_file: str | None,
    **options: Any,
) -> None:
    """Write a run on pictures as one HTML file that opens offline, as JSON, as CSV.

    \b
    Examples:
      python -m engine report --run my_run --images photos --out report.html
      python -m engine report --run my_run --images photos --json report.json --csv report.csv
      python -m engine report --run my_run --images photos --against old_run --out report.html
      python -m engine report --run my_run --images photos --target ethos-u55-256 --out report.html
    """
    if out is None and json_file is None and csv_file is None:
        raise OptionError(
            "Writing a report",
            got="no file to write",
            expected="--out, --json or --csv",
            todo="Name one, such as --out report.html.",
        )
    with progress_shown() as on_progress:
        result = api.report(run_folder, images, out, on_progress=on_progress, **options)
    if json_file is not None:
        write_json(result.to_dict(), json_file)
    if csv_file is not None:
        write_text(result.to_csv(), csv_file)


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
    options = {"reference": reference, "threads": threads, **labels}
    if images is None:
        run = Run.open(run_folder)
        content = run_report(run.manifest, None, load_latency(run, threads))
    else:
        with progress_shown() as on_progress:
            content = api.report(run_folder, images, on_progress=on_progress, **options).to_dict()
    write_json(content, out)
