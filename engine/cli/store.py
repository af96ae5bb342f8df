"""``python -m engine store``: what is kept on this machine."""

from __future__ import annotations

import click
import msgspec

from engine.cli.output import show_table, write_json
from engine.core import formats
from engine.core.errors import OptionError
from engine.core.store import home, limits

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
    from engine.runs.cleanup import listed

    runs = listed()
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
    click.echo(f"{formats.megabytes(total)} of {formats.megabytes(most)} in {home()}")
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
    from engine.runs.cleanup import verified

    found = verified(names)
    if absent := set(names) - {run.name for run in found}:
        raise OptionError(
            "Verifying the store",
            got=", ".join(sorted(absent)),
            expected="names of runs",
            todo="See: python -m engine store list.",
        )
    if json_file is not None:
        write_json([msgspec.to_builtins(run) for run in found], json_file)
    else:
        for run in found:
            state = run.problem or ", ".join(run.damaged) or "as written"
            click.echo(f"{run.name}: {run.checked} files read; {state}. {run.todo}".rstrip())
    return DAMAGE_FOUND if any(run.damaged or run.problem for run in found) else 0


@store.command()
@click.option(
    "--to-gb",
    type=click.FloatRange(min=0),
    help="What the runs may take; usually the store's limit.",
)
def clean(to_gb: float | None) -> None:
    """Let go of leftovers, old uploads, and the least recently used runs beyond the limit.

    What somebody works on, or used within minutes, stays.
    """
    from engine.runs.cleanup import cleaned

    gone = cleaned(None if to_gb is None else int(to_gb * 1e9))
    for name in gone.runs:
        click.echo(f"Let go: {name}")
    click.echo(
        f"{len(gone.runs)} runs, {len(gone.leftovers)} leftovers and the files of {gone.uploads} "
        f"browser sessions: {formats.megabytes(gone.bytes)}."
    )
