"""The functions of ``import engine``: conversion, comparison, layers, timing, kits, catalogue."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.requests import (
    DEFAULT_CALIBRATION_COUNT,
    DEFAULT_LAYERS_COUNT,
    DEFAULT_MODEL,
    CalibrationChoice,
    ConvertRequest,
    ModelChoice,
    PreprocessChoice,
)
from engine.types import ORIGINAL, Latency, Layout, LoweringName, Progress, RouteName

if TYPE_CHECKING:
    from engine.comparison.comparison import Comparison
    from engine.deployment.kit import Kit
    from engine.images import Picture
    from engine.jobs import OnProgress
    from engine.layer_errors.records import LayerErrors
    from engine.networks.catalog import CatalogEntry
    from engine.runs import Run

PathLike = str | os.PathLike[str]


def _silent(progress: Progress) -> None:
    """Take no note."""


def convert(
    model: str = DEFAULT_MODEL,
    *,
    checkpoint: PathLike | None = None,
    onnx: PathLike | None = None,
    random_weights: bool = False,
    labels: PathLike | None = None,
    preprocess: PreprocessChoice | None = None,
    variants: Iterable[str] | str = "all",
    calibration: PathLike | None = None,
    calibration_count: int = DEFAULT_CALIBRATION_COUNT,
    seed: int = 0,
    opset: int | None = None,
    allow_flex: bool = False,
    lowering: LoweringName = "nhwc",
    input_layout: Layout = "NHWC",
    routes: Iterable[RouteName] = (),
    out: PathLike | None = None,
    on_progress: OnProgress = _silent,
) -> Run:
    """Convert a classifier to TFLite variants.

    What was made before is not made again: a second call with one more variant adds that one.

    Args:
        model: Name in the catalogue.
        checkpoint: State dict for that model (``.pth``, ``.pt``, ``.safetensors``).
        onnx: An ONNX file instead of a catalogue model.
        random_weights: Fresh weights, for size and latency only.
        labels: Text file with one class name a line.
        preprocess: Deviations from the model's own preprocessing.
        variants: Names of recipes, or ``all``.
        calibration: Folder of pictures like those the model will meet; None takes crops of the
            sample images (demo calibration).
        calibration_count: Pictures to calibrate with.
        seed: Seed of the choice among them.
        opset: ONNX operator set; None takes the lowest from 13 on that works.
        allow_flex: Whether operators outside TFLite's built-in set may stay.
        lowering: ``nhwc`` for our handlers of ONNX operators, ``stock`` for onnx-tf's own.
        input_layout: Order of the picture input's dimensions in the TFLite files.
        routes: Other converters whose files shall stand beside the variants.
        out: Run folder; None puts it into the store.
        on_progress: Called for every step.

    Returns:
        The finished run.

    Raises:
        UserMistake: Something asked for can be mended.
        ConversionError: A stage failed.
        WorkerError: The worker process failed.
    """
    from engine.routes.litert_torch import add_litert_torch, check_route
    from engine.service import Foreground, convert_request

    others = tuple(routes)
    if others:
        check_route("torchvision" if onnx is None else "onnx")
    host = Foreground(on_progress)
    request = ConvertRequest(
        model=ModelChoice(
            name=model,
            checkpoint=_text(checkpoint),
            onnx=_text(onnx),
            random_weights=random_weights,
            labels=_text(labels),
        ),
        preprocess=preprocess or PreprocessChoice(),
        variants=(variants,) if isinstance(variants, str) else tuple(variants),
        calibration=CalibrationChoice(
            folder=_text(calibration), count=calibration_count, seed=seed
        ),
        opset=opset,
        allow_flex=allow_flex,
        lowering=lowering,
        input_layout=input_layout,
        out=_text(out),
    )
    run = convert_request(request, host)
    return add_litert_torch(run, host) if others else run


def compare(
    run: Run | PathLike,
    images: PathLike | Iterable[PathLike],
    *,
    reference: str = ORIGINAL,
    variants: Iterable[str] = (),
    labels_csv: PathLike | None = None,
    labels_from_folders: bool = False,
    also: Mapping[str, PathLike] | None = None,
    latency: Latency | None = None,
    on_progress: OnProgress = _silent,
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
        latency: Timings to show beside, as `latency` gives them.
        on_progress: Called for every step.

    Returns:
        The comparison; see its ``to_frame`` and ``to_dict``.

    Raises:
        UserMistake: A name, a picture or a label is wrong.
        WorkerError: The worker process failed.
    """
    from engine.service import Foreground, compare_run, right_answers

    opened = add_files(_run(run), also or {}, on_progress=on_progress)
    chosen = tuple(variants)
    pictures = _pictures(images)
    labels = right_answers(
        opened,
        pictures,
        table=None if labels_csv is None else Path(labels_csv),
        from_folders=labels_from_folders,
    )
    return compare_run(
        opened,
        pictures,
        Foreground(on_progress),
        reference=reference,
        variants=(*chosen, *(also or ())) if chosen else (),
        labels=labels,
        latency=latency,
    )


