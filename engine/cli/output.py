"""How the command line shows progress, tables and JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from engine.core.errors import fit_to_show
from engine.core.files import write_text
from engine.core.formats import with_plain_spaces
from engine.core.types import OnProgress, Progress

DASK_HELP = "Work on a Dask cluster: local, or a scheduler's address (tcp://...)."


@contextmanager
def progress_shown() -> Iterator[OnProgress]:
    """Show progress on standard error: a bar on a terminal, plain lines elsewhere.

    Yields:
        What to call for every step.
    """
    if sys.stderr.isatty():
        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Starting", total=None)

            def show(progress: Progress) -> None:
                total = progress.total or None
                bar.update(task, description=progress.stage, completed=progress.done, total=total)

            yield show
    else:
        yield _PlainLines()


class _PlainLines:
    """Prints a line when the kind of work changes, not for every picture."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last = ""

    def __call__(self, progress: Progress) -> None:
        kind = progress.stage
        kind = "Calibrating" if kind.startswith("Calibrating:") else kind
        if kind != self._last:
            self._last = kind
            elapsed = time.monotonic() - self._started
            step = f"[{progress.done + 1}/{progress.total}] " if progress.total else ""
            click.echo(f"{elapsed:6.1f} s  {step}{progress.stage}", err=True)


def write_json(value: Mapping[str, Any] | Sequence[Any], target: str) -> None:
    """Write JSON to a file, or to standard output for ``-``.

    Raises:
        OptionError: The file cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if target == "-":
        click.echo(text, nl=False)
    else:
        write_text(text, target)


def say(text: str, *, red: bool = False) -> None:
    """Print a sentence on standard output, with plain spaces."""
    click.secho(with_plain_spaces(text), fg="red" if red else None)


def show_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    red: Collection[str] = (),
) -> None:
    """Print a table on standard output: the first column to the left, the rest to the right.

    Args:
        title: Stands above it.
        columns: Headings.
        rows: Cells.
        red: First cells of the rows that are red on a terminal.
    """
    table = Table(title=Text(with_plain_spaces(fit_to_show(title))), title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        # Names come from outside: no markup of Rich's, no codes of a terminal's.
        style = "red" if row[0] in red else ""
        table.add_row(*(Text(with_plain_spaces(fit_to_show(cell)), style) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(120, console.width))
    console.print(table)
