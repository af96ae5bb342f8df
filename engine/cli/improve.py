"""``python -m engine improve``."""

from __future__ import annotations

import click
import msgspec

from engine import api
from engine.cli.output import progress_shown, say, show_table, write_json
from engine.core import formats
from engine.quantization.records import MixedCurve, MixedPoint
from engine.reporting.text.improve import curve_headline, monotone_sentence, worth_sentence
from engine.runs.run import Run
from engine.tasks.improve import name_mixed, name_optimized, read_curve, read_optimized_layers


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--variant", default="int8", show_default=True, help="An integer variant of it.")
def improve(run_folder: str, variant: str) -> None:
    """Add a better integer variant: weights, biases and ranges chosen by another method.

    \b
    Examples:
      python -m engine improve --run my_run
      python -m engine improve --run my_run --variant uint8
    """
    from engine.reporting.text.improve import layer_title

    run = Run.open(run_folder)
    name = name_optimized(run, variant)
    with progress_shown() as on_progress:
        run = api.improve(run, variant, on_progress=on_progress)
    layers = read_optimized_layers(run, name)
    show_table(
        f"{name}: what was done, layer by layer",
        ["layer", "changed", "own error rms before", "after"],
        [
            [
                layer_title(layer),
                ", ".join(layer.done) or f"left: {layer.left}",
                formats.small(layer.before),
                formats.small(layer.after),
            ]
            for layer in layers
        ],
    )
    click.echo(f"Run: {run.folder}")


@click.command("mix")
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--layers", type=int, help="How many layers are computed in float32.")
@click.option("--target-rms", type=float, help="Logit rms that they have to bring.")
@click.option("--target-agreement", type=float, help="Share of answers that have to stay.")
@click.option("--latency", is_flag=True, help="Time points of the curve on this machine, too.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
def mix_command(
    run_folder: str,
    layers: int | None,
    target_rms: float | None,
    target_agreement: float | None,
    latency: bool,
    json_file: str | None,
) -> None:
    """Add an int8 variant with as few layers in float32 as a target needs.

    \b
    Targets are judged on calibration pictures; compare tells what holds on others.

    Examples:
      python -m engine mix --run my_run --target-rms 0.08
      python -m engine mix --run my_run --layers 5 --latency --json curve.json
    """
    name = name_mixed(layers=layers, target_rms=target_rms, target_agreement=target_agreement)
    with progress_shown() as on_progress:
        run = api.mix(
            run_folder,
            layers=layers,
            target_rms=target_rms,
            target_agreement=target_agreement,
            on_progress=on_progress,
        )
        timed = api.time_curve(run, name, on_progress=on_progress) if latency else None
    curve = timed or read_curve(run, name)
    assert curve is not None, "a mixed variant is chosen from a curve"
    if json_file is not None:
        write_json(msgspec.to_builtins(curve), json_file)
    if json_file != "-":
        _show(run, name, curve)


def _show(run: Run, name: str, curve: MixedCurve) -> None:
    rows = [[str(point.layers), *_figures(curve, point)] for point in curve.points]
    show_table(
        f"{curve.whole} with layers in float32, on calibration pictures",
        ["layers", "size", "rms", "KL, nats", "same answer", "latency"],
        rows,
    )
    size = run.sizes[name]
    chosen = curve.of_size(size)
    for sentence in (
        curve_headline(curve, chosen),
        worth_sentence(curve, chosen),
        monotone_sentence(curve),
    ):
        if sentence is not None:
            say(sentence)
    say(f"{name}: {formats.megabytes(size)}. Run: {run.folder}")


def _figures(curve: MixedCurve, point: MixedPoint) -> list[str]:
    timed = curve.latency_of(point.layers)
    return [
        formats.megabytes(point.bytes),
        formats.small(point.rms),
        formats.small(point.kl),
        formats.percent(point.agreement),
        formats.UNKNOWN if timed is None else formats.milliseconds(timed.median_ms, timed.pictures),
    ]
