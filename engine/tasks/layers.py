"""Measure layer by layer what an integer variant loses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.comparison.layers.analysis import layer_errors
from engine.comparison.layers.pairing import NamedWeights, name_modules
from engine.comparison.layers.records import LayerErrors
from engine.core.checksums import find_record, write_record
from engine.core.errors import EngineError
from engine.core.locks import shared_lock
from engine.core.system import usable_cores
from engine.core.types import FloatArray, Progress, Report
from engine.images.cache import FittedPictures
from engine.images.pictures import DEFAULT_LAYERS_COUNT, Picture
from engine.images.preprocess import in_layout
from engine.quantization.recipes import recipe_named
from engine.quantization.sensitivity import split_loss
from engine.runs.results import (
    layers_file,
    spread_pictures,
)
from engine.runs.run import Run, float32_file
from engine.tasks.evaluate import worker_for
from engine.tasks.improve import read_optimized_layers
from engine.tflite.graph import Graph
from engine.workers.process import Host

if TYPE_CHECKING:
    import onnx


def run_layers(request: LayersRequest, report: Report) -> LayerErrors:
    """Measure the layer errors of a variant of a run."""
    run = Run.open(request.run)
    pictures = request.pictures
    fitted = FittedPictures(run.manifest.preprocess, {picture.sha256 for picture in pictures})
    layout, total = run.layout(request.variant), len(pictures)
    stage = f"Comparing {request.variant} with float32, operator by operator"

    def batches() -> Iterator[FloatArray]:
        for done, picture in enumerate(pictures):
            report(Progress(stage, done, total))
            yield in_layout(fitted.input_of(picture)[None], layout)

    exact, variant = float32_file(run).read_bytes(), run.file(request.variant).read_bytes()
    errors = layer_errors(
        exact,
        variant,
        batches,
        run=run.folder.name,
        variant=request.variant,
        pictures=total,
        threads=min(usable_cores(), total),
        chosen_by=_range_source(run, request.variant),
        modules=find_modules(run.onnx_file, exact),
    )
    few = spread_pictures(pictures, _SPLIT_PICTURES)
    inputs = np.stack([in_layout(fitted.input_of(picture)[None], layout) for picture in few])
    try:
        split = split_loss(exact, variant, inputs)
    except (EngineError, ValueError):
        split = None  # a file of another tool may have no plain graph
    return replace(errors, split=split)


_SPLIT_PICTURES = 8


def find_modules(onnx_file: Path, exact: bytes) -> dict[int, str]:
    """Find the PyTorch modules of a float32 file's operators by the ONNX file it was made from.

    Returns:
        Names by place of the operator; only those beyond doubt, see
        `engine.comparison.layers.pairing.name_modules`.
    """
    import onnx
    import onnx.numpy_helper
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(onnx_file, load_external_data=False)
        constants = {c.name: c for c in model.graph.initializer if c.data_location == 0}
        named = []
        for node in model.graph.node:
            weights = constants.get(node.input[1]) if len(node.input) > 1 else None
            if weights is not None and node.op_type in {"Conv", "Gemm", "MatMul"}:
                module = module_of(weights.name, node.name)
                rows = _rows_of(onnx.numpy_helper.to_array(weights), node)
                if module and rows is not None:
                    named.append(NamedWeights(module, rows))
    except (OSError, ValueError, DecodeError):
        return {}  # Names are a help, never a reason to stop.
    scopes = {node.name: scope for node in model.graph.node if (scope := scope_of(node.name))}
    return name_modules(Graph(exact), named, scopes)


def module_of(weights: str, node: str) -> str:
    """Name the module of weights by their own name, such as fc.weight, else by its node's scope."""
    return weights.removesuffix(".weight") if weights.endswith(".weight") else scope_of(node)


def scope_of(node: str) -> str:
    """Name the module of a node of torch's ONNX export: /features/features.1/Conv is features.1."""
    path: list[str] = []
    for part in node.split("/")[1:-1]:
        # Within a Sequential every part repeats the one before.
        if path and part.startswith(f"{path[-1]}."):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)


def _rows_of(weights: FloatArray, node: onnx.NodeProto) -> FloatArray | None:
    if weights.dtype != np.float32:
        return None
    if node.op_type == "Conv":
        return np.moveaxis(weights, 1, -1).reshape(len(weights), -1)
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    if weights.ndim != 2:
        return None
    return weights if node.op_type == "Gemm" and transposed else weights.T


def _range_source(run: Run, variant: str) -> Callable[[int], str | None]:
    """Say what chose the ranges of a variant, where they do not follow from min and max alone."""
    if variant not in run.variants:
        return lambda _: None
    recipe = recipe_named(variant).unmixed
    method = None if recipe.range_method == "min_max" else f"The method {recipe.range_method}"
    if not recipe.optimized:
        return lambda _: method
    layers = read_optimized_layers(run, recipe.name)
    optimized = {layer.index for layer in layers if "range" in layer.done}
    return lambda index: "The optimizer" if index in optimized else method


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

    See `engine.layers`.
    """
    chosen = spread_pictures(pictures, count)
    run.check_columns((variant,))
    stored = read_layer_errors(run, variant, pictures, count=count)
    if stored is not None:
        return stored
    request = LayersRequest(run=str(run.folder.absolute()), variant=variant, pictures=chosen)
    with shared_lock(run.folder), worker_for(run, (variant,), host) as worker:
        errors = worker.run(run_layers, request, host.report)
    write_record(layers_file(run, variant, chosen), errors)
    return errors


def read_layer_errors(
    run: Run, variant: str, pictures: tuple[Picture, ...], *, count: int = DEFAULT_LAYERS_COUNT
) -> LayerErrors | None:
    """Read what `layers` stored in the run, or None."""
    return find_record(layers_file(run, variant, spread_pictures(pictures, count)), LayerErrors)
