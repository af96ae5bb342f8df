"""``python -m engine targets``."""

from __future__ import annotations

from pathlib import Path

import click

from engine import api
from engine.cli.output import progress_shown, say, show_table, write_json
from engine.core.errors import OptionError
from engine.core.files import demand_writable
from engine.core.formats import megabytes
from engine.core.types import OnProgress
from engine.images.pictures import DEFAULT_TARGETS_COUNT
from engine.portability.catalog import target_named
from engine.portability.records import TargetMatrix
from engine.quantization.recipes import names_in
from engine.reporting.text.targets import (
    cell_words,
    figures_words,
    not_asked_sentences,
    support_words,
    targets_headline,
    why_sentence,
)
from engine.runs.run import Run
from engine.tasks.compile_for_target import compiled_name


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--targets", "names", default="", help="Comma-separated; all by default.")
@click.option("--variants", default="", help="Comma-separated; all by default.")
@click.option("--images", help="Folder of pictures for targets that compute answers.")
@click.option(
    "--count", default=DEFAULT_TARGETS_COUNT, show_default=True, help="How many pictures to show."
)
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
@click.option(
    "--save", metavar="FOLDER", help="Write what the targets' compilers make of the files."
)
def targets(
    run_folder: str,
    names: str,
    variants: str,
    images: str | None,
    count: int,
    json_file: str | None,
    save: str | None,
) -> None:
    """Ask where each file of a run works, and what it needs there.

    Microcontrollers, Arm Ethos-U, Coral Edge TPU, Android's GPU delegate, old runtimes, this
    machine's CPU and GPU. Figures are measured, estimated by a tool or by rule, and say which.

    \b
    Examples:
      python -m engine targets --run my_run
      python -m engine targets --run my_run --targets microcontroller,ethos-u55-256 --json T.json
      python -m engine targets --run my_run --targets microcontroller --images photos
      python -m engine targets --run my_run --targets ethos-u55-256 --variants int8 --save compiled
    """
    with progress_shown() as on_progress:
        matrix = api.targets(
            run_folder,
            targets=names_in(names),
            variants=names_in(variants),
            images=images or (),
            count=count,
            on_progress=on_progress,
        )
        files = () if save is None else _save(run_folder, matrix, Path(save), on_progress)
    if json_file is not None:
        write_json(matrix.to_dict(), json_file)
    if json_file != "-":
        _show(matrix)
        for file in files:
            say(f"Written: {file}")


def _save(
    run_folder: str, matrix: TargetMatrix, folder: Path, on_progress: OnProgress
) -> tuple[Path, ...]:
    """Write a compiled file for each variant and target that has one and runs at least in part."""
    run = Run.open(run_folder)
    wanted = [
        cell
        for cell in matrix.cells
        if target_named(cell.target).compile and cell.answer.support in {"whole", "part"}
    ]
    if not wanted:
        raise OptionError(
            "Writing compiled files",
            got="no variant that runs on a target with a compiler",
            expected="one at least",
            todo="Name such a target, such as --targets ethos-u55-256, and an integer variant.",
        )
    with demand_writable(folder, "Choose another folder."):
        folder.mkdir(parents=True, exist_ok=True)
    return tuple(
        api.compile_for(
            run,
            cell.variant,
            cell.target,
            folder / compiled_name(run, cell.variant, cell.target),
            on_progress=on_progress,
        )
        for cell in wanted
    )


def _show(matrix: TargetMatrix) -> None:
    say(f"{targets_headline(matrix)}.")
    show_table(
        f"Where the files of {matrix.run} run",
        ["target", *matrix.variants],
        [
            [
                target.title,
                *(support_words(matrix.of(v, target.name)) for v in matrix.variants),
            ]
            for target in matrix.targets
        ],
    )
    for target in matrix.targets:
        show_table(
            f"{target.title}: {target.how} by {target.by}",
            ["variant", "size", "there", "needs and takes"],
            [
                [
                    variant,
                    megabytes(matrix.sizes[variant]),
                    cell_words(matrix.of(variant, target.name)),
                    figures_words(matrix.of(variant, target.name)),
                ]
                for variant in matrix.variants
            ],
        )
        for variant in matrix.variants:
            if sentence := why_sentence(matrix.of(variant, target.name)):
                say(f"{variant}: {sentence}")
    for sentence in not_asked_sentences(matrix):
        say(f"Note: {sentence}")
