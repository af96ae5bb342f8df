"""``python -m engine pin``."""

from __future__ import annotations

import shlex

import click

from engine import api
from engine.cli.output import show_table
from engine.core.errors import OptionError
from engine.runs.pinned import pinned_as, pinned_pictures, unpin
from engine.runs.run import Run


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--images", help="Folder of pictures to pin.")
@click.option("--remove", metavar="NAME", multiple=True, help="Unpin a picture.")
def pin(run_folder: str, images: str | None, remove: tuple[str, ...]) -> None:
    """List the pictures that are pinned to a run; pin more, or take some out again.

    They are copied into the run, and are the regression set of compare --pinned.

    \b
    Examples:
      python -m engine pin --run my_run --images hard_cases
      python -m engine pin --run my_run --remove cat.jpg
      python -m engine compare --run my_run --pinned --min-agreement int8=1
    """
    run = Run.open(run_folder)
    for name in remove:
        _remove(run, name)
    if images is not None:
        api.pin(run, images)
    rows = [[picture.name, picture.sha256[:12]] for picture in pinned_pictures(run)]
    show_table(f"Pictures pinned to {run.folder.name}: {len(rows)}", ["name", "SHA-256"], rows)


def _remove(run: Run, name: str) -> None:
    found = pinned_as(run, name)
    if not found:
        raise OptionError(
            "Unpinning",
            got=f"'{name}'",
            expected="the name of a pinned picture",
            todo=f"List them: python -m engine pin --run {shlex.quote(str(run.folder))}",
        )
    for digest in found:
        unpin(run, digest)
