"""``python -m engine files``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from engine import api
from engine.cli.output import progress_shown, show_table, write_json
from engine.comparison.faults import fault_sentences
from engine.conversion.missing_variants import missing_sentences
from engine.core import formats
from engine.runs.run import Run


class NamedFile(click.ParamType[tuple[str, str]]):
    """A name and a file, such as ``theirs=model.tflite``."""

    name = "NAME=FILE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        """Parse the words of a person."""
        if isinstance(value, tuple):
            return value
        name, equals, file = str(value).partition("=")
        if not (equals and name and file):
            self.fail(f"'{value}' is not of the form theirs=model.tflite.", param, ctx)
        if not Path(file).is_file():
            self.fail(f"There is no file '{file}'.", param, ctx)
        return name, file


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--also", type=NamedFile(), multiple=True, help="Add a .tflite of another tool.")
@click.option("--remove", metavar="NAME", multiple=True, help="Take such a file out again.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
def files(
    run_folder: str,
    also: tuple[tuple[str, str], ...],
    remove: tuple[str, ...],
    json_file: str | None,
) -> None:
    """List the TFLite files of a run; add files of other tools, or take them out.

    \b
    Examples:
      python -m engine files --run my_run
      python -m engine files --run my_run --also theirs=model.tflite
      python -m engine files --run my_run --remove theirs
    """
    from engine.runs.external_files import remove_file

    run = Run.open(run_folder)
    for name in remove:
        run = remove_file(run, name)
    with progress_shown() as on_progress:
        run = api.add_files(run, dict(also), on_progress=on_progress)
    if json_file is not None:
        write_json([msgspec.to_builtins(artifact) for artifact in run.artifacts], json_file)
    if json_file != "-":
        _show(run)


def _show(run: Run) -> None:
    origins = {added.artifact.variant: added.origin for added in run.added}
    show_table(
        f"Files of {run.folder.name}",
        ["name", "made from", "size", "operators", "input", "type", "layout"],
        [
            [
                artifact.variant,
                origins.get(artifact.variant, "this run"),
                formats.megabytes(artifact.bytes),
                str(sum(artifact.operators.values())),
                "×".join(str(size) for size in artifact.inputs[0].shape),
                artifact.inputs[0].dtype,
                artifact.layout,
            ]
            for artifact in run.artifacts
        ],
        red=run.faults,
    )
    for sentence in (*fault_sentences(run.faults), *missing_sentences(run.missing)):
        click.secho(sentence, fg="red")
