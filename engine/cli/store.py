"""``python -m engine store``: what is kept on this machine."""

from __future__ import annotations

import shlex

import click
import msgspec

from engine import api
from engine.cli.output import say, show_table, write_json
from engine.core import formats
from engine.core.errors import OptionError
from engine.core.store import home, limits
from engine.runs.pinned import find_pinned, list_pinned, unpin
from engine.runs.run import Run

DAMAGE_FOUND = 1


@click.group()
def store() -> None:
    """List, verify and clean what is kept on this machine.

    \b
    Examples:
      python -m engine store list
      python -m engine store verify
      python -m engine store clean --to-gb 5
    """


@store.command("list")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
def list_(json_file: str | None) -> None:
    """List the runs, the most recently used first."""
    from engine.runs.cleanup import list_runs

    runs = list_runs()
    if json_file is not None:
        write_json([msgspec.to_builtins(run) for run in runs], json_file)
        return
    rows = [
        [
            run.name,
            run.model or "unreadable",
            str(len(run.variants)),
            formats.megabytes(run.bytes),
            run.used_at[:16].replace("T", " "),
            "now" if run.in_use else "",
        ]
        for run in runs
    ]
    show_table("Runs", ["run", "model", "variants", "size", "last used, UTC", "in use"], rows)
    total, most = sum(run.bytes for run in runs), limits().runs_bytes
    say(f"{formats.megabytes(total)} of {formats.megabytes(most)} in {home()}")
    for run in runs:
        if run.problem is not None:
            click.echo(f"{run.name}: {run.problem}")


@store.command()
@click.argument("names", nargs=-1)
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
def verify(names: tuple[str, ...], json_file: str | None) -> int:
    """Read every byte of the runs NAMES, or of all; set damaged files apart.

    \b
    Exit code 1 where damage was found.
    """
    from engine.runs.cleanup import verify_runs

    reports = verify_runs(names)
    if absent := set(names) - {run.name for run in reports}:
        raise OptionError(
            "Verifying the store",
            got=", ".join(sorted(absent)),
            expected="names of runs",
            todo="See: python -m engine store list.",
        )
    if json_file is not None:
        write_json([msgspec.to_builtins(run) for run in reports], json_file)
    else:
        for run in reports:
            state = run.problem or ", ".join(run.damaged) or "as written"
            click.echo(f"{run.name}: {run.checked} files read; {state}. {run.todo}".rstrip())
    return DAMAGE_FOUND if any(run.damaged or run.problem for run in reports) else 0


@store.command()
@click.option(
    "--to-gb",
    type=click.FloatRange(min=0),
    help="What the runs may take; usually the store's limit.",
)
def clean(to_gb: float | None) -> None:
    """Delete leftovers, old uploads, and the least recently used runs beyond the limit.

    What somebody works on, or used within minutes, stays.
    """
    from engine.runs.cleanup import clean_store

    gone = clean_store(None if to_gb is None else int(to_gb * 1e9))
    for name in gone.runs:
        click.echo(f"Let go: {name}")
    say(
        f"{len(gone.runs)} runs, {len(gone.leftovers)} leftovers and the files of {gone.uploads} "
        f"browser sessions: {formats.megabytes(gone.bytes)}."
    )


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
    rows = [[picture.name, picture.sha256[:12]] for picture in list_pinned(run)]
    show_table(f"Pictures pinned to {run.folder.name}: {len(rows)}", ["name", "SHA-256"], rows)


def _remove(run: Run, name: str) -> None:
    removed = find_pinned(run, name)
    if not removed:
        raise OptionError(
            "Unpinning",
            got=f"'{name}'",
            expected="the name of a pinned picture",
            todo=f"List them: python -m engine pin --run {shlex.quote(str(run.folder))}",
        )
    for digest in removed:
        unpin(run, digest)
