"""The bench: ours beside other converters, model by model; ``make bench`` runs it.

Five stages, each resumable: *prepare* (network, ONNX file, pictures), *convert* (each converter in
its own environment and process), *check* (error against PyTorch, operators, bytes), *measure*
(latency in turns), *report*. What was done from the same inputs is not done again: after a change
of our converter only ours converts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np

from benchmarks.attempts import PRECISIONS, Prepared
from benchmarks.page import write_page
from benchmarks.prepare import CALIBRATION_PICTURES
from benchmarks.report import headline, markdown
from benchmarks.results import Results
from benchmarks.stages import Workshop
from benchmarks.tools import MODELS, ROOT, TOOLS, Tool

STAGES = ("prepare", "convert", "check", "measure", "report")
MEASURE = "measure"


def _parse_list(text: str, allowed: tuple[str, ...], what: str) -> tuple[str, ...]:
    chosen = tuple(text.replace(",", " ").split()) or allowed
    unknown = [name for name in chosen if name not in allowed]
    if unknown:
        raise click.UsageError(
            f"{', '.join(unknown)}: no such {what}; there are {', '.join(allowed)}"
        )
    return chosen


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--models", default="", help="Names, parted by commas or blanks.  [default: all 15]")
@click.option(
    "--stages", default="", help="Of prepare, convert, check, measure, report.  [default: all]"
)
@click.option("--tools", default="", help="Of ours, litert-torch, onnx2tf.  [default: all]")
@click.option("--again", default="", help="What to repeat: names of converters, or measure.")
@click.option(
    "--build",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / "build" / "bench",
    help="Where everything made is kept.  [default: build/bench]",
)
@click.option("--conversions-under", default="", help="Words before each conversion, e.g. nice.")
@click.option("--measurements-under", default="", help="The same before each timing.")
def bench(
    models: str,
    stages: str,
    tools: str,
    again: str,
    build: Path,
    conversions_under: str,
    measurements_under: str,
) -> None:
    """Convert 15 models with each converter, time the files in turns, write table and page.

    With all models and converters the results replace benchmarks/results.json and results.md;
    with some of them they go to the build folder. The page is always there.
    """
    names = _parse_list(models, MODELS, "model")
    todo = _parse_list(stages, STAGES, "stage")
    chosen = _parse_list(tools, tuple(tool.name for tool in TOOLS), "converter")
    repeat = _parse_list(again, (*chosen, MEASURE), "converter or stage") if again else ()
    side_by_side = tuple(tool for tool in TOOLS if tool.name in chosen)
    workshops = [
        Workshop(
            folder=build.resolve() / name,
            model=name,
            tools=side_by_side,
            conversions_under=conversions_under,
            measurements_under=measurements_under,
        )
        for name in names
    ]
    for number, workshop in enumerate(workshops, 1):
        click.echo(f"[{number}/{len(workshops)}] {workshop.model}", err=True)
        _work(workshop, todo, repeat)
    if "report" in todo:
        everything = names == MODELS and side_by_side == TOOLS
        _report(workshops, side_by_side, ROOT / "benchmarks" if everything else build, build)


def _work(workshop: Workshop, todo: tuple[str, ...], repeat: tuple[str, ...]) -> None:
    if "prepare" in todo:
        workshop.prepare()
    if "convert" in todo:
        for tool in workshop.tools:
            workshop.convert(tool, tool.name in repeat)
    if "check" in todo or MEASURE in todo:  # only a file that runs can be timed
        workshop.check()
    if MEASURE in todo:
        for precision in PRECISIONS:
            workshop.measure(precision, MEASURE in repeat)


def _report(workshops: list[Workshop], tools: tuple[Tool, ...], folder: Path, build: Path) -> None:
    results = Results(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        threads=1,
        calibration_pictures=CALIBRATION_PICTURES,
        check_pictures=len(np.load(workshops[0].folder / Prepared.LOGITS, mmap_mode="r")),
        runtime=version("ai-edge-litert"),
        versions={tool.name: tool.versions() for tool in tools},
        models=tuple(workshop.result() for workshop in workshops),
    )
    results.write(folder / "results.json")
    (folder / "results.md").write_text(markdown(results))
    write_page(results, build / "results.html")
    for precision in PRECISIONS:
        click.echo(f"{precision}: {headline(results, precision)}")
    click.echo(f"{folder / 'results.json'}, results.md beside it; page: {build / 'results.html'}")


if __name__ == "__main__":
    bench()
