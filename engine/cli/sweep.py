"""``python -m engine sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine import api
from engine.cli.convert import convert, preprocess_in
from engine.cli.output import DASK_HELP, progress_shown, say, show_table, write_json
from engine.core import formats
from engine.core.errors import OptionError
from engine.quantization.calibration import DEFAULT_SEEDS
from engine.quantization.recipes import DEFAULT_RECIPES, FLOAT32, RANGE_METHODS, names_in
from engine.reporting.text.sweep import enough_sentence, faults, method_sentence, notes
from engine.tasks.sweep.records import Sweep, check_table
from engine.tasks.sweep.sweep import DEFAULT_COUNTS

_NOT_OF_A_MODEL = {"variants", "calibration", "calibration_count", "seed", "routes", "out"}
_MODEL_OPTIONS = [p for p in convert.params if p.name not in _NOT_OF_A_MODEL | {"json_file"}]


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers with commas."""

    name = "N,N,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """Parse the words of a person."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(",") if part.strip())
        except ValueError:
            self.fail(f"'{value}' is not a list of whole numbers such as 8,16,32.", param, ctx)


@click.command()
@click.option("--run", "run_folder", help="Run folder; by default one is made of the model.")
@click.option("--images", required=True, help="Folder of pictures to measure on.")
@click.option("--calibration", help="Folder of pictures to choose from; by default the run's own.")
@click.option(
    "--recipes",
    default=",".join(DEFAULT_RECIPES),
    show_default=True,
    help="Comma-separated, such as int8,int8_optimized.",
)
@click.option(
    "--counts",
    type=Numbers(),
    default=(),
    help="Calibration pictures; by default those of "
    + ",".join(map(str, DEFAULT_COUNTS))
    + " that the folder has.",
)
@click.option("--seeds", type=Numbers(), default=DEFAULT_SEEDS, help="By default 0,1,2.")
@click.option("--ranges", default=",".join(RANGE_METHODS), show_default=True)
@click.option("--dask", metavar="ADDRESS", help=DASK_HELP)
@click.option("--out", metavar="FILE", help="Write the table, as .csv or .parquet.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
def sweep(
    run_folder: str | None,
    images: str,
    calibration: str | None,
    recipes: str,
    counts: tuple[int, ...],
    seeds: tuple[int, ...],
    ranges: str,
    dask: str | None,
    out: str | None,
    json_file: str | None,
    **model: Any,
) -> None:
    """Find out how many calibration pictures are enough, and which ranges are best.

    The float32 model of a run is quantized for every count, seed and range method, and each is
    compared with float32 on pictures that calibration does not use. Nothing is added to the run.
    Every finished cell is kept, so a sweep that was ended goes on where it was. Without --run, a
    run is made first, from the options of convert.

    \b
    Examples:
      python -m engine sweep --run my_run --images photos --calibration others --out sweep.csv
      python -m engine sweep --run my_run --images photos --recipes int8,int8_optimized
      python -m engine sweep --model mobilenet_v2 --checkpoint weights.pth --images photos
      python -m engine sweep --run my_run --images photos --dask tcp://10.0.0.1:8786
    """
    if out is not None:
        check_table(Path(out))
    _check_one_source(run_folder)
    with progress_shown() as on_progress:
        cells = api.sweep(
            run_folder or _convert(model, calibration, on_progress),
            images,
            calibration=calibration,
            recipes=names_in(recipes),
            counts=counts,
            seeds=seeds,
            ranges=names_in(ranges),
            dask=dask,
            on_progress=on_progress,
        )
    if out is not None:
        cells.write(out)
    if json_file is not None:
        write_json(cells.rows(), json_file)
    if json_file != "-":
        _show(cells)
        if out is not None:
            click.echo(f"Table: {out}")


sweep.params += _MODEL_OPTIONS


def _convert(model: dict[str, Any], calibration: str | None, on_progress: Any) -> Any:
    name, preprocess = model.pop("model"), preprocess_in(model)
    return api.convert(
        name,
        preprocess=preprocess,
        variants=FLOAT32.name,
        calibration=calibration,
        on_progress=on_progress,
        **model,
    )


def _check_one_source(run_folder: str | None) -> None:
    """Refuse options of a model beside a run, which has one."""
    context = click.get_current_context()
    given = [
        option.opts[0]
        for option in _MODEL_OPTIONS
        if option.name is not None
        and context.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE
    ]
    if run_folder is not None and given:
        raise OptionError(
            "Choosing the model of the sweep",
            got=f"--run and {', '.join(given)} at once",
            expected="a run, or options of a model",
            todo="Leave one out.",
        )


def _show(cells: Sweep) -> None:
    for recipe in cells.recipes:
        show_table(
            f"{cells.basis.run}: {recipe} against float32, mean and spread over seeds",
            ["ranges", "pictures", "seeds", "logit rms", "±", "KL", "±", "SQNR", "agreement"],
            [
                [
                    group.range_method,
                    str(group.count),
                    str(len(group.cells)),
                    f"{group.rms.mean:.4f}",
                    formats.spread(group.rms.deviation),
                    formats.small(group.kl.mean),
                    formats.spread(group.kl.deviation),
                    formats.decibels(group.sqnr_db.mean),
                    formats.percent(group.agreement.mean),
                ]
                for group in cells.of(recipe)
            ],
        )
        say(f"{enough_sentence(cells, recipe)}. {method_sentence(cells, recipe)}")
        for sentence in faults(cells, recipe):
            say(sentence, red=True)
    for note in notes(cells):
        say(f"Note: {note}")
