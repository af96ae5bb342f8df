"""Where a TFLite file's time goes, operator by operator.

``python -m benchmarks.operators NAME=FILE...`` prints microseconds by kind of operator.

LiteRT's package has no profiler, and XNNPACK runs a whole graph as one node. So every beginning of
the graph is made a model of its own, all of them are timed in turns, and what an operator adds to
the beginning before it is its time. What one operator adds is known to some ten microseconds only,
and what is fused with the operator before may come out negative; sums by kind are what to read.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from engine.tflite_graph import expose, interpreter_of, operator_names, packed, parsed

ROUNDS = 40
MOST_BYTES = 6 << 30
"""All beginnings are loaded at once, and each may hold a copy of the weights."""


def added_microseconds(model: bytes, rounds: int = ROUNDS) -> list[tuple[str, float]]:
    """Time every operator of a model on one thread.

    Args:
        model: A TFLite file of one graph.
        rounds: Timed calls of each beginning; the quickest counts.

    Returns:
        Name of each operator, in order, and the microseconds that it adds.

    Raises:
        ValueError: The model is too large to be loaded once for every operator.
        ConversionError: LiteRT refuses a beginning.
    """
    names = operator_names(parsed(model))
    if len(names) * len(model) > MOST_BYTES:
        raise ValueError(f"{len(names)} operators, {len(model)} bytes: too large for this profile")
    beginnings = [_beginning(model, count) for count in range(1, len(names) + 1)]
    quickest = [float("inf")] * len(names)
    gc.collect()
    gc.disable()
    try:
        for interpreter in beginnings:
            interpreter.invoke()
        for _ in range(rounds):
            for place, interpreter in enumerate(beginnings):
                started = time.perf_counter()
                interpreter.invoke()
                quickest[place] = min(quickest[place], time.perf_counter() - started)
    finally:
        gc.enable()
    added = np.diff(quickest, prepend=0.0) * 1e6
    return list(zip(names, added.tolist(), strict=True))


def _beginning(model: bytes, count: int) -> Any:
    """The first operators of a model, loaded and fed; what they leave unread is their output."""
    found = parsed(model)
    graph = found.subgraphs[0]
    graph.operators = graph.operators[:count]
    read = {int(index) for operator in graph.operators for index in operator.inputs}
    made = [int(index) for operator in graph.operators for index in operator.outputs]
    expose(found, [index for index in made if index not in read])
    interpreter = interpreter_of(
        packed(found, len(model)), 1, "Timing operators", "Leave this file out."
    )
    rng = np.random.default_rng(0)
    for tensor in interpreter.get_input_details():
        noise = rng.normal(size=tensor["shape"]) * (1 if tensor["dtype"] == np.float32 else 40)
        interpreter.set_tensor(tensor["index"], noise.astype(tensor["dtype"]))
    return interpreter


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="NAME=FILE...")
def main(files: tuple[str, ...]) -> None:
    """Print where the time of TFLite files goes, by kind of operator."""
    sums: dict[str, dict[str, float]] = {}
    counts: dict[str, Counter[str]] = {}
    for named in files:
        name, _, file = named.partition("=")
        sums[name] = defaultdict(float)
        counts[name] = Counter()
        for kind, microseconds in added_microseconds(Path(file).read_bytes()):
            sums[name][kind] += microseconds
            counts[name][kind] += 1
    kinds = sorted(
        {kind for found in sums.values() for kind in found},
        key=lambda kind: -max(found.get(kind, 0.0) for found in sums.values()),
    )
    click.echo("| operator |" + "".join(f" {name} | µs |" for name in sums))
    click.echo("| --- |" + " --: | --: |" * len(sums))
    for kind in kinds:
        cells = "".join(f" {counts[n][kind]} | {sums[n].get(kind, 0.0):.0f} |" for n in sums)
        click.echo(f"| `{kind}` |{cells}")
    cells = "".join(
        f" {counts[name].total()} | {sum(found.values()):.0f} |" for name, found in sums.items()
    )
    click.echo(f"| all |{cells}")


if __name__ == "__main__":
    main(sys.argv[1:])
