"""What the engine does for a person: the functions behind ``import engine``.

Everything heavy happens in a worker process; these functions prepare requests, wait, and give
back typed results.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from engine.comparison.comparison import Comparison
from engine.comparison.comparison import compare as compare_logits
from engine.comparison.latency import Latency
from engine.comparison.layers.records import LayerErrors
from engine.conversion.missing_variants import missing_sentences
from engine.conversion.onnx_from_torch import check_opset
from engine.core.checksums import keep_file, read_kept, write_kept
from engine.core.errors import OptionError
from engine.core.formats import batch_note
from engine.core.locks import in_use
from engine.core.store import SAMPLE_IMAGES, folder
from engine.core.system import PRODUCT, versions
from engine.core.types import ORIGINAL, FloatArray, IntArray
from engine.images.labels import answer_count, answer_names, labels_from_csv, labels_from_folders
from engine.images.pictures import Picture, _picture_files
from engine.making import make_run
from engine.networks.catalog_network import CatalogEntry
from engine.networks.source import ModelChoice
from engine.quantization.calibration import representative_dataset
from engine.quantization.recipes import recipes_named
from engine.requests import DEFAULT_LAYERS_COUNT, CatalogRequest, EvaluateRequest, LayersRequest
from engine.runs.request import ConvertRequest, run_key
from engine.runs.results import (
    answering,
    chosen_pictures,
    keep_layers,
    layers_file,
    logit_files,
    missing_logits,
    original_note,
    read_layers,
    write_index,
)
from engine.runs.run import ONNX_COLUMN, Run
from engine.runs.staging import empty, reserved
from engine.workers.host import Host, _fresh_worker
from engine.workers.process import Worker


def convert_request(request: ConvertRequest, host: Host) -> Run:
    """Convert a model, or add to its run what is missing.

    Args:
        request: What to make, and from what.
        host: Gets the worker and its progress.

    Returns:
        The finished run.

    Raises:
        UserMistake: Something in the request can be mended by the person.
        ConversionError: A stage failed.
        WorkerError: The worker process failed.
    """
    recipes = recipes_named(request.variants)
    _check_opset(request)
    calibration = representative_dataset(request.calibration, SAMPLE_IMAGES).info
    request = replace(
        request,
        model=_with_absolute_paths(request),
        variants=tuple(r.name for r in recipes),
        calibration=replace(
            request.calibration,
            folder=request.calibration.folder and os.path.abspath(request.calibration.folder),
        ),
    )
    key = run_key(request)
    if request.out is None:
        model = request.model
        stem = Path(model.onnx).stem if model.onnx else model.name.replace("/", "_")
        name = f"{stem}-{key[:10]}-{calibration.digest[:6]}"
        place = folder("runs") / name
    else:
        place = Path(request.out).absolute()
    return make_run(request, key, calibration.digest, place, host)


def _check_opset(request: ConvertRequest) -> None:
    check_opset(request.opset)
    model = request.model
    if request.opset is not None and model.onnx is not None and model.network is None:
        raise OptionError(
            "Choosing the ONNX operator set",
            got=f"{request.opset} for an ONNX file, which has its own",
            expected="a choice for PyTorch models alone",
            todo="Leave --opset out.",
        )


def _with_absolute_paths(request: ConvertRequest) -> ModelChoice:
    model = request.model
    return replace(
        model,
        checkpoint=model.checkpoint and os.path.abspath(model.checkpoint),
        onnx=model.onnx and os.path.abspath(model.onnx),
        labels=model.labels and os.path.abspath(model.labels),
    )


def models(host: Host) -> tuple[CatalogEntry, ...]:
    """The catalogue, read once for each version of its sources and of Quantization Lab.

    Args:
        host: Gets the worker and its progress.

    Returns:
        One entry a model, the default first.
    """
    found = versions()
    name = f"catalog-{found['torchvision']}-{found['timm']}-{found[PRODUCT]}.json"
    file = folder("cache") / name
    try:
        return msgspec.json.decode(read_kept(file), type=tuple[CatalogEntry, ...])
    except (OSError, msgspec.DecodeError):
        with Worker() as worker:
            entries = host.adopt(worker).run(
                "catalog", CatalogRequest(), tuple[CatalogEntry, ...], host.report
            )
        write_kept(file, msgspec.json.encode(entries))
        return entries


def evaluate(
    run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...], host: Host
) -> dict[str, FloatArray]:
    """Logits of columns of a run on pictures; what was computed before is read from the run.

    Args:
        run: The run.
        pictures: At least one picture.
        columns: Some of `Run.columns`.
        host: Gets the worker and its progress.

    Returns:
        For each column an array of shape (pictures, classes), float32, mapped from disk.

    Raises:
        UserMistake: A column or picture is wrong.
        WorkerError: The worker process failed.
    """
    stored = {column: answering(run, pictures, column) for column in columns}
    files = logit_files(run, pictures, tuple(stored.values()))
    if missing_logits(run, files):
        _evaluate(run, pictures, files, host)
    return {column: np.load(files[name], mmap_mode="r") for column, name in stored.items()}


def _evaluate(run: Run, pictures: tuple[Picture, ...], files: dict[str, Path], host: Host) -> None:
    """Compute what is missing, unless another does so already, whose answers then serve."""
    place = next(iter(files.values())).parent
    with in_use(run.folder), reserved(place, host.report) as side:
        empty(side)
        missing = missing_logits(run, files)
        if not missing:
            return
        request = EvaluateRequest(
            run=str(run.folder),
            columns=missing,
            pictures=_picture_files(pictures),
            folder=str(side),
        )
        with _worker_for(run, missing, host) as worker:
            worker.run("evaluate", request, bool, host.report)
        place.mkdir(exist_ok=True)
        write_index(place, [picture.sha256 for picture in pictures])
        for column in missing:
            keep_file(side / f"{column}.npy", files[column])


def layers(
    run: Run,
    variant: str,
    pictures: tuple[Picture, ...],
    host: Host,
    *,
    count: int = DEFAULT_LAYERS_COUNT,
) -> LayerErrors:
    """What each operator of an integer variant loses; what was measured before is read.

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
    known = stored_layers(run, variant, pictures, count=count)
    if known is not None:
        return known
    request = LayersRequest(
        run=str(run.folder.absolute()), variant=variant, pictures=_picture_files(chosen)
    )
    with in_use(run.folder), _worker_for(run, (variant,), host) as worker:
        found = worker.run("layers", request, LayerErrors, host.report)
    keep_layers(layers_file(run, variant, chosen), found)
    return found


