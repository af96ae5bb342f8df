"""The worker's part: a run's files and its pictures, measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from engine.comparison.layers.analysis import layer_errors
from engine.comparison.layers.records import LayerErrors
from engine.core.types import FloatArray, Progress
from engine.images.cache import FittedPictures
from engine.images.pictures import Picture
from engine.images.preprocess import in_layout
from engine.improvement import improved_layers
from engine.quantization.recipes import recipe_named
from engine.requests import LayersRequest
from engine.runs.run import Run, float32_file


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
    pictures = [Picture(p.name, Path(p.path), p.sha256) for p in request.pictures]
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
        chosen_by=_chosen_by(run, request.variant),
    )


def _chosen_by(run: Run, variant: str) -> Callable[[int], str | None]:
    """What chose the ranges of a variant, where they do not follow from min and max alone."""
    if variant not in run.variants:
        return lambda _: None
    recipe = recipe_named(variant).unmixed
    method = None if recipe.range_method == "min_max" else f"The method {recipe.range_method}"
    if not recipe.optimized:
        return lambda _: method
    layers = improved_layers(run, recipe.name)
    optimized = {layer.index for layer in layers if "range" in layer.done}
    return lambda index: "The optimizer" if index in optimized else method
