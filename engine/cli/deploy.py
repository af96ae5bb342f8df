"""``python -m engine deploy``."""

from __future__ import annotations

from typing import Any

import click

from engine import api
from engine.cli.output import progress_shown
from engine.core.types import ORIGINAL


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--variant", required=True, help="A variant, or the name of an added file.")
@click.option("--images", required=True, help="Folder of pictures: some become the golden set.")
@click.option(
    "--target",
    help="Where it is shipped to; the model card says how it runs there. microcontroller packs "
    "C arrays and a program that checks itself in place of snippets for apps.",
)
@click.option("--out", required=True, metavar="FILE", help="The zip to write.")
@click.option("--labels-csv", help="Table with the columns filename,class_index.")
@click.option("--labels-from-folders", is_flag=True, help="One folder a class.")
@click.option(
    "--reference", default=ORIGINAL, show_default=True, help="original, onnx or a variant."
)
def deploy(run_folder: str, variant: str, images: str, out: str, **options: Any) -> None:
    """Pack a variant with metadata, labels, golden set, script, snippets and model card.

    For a microcontroller: the model as a C array, its operators, the arena that TFLite Micro
    used with a margin, the golden set as C arrays, and a program that says PASSED or FAILED.

    \b
    Examples:
      python -m engine deploy --run my_run --variant int8 --images photos --out kit.zip
      python -m engine deploy --run my_run --variant int8 --images photos \\
          --target microcontroller --out firmware.zip
    """
    with progress_shown() as on_progress:
        kit = api.deploy(
            run_folder,
            variant,
            images,
            out=out,
            on_progress=on_progress,
            **options,
        )
    golden = kit.golden
    click.echo(f"{kit.file}: {kit.model} and {len(kit.files) - 1} other files")
    click.echo(
        f"Golden set: {len(golden.pictures)} pictures; outputs may differ by {golden.allowed}"
    )
