"""Measure layer by layer what an integer variant loses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.comparison.layers.analysis import layer_errors
from engine.comparison.layers.records import LayerErrors
from engine.core.checksums import find_record, write_record
from engine.core.locks import shared_lock
from engine.core.system import usable_cores
from engine.core.types import FloatArray, Progress, Report
from engine.images.cache import FittedPictures
from engine.images.pictures import Picture
from engine.images.preprocess import in_layout
from engine.quantization.recipes import recipe_named
from engine.runs.results import (
    chosen_pictures,
    layers_file,
)
from engine.runs.run import Run, float32_file
from engine.tasks.evaluate import worker_for
from engine.tasks.improve import improved_layers
from engine.workers.process import Host


def measured(
    request: LayersRequest, report: Callable[[Progress], None], threads: int
) -> LayerErrors:
    """Measure the layer errors of a variant of a run.

    Args:
        request: Run, variant and pictures.
        report: Receives progress.
        threads: Threads to use.

    Returns:
        One record an operator.

    Raises:
        UserMistake: A picture cannot be decoded, the run has no float32 file, or the variant
            cannot be measured.
        ConversionError: See `engine.comparison.layers.analysis.layer_errors`.
    """
    run = Run.open(request.run)
    pictures = request.pictures
    fitted = FittedPictures(run.manifest.preprocess, {picture.sha256 for picture in pictures})
    layout, total = run.layout(request.variant), len(pictures)
    stage = f"Comparing {request.variant} with float32, operator by operator"

    def batches() -> Iterator[FloatArray]:
        for done, picture in enumerate(pictures):
            report(Progress(stage, done, total))
            yield in_layout(fitted.input_of(picture)[None], layout)

    return layer_errors(
        float32_file(run).read_bytes(),
        run.file(request.variant).read_bytes(),
        batches,
        run=run.folder.name,
        variant=request.variant,
        pictures=total,
        threads=max(1, min(threads, total)),
        chosen_by=_range_source(run, request.variant),
    )


def _range_source(run: Run, variant: str) -> Callable[[int], str | None]:
    """Say what chose the ranges of a variant, where they do not follow from min and max alone."""
    if variant not in run.variants:
        return lambda _: None
    recipe = recipe_named(variant).unmixed
    method = None if recipe.range_method == "min_max" else f"The method {recipe.range_method}"
    if not recipe.optimized:
        return lambda _: method
    layers = improved_layers(run, recipe.name)
    optimized = {layer.index for layer in layers if "range" in layer.done}
    return lambda index: "The optimizer" if index in optimized else method


def run_layers(request: LayersRequest, report: Report) -> LayerErrors:
    """Measure layer errors; see `measure_layers`."""
    return measured(request, report, usable_cores())


DEFAULT_LAYERS_COUNT = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersRequest:
    """Measure what each operator of an integer variant loses against float32.

    Attributes:
        run: Run folder.
        variant: Name of the variant, or of a file from elsewhere.
        pictures: Pictures to show to both.
    """

    run: str
    variant: str
    pictures: tuple[Picture, ...]


def layers(
    run: Run,
    variant: str,
    pictures: tuple[Picture, ...],
    host: Host,
    *,
    count: int = DEFAULT_LAYERS_COUNT,
) -> LayerErrors:
    """Measure what each operator of an integer variant loses; read what was measured before.

    Args:
        run: The run.
        variant: An integer variant, or an integer file from elsewhere.
        pictures: At least one picture.
        host: Gets the worker and its progress.
        count: Pictures to use: all where there are fewer, else some at equal distances.

    Returns:
        One record an operator, with causes.

    Raises:
        UserMistake: The variant, a picture or the count is wrong.
        ConversionError: The variant gives other answers when its activations are kept.
        WorkerError: The worker process failed.
    """
    chosen = chosen_pictures(pictures, count)
    run.check_columns((variant,))
    stored = stored_layers(run, variant, pictures, count=count)
    if stored is not None:
        return stored
    request = LayersRequest(run=str(run.folder.absolute()), variant=variant, pictures=chosen)
    with shared_lock(run.folder), worker_for(run, (variant,), host) as worker:
        errors = worker.run(run_layers, request, host.report)
    write_record(layers_file(run, variant, chosen), errors)
    return errors


def stored_layers(
    run: Run, variant: str, pictures: tuple[Picture, ...], *, count: int = DEFAULT_LAYERS_COUNT
) -> LayerErrors | None:
    """Read what `layers` stored in the run, or None."""
    return find_record(layers_file(run, variant, chosen_pictures(pictures, count)), LayerErrors)