def layers(
    run: Run | PathLike,
    variant: str,
    images: PathLike | Iterable[PathLike],
    *,
    count: int = DEFAULT_LAYERS_COUNT,
    on_progress: OnProgress = _silent,
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
    from engine import service

    host = service.Foreground(on_progress)
    return service.layers(_run(run), variant, _pictures(images), host, count=count)


def add_files(
    run: Run | PathLike, files: Mapping[str, PathLike], *, on_progress: OnProgress = _silent
) -> Run:
    """Put TFLite files of other tools beside the variants of a run.

    Args:
        run: A run, or its folder.
        files: Files by the name to give them.
        on_progress: Called for every step.

    Returns:
        The run with the files.

    Raises:
        UserMistake: A name cannot be used, or a file cannot be compared in this run.
    """
    from engine.added import add_file
    from engine.service import Foreground

    opened = _run(run)
    for name, file in files.items():
        opened = add_file(opened, name, Path(file), Foreground(on_progress))
    return opened


def improve(
    run: Run | PathLike, variant: str = "int8", *, on_progress: OnProgress = _silent
) -> Run:
    """Add a better integer variant: weights, biases and ranges chosen anew.

    Args:
        run: A run, or its folder.
        variant: One of its variants with int8 activations.
        on_progress: Called for every step.

    Returns:
        The run with ``<variant>_optimized`` beside the variant.

    Raises:
        UserMistake: The variant cannot be improved, or its calibration pictures are gone.
        ConversionError: The pass failed.
        WorkerError: The worker process failed.
    """
    from engine.improvement import improve as improved
    from engine.service import Foreground

    return improved(_run(run), variant, Foreground(on_progress))


def latency(
    run: Run | PathLike,
    *,
    variants: Iterable[str] = (),
    threads: int = 1,
    rounds: int = 50,
    warmup: int = 5,
    on_progress: OnProgress = _silent,
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
    from engine.service import Foreground, measure

    return measure(
        _run(run),
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
    on_progress: OnProgress = _silent,
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
        on_progress: Called for every step.

    Returns:
        The kit; ``file`` is the zip.

    Raises:
        UserMistake: A name, a picture or a label is wrong, or the zip cannot be written.
        ConversionError: LiteRT refuses the variant, or its answers change with the metadata.
        WorkerError: The worker process failed.
    """
    from engine.deployment.kit import make_kit
    from engine.service import Foreground, right_answers

    opened, pictures = _run(run), _pictures(images)
    table = None if labels_csv is None else Path(labels_csv)
    return make_kit(
        opened,
        variant,
        pictures,
        Foreground(on_progress),
        out=None if out is None else Path(out),
        reference=reference,
        labels=right_answers(opened, pictures, table=table, from_folders=labels_from_folders),
    )


def models(*, on_progress: OnProgress = _silent) -> tuple[CatalogEntry, ...]:
    """The catalogue: what `convert` takes by name.

    Args:
        on_progress: Called for every step.

    Returns:
        One entry a model, the default first.
    """
    from engine import service

    return service.models(service.Foreground(on_progress))


def _text(path: PathLike | None) -> str | None:
    return None if path is None else os.fspath(path)


def _run(run: Run | PathLike) -> Run:
    from engine.runs import Run

    return run if isinstance(run, Run) else Run.open(Path(run))


def _pictures(images: PathLike | Iterable[PathLike]) -> tuple[Picture, ...]:
    from engine.images import pictures_in
    from engine.service import as_pictures

    if isinstance(images, str | os.PathLike):
        return pictures_in(Path(images))
    return as_pictures(Path(image) for image in images)
