"""``python -m engine models``."""

from __future__ import annotations

import click

from engine import api
from engine.cli.output import progress_shown, show_table, write_json
from engine.core import formats
from engine.networks.catalog_network import CatalogEntry


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
