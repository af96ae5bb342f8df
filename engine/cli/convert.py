"""``python -m engine convert``."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from engine import api
from engine.cli.output import progress_shown, show_table, write_json
from engine.comparison.faults import fault_sentences
from engine.conversion.missing_variants import missing_of, missing_sentences
from engine.core import formats
from engine.core.errors import MissingVariantWarning, OptionError
from engine.core.types import LAYOUTS, LOWERINGS
from engine.images.preprocess import (
    CHANNEL_ORDERS,
    INTERPOLATIONS,
    RESIZE_RULES,
    InputSize,
    PreprocessChoice,
    channel_values_in,
    input_size_in,
)
from engine.networks.load import describe_origin
from engine.networks.source import DEFAULT_MODEL, FileFacts
from engine.quantization.calibration import DEFAULT_CALIBRATION_COUNT
from engine.quantization.recipes import ON_REQUEST, RECIPES, names_in
from engine.reporting.text import runs as sentences
from engine.runs.run import Run
from engine.tasks.improve import name_mixed
from engine.tasks.litert_torch import ROUTES
from engine.tasks.targets import choose_variants

VARIANTS_MISSING = 1
VARIANTS_HELP = (
    "Comma-separated: all, "
    + ", ".join((*(recipe.name for recipe in RECIPES), *ON_REQUEST))
    + '; with settings, such as "int8(range=mse,count=64)".'
)
_PREPROCESS = (
    "input_size",
    "resize",
    "resize_size",
    "interpolation",
    "channel_order",
    "scale",
    "mean",
    "std",
    "pad_value",
)


class ChannelValues(click.ParamType[tuple[float, ...]]):
    """Numbers with commas, one a channel, or one for all channels."""

    name = "R,G,B"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        """Parse the words of a person."""
        try:
            return channel_values_in(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Size(click.ParamType[InputSize]):
    """Both sides of a square, or height and width."""

    name = "N|HEIGHTxWIDTH"

    def convert(self, value: Any, param: Any, ctx: Any) -> InputSize:
        """Parse the words of a person."""
        try:
            return input_size_in(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Opset(click.ParamType[int | None]):
    """The number of an operator set, or auto."""

    name = "auto|N"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | None:
        """Parse the words of a person."""
        if value in {"auto", None}:
            return None
        try:
            return int(value)
        except ValueError:
            self.fail(f"'{value}' is neither a number nor auto.", param, ctx)


_OPTIONS = (
    click.option("--input-size", type=Size(), help="Sides of the input, in pixels."),
    click.option("--resize", type=click.Choice(RESIZE_RULES), help="How pictures are fitted."),
    click.option("--resize-size", type=int, help="Shorter side before the crop, in pixels."),
    click.option("--interpolation", type=click.Choice(INTERPOLATIONS)),
    click.option(
        "--channel-order", type=click.Choice(CHANNEL_ORDERS), help="L is grey, as Pillow calls it."
    ),
    click.option("--scale", type=float, help="Factor for pixels of 0 to 255, such as 0.00392157."),
    click.option(
        "--mean",
        type=ChannelValues(),
        help="Subtracted after scaling: one number a channel, or one for all.",
    ),
    click.option("--std", type=ChannelValues(), help="Divided by after that."),
    click.option("--pad-value", type=int, help="Pixel of letterbox's margins; 114 unless given."),
)
Command = TypeVar("Command", bound=Callable[..., Any])


def preprocess_options(command: Command) -> Command:
    """Give a command the options that `preprocess_in` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name in the catalogue.")
