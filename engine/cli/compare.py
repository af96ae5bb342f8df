"""``python -m engine compare``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from engine import api
from engine.cli.files import NamedFile
from engine.cli.gates import (
    GATE_MISSED,
    Gates,
    GateType,
    SizeGateType,
    ask_gated_targets,
    check_gates,
    find_missed_gates,
    find_missed_targets,
)
from engine.cli.output import DASK_HELP, progress_shown, say, show_table, write_json
from engine.comparison.comparison import Comparison
from engine.comparison.latency import latency_warnings
from engine.comparison.slices import SLICE_KINDS, SliceShare
from engine.core import formats
from engine.core.errors import OptionError
from engine.core.types import ORIGINAL
from engine.portability.cpu import CPU
from engine.quantization.recipes import names_in
from engine.reporting.text.accuracy import KIND_TITLES, slices_headline
from engine.runs.run import Run


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--images", help="Folder of pictures.")
@click.option("--pinned", is_flag=True, help="The pictures that are pinned to the run.")
@click.option("--labels-csv", help="Table with the columns filename,class_index.")
@click.option("--labels-from-folders", is_flag=True, help="One folder a class.")
@click.option(
    "--reference", default=ORIGINAL, show_default=True, help="original, onnx or a variant."
)
@click.option("--variants", default="", help="Comma-separated; all by default.")
@click.option("--also", type=NamedFile(), multiple=True, help="A .tflite of another tool.")
@click.option("--latency", "with_latency", is_flag=True, help="Time the models, too.")
@click.option("--threads", default=1, show_default=True, help="Threads each model gets.")
@click.option("--rounds", default=50, show_default=True, help="Timed calls of each model.")
@click.option("--dask", metavar="ADDRESS", help=DASK_HELP)
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
@click.option("--min-agreement", type=GateType(), multiple=True, help="Gate, such as int8=0.97.")
@click.option("--max-size-ratio", type=GateType(), multiple=True, help="Gate, against float32.")
@click.option("--max-latency-ratio", type=GateType(), multiple=True, help="Gate, against float32.")
@click.option(
    "--max-memory",
    type=SizeGateType(),
    multiple=True,
    help="Gate on peak memory, such as int8=50MB; measures it.",
)
@click.option("--target", "targets", multiple=True, help="Gate: where variants have to run whole.")
@click.option(
    "--max-arena", type=SizeGateType(), multiple=True, help="Gate on that target's memory."
)
def compare(
    run_folder: str,
    images: str | None,
    pinned: bool,
    reference: str,
    variants: str,
    also: tuple[tuple[str, str], ...],
    with_latency: bool,
    threads: int,
    rounds: int,
    dask: str | None,
    json_file: str | None,
    targets: tuple[str, ...],
    **others: Any,
) -> int:
    """Compare the variants of a run on pictures.

    \b
    Examples:
      python -m engine compare --run my_run --images photos
      python -m engine compare --run my_run --images photos --labels-csv labels.csv --json C.json
      python -m engine compare --run my_run --images photos --min-agreement int8=0.97
      python -m engine compare --run my_run --pinned --min-agreement int8=1 --max-memory int8=50MB
      python -m engine compare --run my_run --images photos --also theirs=model.tflite --latency
      python -m engine compare --run my_run --images photos --dask tcp://10.0.0.1:8786
      python -m engine compare --run my_run --images photos --target ethos-u55-256 \
          --max-arena int8=500KB
    """
    if pinned == (images is not None):
        raise OptionError(
            "Choosing the pictures",
            got="both --images and --pinned" if pinned else "neither --images nor --pinned",
            expected="one of them",
            todo="Name a folder with --images, or take the run's pinned pictures with --pinned.",
        )
    names = names_in(variants)
    gates = Gates(**{field.name: others.pop(field.name) for field in fields(Gates)})
    with progress_shown() as on_progress:
        run = Run.open(run_folder)
        if also:  # before the gates are checked, which may name them
            run = api.add_files(run, dict(also), on_progress=on_progress)
        names += tuple(name for name, _ in also if names)
        check_gates(run, names, gates)
        there = ask_gated_targets(run, names, gates, targets, on_progress)
        timed = None
        if with_latency or gates.max_latency_ratio:
            timed = api.latency(
                run,
                variants=_to_time(names, reference, gated=bool(gates.max_latency_ratio)),
                threads=threads,
                rounds=rounds,
                on_progress=on_progress,
            )
        if gates.max_memory:
            gated = (name for name, _ in gates.max_memory)
            api.targets(run, targets=(CPU,), variants=gated, on_progress=on_progress)
        comparison = api.compare(
            run,
            api.pinned(run) if images is None else images,
            reference=reference,
            variants=names,
            latency=timed,
            dask=dask,
            on_progress=on_progress,
            **others,
        )
    if json_file is not None:
        write_json(comparison.to_dict(), json_file)
    if json_file != "-":
        _show(comparison)
    missed = find_missed_gates(comparison, gates)
    if there is not None:
        missed += find_missed_targets(there, gates.max_arena)
    for sentence in missed:
        click.echo(f"Gate missed: {sentence}", err=True)
    return GATE_MISSED if missed else 0


def _to_time(variants: tuple[str, ...], reference: str, *, gated: bool) -> tuple[str, ...]:
    """Choose what to time: seconds a model, so only what was named, and float32 for a gate."""
    if not variants:
        return ()
    return tuple(dict.fromkeys((reference, *variants, *(("float32",) if gated else ()))))


def _both_counts(share: SliceShare) -> str:
    return f"{share.agreeing} / {formats.UNKNOWN if share.right is None else share.right}"


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--images", required=True, help="Folder of pictures.")
@click.option("--labels-csv", help="Table with filename, and class_index, class_name or tag.")
@click.option("--labels-from-folders", is_flag=True, help="One folder a class.")
@click.option(
    "--reference", default=ORIGINAL, show_default=True, help="original, onnx or a variant."
)
@click.option("--variants", default="", help="Comma-separated; all by default.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
def slices(
    run_folder: str, images: str, variants: str, json_file: str | None, **options: Any
) -> None:
    """Compare the variants of a run on named groups of pictures.

    Groups are classes, answers, brightness, size, and the tags of a table. A cell says on how many
    pictures a variant answers like the reference, and behind it, on how many it is right.

    \b
    Examples:
      python -m engine slices --run my_run --images photos
      python -m engine slices --run my_run --images photos --labels-csv labels.csv --json S.json
    """
    names = names_in(variants)
    with progress_shown() as on_progress:
        measured = api.slices(
            run_folder, images, variants=names, on_progress=on_progress, **options
        )
    if json_file is not None:
        write_json(measured.to_dict(), json_file)
    if json_file == "-":
        return
    for kind in SLICE_KINDS:
        if parts := measured.of(kind):
            show_table(
                f"{KIND_TITLES[kind]}: like {measured.reference} / right",
                ["slice", "pictures", *measured.variants],
                [
                    [
                        f"{part.name} {part.limits}".strip(),
                        str(part.pictures),
                        *map(_both_counts, part.shares[1:]),
                    ]
                    for part in parts
                ],
            )
    for variant in measured.variants:
        click.echo(f"{slices_headline(measured, variant)}.")


def _show(comparison: Comparison) -> None:
    rows = []
    for variant in comparison.variants:
        timed = comparison.latency.of(variant.variant) if comparison.latency else None
        accuracy = variant.accuracy
        rows.append(
            [
                variant.variant,
                formats.percent(variant.top1_agreement),
                formats.interval(variant.top1_agreement_interval),
                str(len(variant.flips)),
                formats.logits(variant.logit_rms),
                formats.decibels(variant.logit_sqnr_db),
                formats.small(variant.kl),
                formats.percent(accuracy.top1 if accuracy else None),
                formats.megabytes(comparison.sizes.get(variant.variant)),
                formats.milliseconds(timed.median_ms, timed.pictures) if timed else formats.UNKNOWN,
            ]
        )
    show_table(
        f"{comparison.run}: {len(comparison.pictures)} pictures against {comparison.reference}",
        [
            "variant",
            "agreement",
            "95 % interval",
            "flips",
            "logit rms",
            "SQNR",
            "KL",
            "accuracy",
            "size",
            "latency",
        ],
        rows,
        red={variant.variant for variant in comparison.variants if variant.fault},
    )
    if comparison.memory:
        show_table(
            "In a process of its own",
            ["variant", "peak memory", "load time"],
            [
                [name, formats.megabytes(use.peak_bytes), formats.milliseconds(use.load_ms)]
                for name, use in comparison.memory.items()
                if name in {variant.variant for variant in comparison.variants}
            ],
        )
    if comparison.reference_accuracy is not None:
        top1 = formats.percent(comparison.reference_accuracy.top1)
        say(f"{comparison.reference}: accuracy {top1}")
    warnings = latency_warnings(comparison.latency) if comparison.latency else ()
    for note in (*comparison.notes, *warnings):
        say(f"Note: {note}", red=note in comparison.faults)