def stored_layers(
    run: Run, variant: str, pictures: tuple[Picture, ...], *, count: int = DEFAULT_LAYERS_COUNT
) -> LayerErrors | None:
    """What `layers` would find in the run already, or None."""
    return read_layers(layers_file(run, variant, chosen_pictures(pictures, count)))


def _worker_for(run: Run, columns: tuple[str, ...], host: Host) -> AbstractContextManager[Worker]:
    added = {file.artifact.variant for file in run.added}
    return _fresh_worker(host) if added & set(columns) else host.worker()


def evaluated(run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...]) -> bool:
    """Whether `evaluate` would find everything in the run already."""
    stored = tuple(answering(run, pictures, column) for column in columns)
    return not missing_logits(run, logit_files(run, pictures, stored))


def compare_run(
    run: Run,
    pictures: tuple[Picture, ...],
    host: Host,
    *,
    reference: str = ORIGINAL,
    variants: tuple[str, ...] = (),
    labels: IntArray | None = None,
    latency: Latency | None = None,
) -> Comparison:
    """Compare variants of a run with a reference on pictures.

    Args:
        run: The run.
        pictures: At least one picture.
        host: Gets the worker and its progress.
        reference: One of `Run.columns`.
        variants: Some of `Run.columns`; all TFLite variants when empty.
        labels: Right answers, shape (pictures,), -1 for unknown.
        latency: Timings to show beside.

    Returns:
        The comparison.

    Raises:
        UserMistake: A name or picture is wrong.
        WorkerError: The worker process failed.
    """
    chosen = variants or run.runnable
    columns = tuple(dict.fromkeys((reference, *chosen)))
    logits = evaluate(run, pictures, columns, host)
    manifest = run.manifest
    calibrated = {recipe.name for recipe in manifest.recipes if recipe.calibrated}
    demo = manifest.calibration is not None and manifest.calibration.demo
    return compare_logits(
        run=run.folder.name,
        reference_name=reference,
        logits=logits,
        pictures=tuple(picture.name for picture in pictures),
        labels=labels,
        sizes=run.sizes,
        float32_bytes=manifest.float32_bytes,
        latency=latency,
        random_weights=manifest.model.random,
        demo_calibration=demo and bool(calibrated & set(columns)),
        added={added.artifact.variant for added in run.added},
        notes=_notes(run, pictures, columns),
        known_faults=run.faults,
        missing=missing_sentences(run.missing),
        normalizing=_normalizing(run),
    )


def _notes(run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...]) -> tuple[str, ...]:
    note = original_note(run, pictures) if ORIGINAL in columns else None
    batches = [
        batch_note(card.variant, card.inputs[0].batch, depends=card.depends_on_batch)
        for card in (added.artifact for added in run.added)
        if card.variant in columns and card.inputs[0].batch > 1
    ]
    return (*run.manifest.notes, *([note] if note is not None else []), *batches)


def _normalizing(run: Run) -> set[str]:
    """Columns whose models hold a softmax, or, where there is one output, a sigmoid."""
    operator = "LOGISTIC" if run.manifest.model.classes == 1 else "SOFTMAX"
    names = {card.variant for card in run.artifacts if operator in card.operators}
    return names if names.isdisjoint(run.variants) else {*names, ORIGINAL, ONNX_COLUMN}


def right_answers(
    run: Run, pictures: tuple[Picture, ...], *, table: Path | None, from_folders: bool
) -> IntArray | None:
    """Labels of pictures, from a table or from their folders.

    Args:
        run: Whose classes they are.
        pictures: The pictures.
        table: CSV file with the columns ``filename,class_index``.
        from_folders: Whether the folder of each picture names its class.

    Returns:
        Class index a picture, -1 for unknown; None where neither was given.

    Raises:
        OptionError: Both were given.
        LabelsError: They do not fit.
    """
    if table is not None and from_folders:
        raise OptionError(
            "Reading the right answers",
            got="a table and folders at once",
            expected="one of them",
            todo="Leave one out.",
        )
    names = [picture.name for picture in pictures]
    classes = answer_count(run.manifest.model.classes)
    if table is not None:
        return labels_from_csv(table, names, classes)
    if from_folders:
        return labels_from_folders(names, answer_names(run.manifest.labels), classes)
    return None
