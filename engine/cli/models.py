"""``python -m engine models`` and ``read``."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from engine import api
from engine.cli.convert import preprocess_in, preprocess_options, show_facts
from engine.cli.output import progress_shown, show_table, write_json
from engine.core import formats
from engine.networks.catalog_network import CatalogEntry
from engine.networks.load import preprocess_words
from engine.networks.source import DEFAULT_MODEL
from engine.tasks.own_model import Preview


@click.command()
@click.option("--search", default="", help="Show only names that contain this.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
def models(search: str, json_file: str | None) -> None:
    """List the models that convert takes by name.

    \b
    Examples:
      python -m engine models
      python -m engine models --search mobilenet
      python -m engine models --search timm/
    """
    with progress_shown() as on_progress:
        entries = [e for e in api.models(on_progress=on_progress) if search.lower() in e.name]
    if json_file is not None:
        write_json(
            [
                {
                    "name": entry.name,
                    "input_size": entry.input_size,
                    "parameters": entry.parameters,
                    "top1": entry.top1,
                    "offline": entry.offline,
                }
                for entry in entries
            ],
            json_file,
        )
        return
    rows = [
        [
            entry.name,
            f"{entry.input_size}",
            formats.UNKNOWN if entry.parameters is None else f"{entry.parameters / 1e6:.1f} M",
            formats.percent(entry.top1),
            _weights(entry),
        ]
        for entry in entries
    ]
    show_table("Models", ["name", "input", "parameters", "ImageNet top-1", "weights"], rows)


def _weights(entry: CatalogEntry) -> str:
    if entry.offline:
        return "on this machine"
    return "to download" if entry.weights_file else "yours or random"


@click.command()
@click.option("--onnx", help="Your ONNX file, or a zip of it and its data.")
@click.option("--output", help="Output of the ONNX file that holds the logits, by its name.")
@click.option("--model", default=DEFAULT_MODEL, help="Network of the checkpoint, by its name.")
@click.option("--checkpoint", help="Your state dict for that model (.pth, .pt, .safetensors).")
@click.option("--weights-of", help="Set of weights to take of a checkpoint that holds several.")
@click.option("--picture", help="A picture to show to the float model.")
@click.option("--labels", help="Class names, for its answers.")
@preprocess_options
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
def read(json_file: str | None, picture: str | None, labels: str | None, **options: Any) -> None:
    """Read a model file without converting it, and show a picture to it.

    A file holds no preprocessing: whether yours is right, the answers on a picture that you know
    say best.

    \b
    Examples:
      python -m engine read --onnx classifier.onnx
      python -m engine read --onnx classifier.onnx --picture cat.jpg --mean 0.5 --std 0.5
      python -m engine read --model mobilenet_v2 --checkpoint weights.pth --picture cat.jpg
    """
    choice = preprocess_in(options)
    with progress_shown() as on_progress:
        reading = api.read_model(input_size=choice.input_size, on_progress=on_progress, **options)
        shown = None
        if picture is not None:
            shown = api.preview(
                picture, labels=labels, preprocess=choice, on_progress=on_progress, **options
            )
    if json_file is not None:
        write_json(msgspec.to_builtins({"reading": reading, "preview": shown}), json_file)
    if json_file == "-":
        return
    show_facts(reading.facts)
    for note in reading.notes:
        click.echo(note)
    if shown is not None:
        _show_preview(shown)


def _show_preview(shown: Preview) -> None:
    spec = shown.preprocess
    words = preprocess_words(spec, ("mean", "std", "scale", "channel_order", "resize"))
    click.echo(f"Fed {spec.height} x {spec.width}: {words}; values of ", nl=False)
    click.echo(f"{formats.decimal(shown.lowest, 2)} to {formats.decimal(shown.highest, 2)}.")
    if not shown.answers:
        click.secho("The model answers with NaN or Inf.", fg="red")
        return
    rows = [[answer.label, formats.percent(answer.share)] for answer in shown.answers]
    show_table("Answers of the float model", ["class", "probability"], rows)
