"""Entry of the command line, and what becomes of errors.

Exit codes: 0 done, 1 a gate was missed or a variant could not be made, 2 the person's mistake,
3 an internal fault, 130 interrupted.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import click

from engine import __version__
from engine.cli.compare import compare, slices
from engine.cli.convert import convert
from engine.cli.deploy import deploy
from engine.cli.files import files
from engine.cli.improve import improve, mix_command
from engine.cli.latency import latency, lowerings
from engine.cli.layers import layers
from engine.cli.models import models, read
from engine.cli.phone import phone
from engine.cli.report import report, report_json
from engine.cli.robustness import robustness
from engine.cli.store import pin, store
from engine.cli.sweep import sweep
from engine.cli.targets import targets
from engine.core.errors import EngineError
from engine.core.files import refusal, storage_error
from engine.core.formats import with_plain_spaces

MISTAKE, FAULT, INTERRUPTED = 2, 3, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="Quantization Lab")
def commands() -> None:
    """Convert PyTorch image classifiers to TFLite variants and compare them.

    \b
    Exit codes: 0 done, 1 a gate was missed or a variant could not be made, 2 your mistake, 3 an
    internal fault.
    Start with:  python -m engine convert --out my_run
    """


for command in (
    models,
    read,
    convert,
    compare,
    slices,
    layers,
    robustness,
    improve,
    mix_command,
    sweep,
    latency,
    files,
    pin,
    deploy,
    targets,
    phone,
    lowerings,
    report,
    report_json,
    store,
):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the program's name; by default those of this process.

    Returns:
        The exit code.
    """
    try:
        result = commands.main(
            args=None if arguments is None else list(arguments),
            prog_name="python -m engine",
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show(sys.stderr)
        return MISTAKE
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted; nothing half-made was kept.", err=True)
        return INTERRUPTED
    except EngineError as error:
        click.echo(with_plain_spaces(f"Error: {error}"), err=True)
        return error.exit_code
    except Exception as error:
        if (words := refusal(error)) is not None:
            full = storage_error("Working", words)
            click.echo(f"Error: {full}", err=True)
            return full.exit_code
        traceback.print_exc()
        click.echo(
            "An internal fault of Quantization Lab; please report the lines above.", err=True
        )
        return FAULT
    return result if isinstance(result, int) else 0