@click.option("--checkpoint", help="Your state dict for that model (.pth, .pt, .safetensors).")
@click.option("--weights-of", help="Set of weights to take of a checkpoint that holds several.")
@click.option("--onnx", help="Your ONNX file, or a zip of it and its data.")
@click.option("--output", help="Output of the ONNX file that holds the logits, by its name.")
@click.option("--random-weights", is_flag=True, help="Fresh weights: for size and latency only.")
@click.option("--labels", help="Class names: one a line, or JSON, YAML or CSV with indices.")
@click.option("--variants", default="all", show_default=True, help=VARIANTS_HELP)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME",
    help="Make what suits a device, such as microcontroller or edge-tpu; several may be given.",
)
@click.option("--target-rms", type=float, help="Logit rms that int8_mixed has to bring.")
@click.option("--target-agreement", type=float, help="Share of answers that it has to keep.")
@click.option("--calibration", help="Folder of pictures like those the model will meet.")
@click.option(
    "--calibration-count",
    default=DEFAULT_CALIBRATION_COUNT,
    show_default=True,
    help="Pictures to calibrate with; 100 to 500 are advised.",
)
@click.option("--seed", default=0, show_default=True, help="Random seed of the choice among them.")
@click.option(
    "--opset",
    type=Opset(),
    default="auto",
    show_default=True,
    help="ONNX operator set; auto takes the lowest that works, from 13 on.",
)
@click.option("--allow-flex", is_flag=True, help="Allow TensorFlow operators (SELECT_TF).")
@click.option(
    "--lowering",
    type=click.Choice(LOWERINGS),
    default="nhwc",
    show_default=True,
    help="Handlers of ONNX operators: ours, or onnx-tf's own.",
)
@click.option(
    "--input-layout",
    type=click.Choice(LAYOUTS),
    default="NHWC",
    show_default=True,
    help="Order of the picture's dimensions in the TFLite files.",
)
@click.option(
    "--route",
    "routes",
    type=click.Choice(ROUTES),
    multiple=True,
    help="Another converter, whose files stand beside the variants of onnx-tf.",
)
@preprocess_options
@click.option("--retry", is_flag=True, help="Try variants that could not be made once more.")
@click.option("--out", help="Run folder; by default one in the store, whose path is printed.")
@click.option("--json", "json_file", metavar="FILE", help="Write the manifest ('-' for stdout).")
def convert(
    json_file: str | None,
    variants: str,
    targets: tuple[str, ...],
    target_rms: float | None,
    target_agreement: float | None,
    **options: Any,
) -> int:
    """Convert a model to TFLite variants, or add variants to its run.

    A variant that cannot be made costs itself alone: the run holds all others, a sentence says
    why it is missing, and the exit code is 1.

    \b
    Examples:
      python -m engine convert --out my_run
      python -m engine convert --variants float32,int8 --calibration photos --out my_run
      python -m engine convert --model mobilenet_v2 --checkpoint weights.pth --out my_run
      python -m engine convert --model timm/mobilenetv4_conv_small --out my_run
      python -m engine convert --variants float32,int8,int8_mixed --target-rms 0.08 --out my_run
      python -m engine convert --target microcontroller --calibration photos --out my_run
      python -m engine convert --route litert-torch --out my_run
      python -m engine convert --onnx classifier.onnx --labels labels.txt --out my_run
    """
    preprocess = preprocess_in(options)
    names = names_in(variants)
    if not names:
        raise OptionError(
            "Choosing the variants",
            got="none",
            expected="names of recipes",
            todo="Leave --variants out to make all of them.",
        )
    if target_rms is not None or target_agreement is not None:
        mixed = name_mixed(target_rms=target_rms, target_agreement=target_agreement)
        names = (*(name for name in names if name != "int8_mixed"), mixed)
    names = choose_variants(targets, names)
    with progress_shown() as on_progress, warnings.catch_warnings():
        # Their sentences stand below the tables, in red.
        warnings.simplefilter("ignore", MissingVariantWarning)
        run = api.convert(
            options.pop("model"),
            preprocess=preprocess,
            variants=names,
            on_progress=on_progress,
            **options,
        )
    if json_file is not None:
        write_json(msgspec.to_builtins(run.manifest), json_file)
    if json_file != "-":
        _show(run)
        if targets:
            run_words = shlex.quote(str(run.folder))
            click.echo(
                "What it needs there: python -m engine targets "
                f"--run {run_words} --targets {','.join(targets)}"
            )
    absent = missing_of(run.missing, names)
    for sentence in missing_sentences(absent):
        click.secho(sentence, fg="red", err=True)
    return VARIANTS_MISSING if absent else 0


def preprocess_in(options: dict[str, Any]) -> PreprocessChoice:
    """Take the options about preprocessing out of all options of a command."""
    return PreprocessChoice(**{name: options.pop(name) for name in _PREPROCESS})


def show_facts(facts: FileFacts) -> None:
    """Show what was read from a person's model file."""
    show_table("Read from the file", ["what", "value"], list(map(list, sentences.fact_rows(facts))))


def _show(run: Run) -> None:
    manifest = run.manifest
    if manifest.facts is not None:
        show_facts(manifest.facts)
    show_table(
        f"{manifest.model.name}: how far each hop moved the logits",
        ["hop", "against", "time", "largest difference", "relative"],
        [
            [
                stage.name,
                stage.against or formats.UNKNOWN,
                formats.seconds(stage.seconds),
                formats.small(stage.max_abs_error),
                formats.small(stage.max_rel_error),
            ]
            for stage in manifest.stages
        ],
    )
    show_table(
        "Files",
        ["variant", "size", "of float32", "operators", "weights"],
        [
            [
                artifact.variant,
                formats.megabytes(artifact.bytes),
                formats.percent(artifact.bytes / manifest.float32_bytes),
                str(sum(artifact.operators.values())),
                artifact.weight_granularity,
            ]
            for artifact in run.artifacts
        ],
        red=run.faults,
    )
    for sentence in fault_sentences(run.faults):
        click.secho(sentence, fg="red")
    for artifact in run.artifacts:
        if (note := sentences.float_operators_note(artifact)) is not None:
            click.echo(f"{artifact.variant}: {note}")
    if (note := sentences.opset_note(manifest)) is not None:
        click.echo(note)
    origin = manifest.preprocess_origin
    if origin is not None and origin.how == "confirmed":  # what is assumed stands in a note
        click.echo(describe_origin(origin, manifest.preprocess))
    for note in (*manifest.notes, *sentences.calibration_notes(manifest.calibration)):
        click.echo(note)
    if manifest.calibration is not None and manifest.calibration.demo:
        click.echo(
            "Demo calibration: crops of the supplied pictures. Give --calibration for figures."
        )
    if manifest.model.random:
        click.echo("Random weights: for size and latency only.")
    click.echo(f"Run: {run.folder}")
