"""Where a TFLite file's time goes, by kind of operator.

``python -m benchmarks.operators NAME=FILE...`` prints microseconds by TFLite's name of the
operator, as LiteRT's profiler finds them on one thread, on noise.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import click
import numpy as np

from engine.tflite.interpreter import load_interpreter
from engine.tflite.operator_times import OperatorTime, operator_times


def times_of(file: Path) -> tuple[OperatorTime, ...]:
    """Time every operator of a file on one thread.

    Args:
        file: A TFLite file of one graph, input and output.

    Returns:
        One record an operator that ran.

    Raises:
        ConversionError: LiteRT refuses the file.
    """
    interpreter = load_interpreter(file.read_bytes(), 1, "Timing operators", "Leave this file out.")
    (tensor,) = interpreter.get_input_details()
    noise = np.random.default_rng(0).normal(size=tensor["shape"])
    noise *= 1 if tensor["dtype"] == np.float32 else 40
    return operator_times(file, noise.astype(tensor["dtype"]).tobytes())


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
        for time in times_of(Path(file)):
            sums[name][time.op] += time.microseconds
            counts[name][time.op] += 1
    kinds = sorted(
        {kind for by_kind in sums.values() for kind in by_kind},
        key=lambda kind: -max(by_kind.get(kind, 0.0) for by_kind in sums.values()),
    )
    click.echo("| operator |" + "".join(f" {name} | µs |" for name in sums))
    click.echo("| --- |" + " --: | --: |" * len(sums))
    for kind in kinds:
        cells = "".join(f" {counts[n][kind]} | {sums[n].get(kind, 0.0):.0f} |" for n in sums)
        click.echo(f"| `{kind}` |{cells}")
    cells = "".join(
        f" {counts[name].total()} | {sum(by_kind.values()):.0f} |" for name, by_kind in sums.items()
    )
    click.echo(f"| all |{cells}")


if __name__ == "__main__":
    main()
