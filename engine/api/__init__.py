"""The functions of ``import engine``: the front door, for notebooks, scripts and the terminal.

Here are those that compare, measure and pack the models of a run; `engine.api.conversion` has
those that make and extend one, `engine.api.changed_pictures` those that group, pin and change
pictures, `engine.api.portability` those that ask where its files run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.api.changed_pictures import find_flips, pin, pinned, robustness, slices
from engine.api.conversion import (
    PathLike,
    add_files,
    convert,
    ignore,
    improve,
    lowerings,
    mix,
    models,
    open_run,
    path_text,
    pictures_of,
    preview,
    read_model,
    time_curve,
)
from engine.api.portability import compile_for, targets, time_on_phone
from engine.core.types import ORIGINAL
from engine.images.pictures import DEFAULT_LAYERS_COUNT, Picture
from engine.quantization.calibration import DEFAULT_SEEDS
from engine.quantization.recipes import DEFAULT_RECIPES, RANGE_METHODS
from engine.runs.run import Run
from engine.workers.process import Foreground

if TYPE_CHECKING:
    import torch

    from engine.comparison.comparison import Comparison
    from engine.comparison.latency import Latency
    from engine.comparison.layers.records import LayerErrors
    from engine.core.types import IntArray, OnProgress
    from engine.deployment.kit import Kit
    from engine.reporting.report import Report
    from engine.tasks.sweep.records import Sweep

__all__ = [
    "add_files",
    "compare",
    "compile_for",
    "convert",
    "deploy",
    "find_flips",
    "improve",
    "latency",
    "layers",
    "lowerings",
    "mix",
    "models",
    "pin",
    "pinned",
    "preview",
    "read_model",
    "report",
    "robustness",
    "slices",
    "sweep",
    "targets",
    "time_curve",
    "time_on_phone",
]


def compare(
    run: Run | PathLike,
    images: PathLike | Iterable[PathLike],
    *,
    reference: str = ORIGINAL,
    variants: Iterable[str] = (),
    labels_csv: PathLike | None = None,
    labels_from_folders: bool = False,
    also: Mapping[str, PathLike] | None = None,
    network: torch.nn.Module | None = None,
    latency: Latency | None = None,
    dask: str | None = None,
    on_progress: OnProgress = ignore,
) -> Comparison:
    """Compare the variants of a run with a reference on the same pictures.

    Args:
        run: A run, or its folder.
        images: A folder of pictures, or picture files.
        reference: ``original``, ``onnx`` or a variant.
        variants: What to compare; all variants when empty.
        labels_csv: Table of right answers with the columns ``filename,class_index``.
        labels_from_folders: Whether the folder of each picture names its class.
        also: TFLite files of other tools by the name to give them; they are copied into the run,
            and compared in later calls, too.
        network: The network that the run was made from: its own logits on the pictures are kept
            in the run first. Without it, the ONNX file that was exported from it answers for the
            original where the run does not hold the network's logits for every picture; the notes
            say which.
        latency: Timings to show beside, as `latency` gives them.
        dask: Let a Dask cluster find the answers, shard by shard: ``local`` for two workers on
            this machine, or a scheduler's address; see `sweep`.
        on_progress: Called for every step.

    Returns:
        The comparison; see its ``to_frame`` and ``to_dict``. Peak memory and load time are in it
        for the files that `targets` asked ``cpu`` about.

    Raises:
        UserMistake: A name, a picture or a label is wrong.
        WorkerError: The worker process failed.
    """
    from engine.tasks.evaluate import evaluate

    opened = add_files(run, also, on_progress=on_progress) if also else open_run(run)
    pictures, host, compared = pictures_of(images), Foreground(on_progress), tuple(variants)
    labels = _labels(opened, pictures, labels_csv, labels_from_folders)
    if network is not None:
        from engine.networks.given_network import given_network
        from engine.runs.results import keep_own_logits

        keep_own_logits(opened, given_network(network), pictures, host)
    if compared:
        compared += tuple(also or ())
    if dask is not None:
        from engine.tasks.evaluate_dask import evaluate_by_shards

        columns = tuple(dict.fromkeys((reference, *(compared or opened.runnable))))
        evaluate_by_shards(opened, pictures, columns, dask, host)
    return evaluate(
        opened,
        pictures,
        host,
        reference=reference,
        variants=compared,
        labels=labels,
        latency=latency,
    ).comparison


def report(
    run: Run | PathLike,
    images: PathLike | Iterable[PathLike],
    out: PathLike | None = None,
    *,
    reference: str = ORIGINAL,
    labels_csv: PathLike | None = None,
    labels_from_folders: bool = False,
    against: Run | PathLike | None = None,
    threads: int = 1,
    need: float = 0.95,
    target: str | None = None,
    on_progress: OnProgress = ignore,
) -> Report:
    """Gather everything about a run on pictures, to take home as one HTML file.

    Args:
        run: A run, or its folder.
        images: A folder of pictures, or picture files.
        out: HTML file to write; None writes none.
        reference: ``original``, ``onnx`` or a variant.
        labels_csv: Table of right answers with the columns ``filename,class_index``.
        labels_from_folders: Whether the folder of each picture names its class.
        against: Another run, to hold it against on the same pictures.
        threads: Which stored timings stand beside the figures; see `latency`.
        need: Share of equal first answers that the recommendation asks for, 0 to 1.
        target: Where the variant is shipped to, one of those of `targets`: what it refuses is not
            recommended. It is asked now unless the run has its answers. None: any will do.
        on_progress: Called for every step.

    Returns:
        The report; see its ``choice``, ``to_html``, ``to_dict`` and ``to_csv``.

    Raises:
        UserMistake: A name, a picture, a label or a number is wrong, or ``out`` cannot be written.
        WorkerError: The worker process failed.
    """
    from engine.reporting.report import report_of
    from engine.reporting.text.destination import destination_of
    from engine.runs.labels import tags_from_csv
    from engine.tasks.targets import ask_targets

    opened, pictures, host = open_run(run), pictures_of(images), Foreground(on_progress)
    table = None if labels_csv is None else Path(labels_csv)
    answers = None if target is None else ask_targets(opened, host, names=(target,))
    result = report_of(
        opened,
        pictures,
        host,
        reference=reference,
        labels=_labels(opened, pictures, labels_csv, labels_from_folders),
        tags=None if table is None else tags_from_csv(table, [p.name for p in pictures]),
        against=None if against is None else open_run(against),
        threads=threads,
        need=need,
        destination=None if answers is None else destination_of(answers, opened.artifacts),
    )
    if out is not None:
        result.save(os.fspath(out))
    return result


def layers(
    run: Run | PathLike,
    variant: str,
    images: PathLike | Iterable[PathLike],
    *,
    count: int = DEFAULT_LAYERS_COUNT,
    on_progress: OnProgress = ignore,
) -> LayerErrors:
    """Measure what each operator of an integer variant loses against float32, and why.

    Args:
        run: A run, or its folder.
        variant: An integer variant, or an integer file of another tool that was added.
        images: A folder of pictures, or picture files.
        count: Pictures to use: all where there are fewer, else some at equal distances.
        on_progress: Called for every step.

    Returns:
        One record an operator; see its ``by_loss``, ``to_frame`` and ``to_dict``.

    Raises:
        UserMistake: A name, a picture or the count is wrong.
        ConversionError: The variant gives other answers when its activations are kept.
        WorkerError: The worker process failed.
    """
    from engine.tasks import layers as layers_module

    host = Foreground(on_progress)
    return layers_module.layers(open_run(run), variant, pictures_of(images), host, count=count)


def sweep(
    run: Run | PathLike,
    images: PathLike | Iterable[PathLike],
    *,
    calibration: PathLike | None = None,
    recipes: Iterable[str] = DEFAULT_RECIPES,
    counts: Iterable[int] = (),
    seeds: Iterable[int] = DEFAULT_SEEDS,
    ranges: Iterable[str] = RANGE_METHODS,
    dask: str | None = None,
    on_progress: OnProgress = ignore,
) -> Sweep:
    """Find out how many calibration pictures are enough, and which ranges are best.

    The float32 model of the run is quantized for every recipe, count, seed and range method, and
    each is compared with float32. Nothing is added to the run. Finished cells are kept in the
    store, so that a sweep that was ended goes on where it was.

    Args:
        run: A run, or its folder; see `convert`.
        images: A folder of pictures, or picture files, to measure on; those that calibration may
            use are left out.
        calibration: Folder of pictures to choose from; None takes that of the run.
        recipes: Calibrated recipes without count, seed and range.
        counts: Calibration pictures; none takes those of 8, 16, 32, 64 and 128 that there are.
        seeds: Seeds of the choice among the pictures.
        ranges: Methods by which ranges follow from the values seen.
        dask: Let a Dask cluster do it: ``local`` for two workers on this machine, or a scheduler's
            address. The figures are the same. A script that names ``local`` needs the usual
            ``if __name__ == "__main__":``, since workers import it.
        on_progress: Called for every step.

    Returns:
        One record a cell; see its ``groups``, ``to_frame`` and ``write``.

    Raises:
        UserMistake: A name, number, picture or address is wrong, or no picture is left.
        ConversionError: A cell cannot be made.
        WorkerError: The worker process failed.
    """
    from engine.tasks.sweep import sweep as sweep_module

    choice = sweep_module.SweepChoice(
        recipes=tuple(recipes), counts=tuple(counts), seeds=tuple(seeds), ranges=tuple(ranges)
    )
    return sweep_module.sweep(
        open_run(run),
        pictures_of(images),
        Foreground(on_progress),
        choice,
        calibration=path_text(calibration),
        dask=dask,
    )


def latency(
    run: Run | PathLike,
    *,
    variants: Iterable[str] = (),
    threads: int = 1,
    rounds: int = 50,
    warmup: int = 5,
    on_progress: OnProgress = ignore,
) -> Latency:
    """Time one call of the original and of every variant on this machine, in turns.

    Args:
        run: A run, or its folder.
        variants: ``original``, ``onnx`` or variants; the original and all variants when empty.
        threads: Threads each model gets.
        rounds: Timed calls of each.
        warmup: Calls of each before timing starts.
        on_progress: Called for every step.

    Returns:
        Raw samples and the machine they were taken on.

    Raises:
        UserMistake: A name or number is wrong.
        WorkerError: The worker process failed.
    """
    from engine.tasks import latency as latency_module

    return latency_module.measure(
        open_run(run),
        Foreground(on_progress),
        columns=tuple(variants),
        threads=threads,
        rounds=rounds,
        warmup=warmup,
    )


def deploy(
    run: Run | PathLike,
    variant: str,
    images: PathLike | Iterable[PathLike],
    *,
    out: PathLike | None = None,
    reference: str = ORIGINAL,
    labels_csv: PathLike | None = None,
    labels_from_folders: bool = False,
    target: str | None = None,
    on_progress: OnProgress = ignore,
) -> Kit:
    """Pack a variant for an app: model with metadata, golden set, script, snippets, model card.

    Args:
        run: A run, or its folder.
        variant: One of its variants, or a file of another tool that was added.
        images: A folder of pictures, or picture files: up to five become the golden set, all give
            the figures of the model card.
        out: The zip to write; None puts it into the run.
        reference: ``original``, ``onnx`` or another variant, for those figures.
        labels_csv: Table of right answers with the columns ``filename,class_index``.
        labels_from_folders: Whether the folder of each picture names its class.
        target: Where it is shipped to, one of those of `targets`: the model card says how it runs
            there, and for ``microcontroller`` the kit holds C arrays. None names none.
        on_progress: Called for every step.

    Returns:
        The kit; ``file`` is the zip.

    Raises:
        UserMistake: A name, a picture or a label is wrong, the variant is of no use there, or the
            zip cannot be written.
        ConversionError: A runtime refuses it, or its answers change with the metadata.
        WorkerError: The worker process failed.
    """
    from engine.deployment.kit import make_kit
    from engine.deployment.micro_kit import TARGET, make_micro_kit

    opened, pictures = open_run(run), pictures_of(images)
    make = make_micro_kit if target == TARGET else partial(make_kit, target=target)
    return make(
        opened,
        variant,
        pictures,
        Foreground(on_progress),
        out=None if out is None else Path(out),
        reference=reference,
        labels=_labels(opened, pictures, labels_csv, labels_from_folders),
    )


def _labels(
    run: Run, pictures: tuple[Picture, ...], table: PathLike | None, from_folders: bool
) -> IntArray | None:
    from engine.tasks.evaluate import right_answers

    path = None if table is None else Path(table)
    return right_answers(run, pictures, table=path, from_folders=from_folders)
