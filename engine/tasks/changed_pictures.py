"""Show changed pictures to models of a run, and keep what they predict in the run.

A prediction is stored by the content of the picture, the change and the model with its versions,
so that nothing is asked twice: a slider's position, a point of a curve and a search share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

from engine.core.locks import shared_lock
from engine.core.system import share_work, usable_cores
from engine.core.types import FloatArray, Progress, Report
from engine.images.cache import FittedPictures
from engine.images.changes import Pixels, change_pixels, seed_of
from engine.images.pictures import Picture
from engine.images.preprocess import PreprocessSpec
from engine.runs.changed_predictions import (
    ChangedPicture,
    ChangedPredictions,
    Changes,
    Prediction,
    predict,
    store_predictions,
)
from engine.runs.run import Run
from engine.runs.runners import column_runner
from engine.tasks.evaluate import worker_for
from engine.tasks.show import show_pictures
from engine.workers.process import Host

_MOST_BYTES = 256 << 20
"""Of changed pictures in memory at a time."""


@dataclass(frozen=True, slots=True)
class AskedModel:
    """A model, and the changed pictures that it is to be shown, by their index in the request."""

    name: str
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPicturesRequest:
    """Show changed pictures to models of a run.

    Attributes:
        run: Run folder.
        pictures: Changed pictures; those of one picture stand together.
        models: Which of them each model is shown.
    """

    run: str
    pictures: tuple[ChangedPicture, ...]
    models: tuple[AskedModel, ...]


def run_changed_pictures(
    request: ChangedPicturesRequest, report: Report
) -> tuple[tuple[Prediction, ...], ...]:
    """Show changed pictures to models, each of which is loaded once a chunk of pictures.

    Returns:
        For each model of the request its predictions, in the order of its indices.
    """
    run, rows = Run.open(request.run), [dict[int, Prediction]() for _ in request.models]
    spec = run.manifest.preprocess
    fitted = FittedPictures(spec, {shown.picture.sha256 for shown in request.pictures})
    total, done = sum(len(model.indices) for model in request.models), 0
    step = max(1, _MOST_BYTES // prod((spec.height, spec.width, len(spec.picture_mode))))
    for start in range(0, len(request.pictures), step):
        chunk = request.pictures[start : start + step]
        report(Progress(f"Changing {len(chunk)} pictures", done, total))
        pixels = _change_all(chunk, fitted)
        for model, taken in zip(request.models, rows, strict=True):
            indices = [index for index in model.indices if start <= index < start + len(chunk)]
            stage = f"Showing changed pictures to {model.name}"
            report(Progress(stage, done, total))

            def take(index: int, logits: FloatArray, taken: dict[int, Prediction] = taken) -> None:
                taken[index] = predict(logits)

            def count(shown: int, stage: str = stage, before: int = done) -> None:
                report(Progress(stage, before + shown, total))

            show_pictures(
                partial(column_runner, run, model.name, 1),
                [(index, pixels[index - start]) for index in indices],
                spec.normalized,
                take,
                usable_cores(),
                count,
            )
            done += len(indices)
    return tuple(
        tuple(taken[index] for index in model.indices)
        for model, taken in zip(request.models, rows, strict=True)
    )


def _change_all(chunk: Sequence[ChangedPicture], fitted: FittedPictures) -> list[Pixels]:
    """Change pictures in threads; each is decoded once."""
    by_picture: dict[str, list[int]] = {}
    for index, shown in enumerate(chunk):
        by_picture.setdefault(shown.picture.sha256, []).append(index)
    changed: dict[int, Pixels] = {}

    def work(_: int, indices: list[int]) -> None:
        picture = chunk[indices[0]].picture
        pixels, seed = fitted.pixels_of(picture), seed_of(picture.sha256)
        for index in indices:
            changed[index] = change_pixels(pixels, chunk[index].changes, seed)

    share_work(by_picture.values(), range(usable_cores()), work)
    return [changed[index] for index in range(len(chunk))]


def changed_pixels(picture: Picture, changes: Changes, spec: PreprocessSpec) -> Pixels:
    """Give a changed picture as the network is shown it, shape (height, width, 3 or 4), uint8."""
    pixels = spec.fitted(picture.decode(spec.picture_mode))
    return change_pixels(pixels, changes, seed_of(picture.sha256))


def ask_models(
    run: Run,
    wanted: Sequence[ChangedPicture],
    models: tuple[str, ...],
    host: Host | None,
) -> ChangedPredictions | None:
    """Find what models predict on changed pictures; ask them for what is not stored yet.

    Args:
        run: The run.
        wanted: Changed pictures; those of one picture stand together.
        models: Some of `Run.columns`.
        host: Gets the worker and its progress; None asks nothing.

    Returns:
        The predictions; None where there is no host and one of them is not stored.

    Raises:
        UserMistake: A model or picture is wrong.
        WorkerError: The worker process failed.
    """
    run.check_columns(models)
    stored = ChangedPredictions(run, (shown.picture for shown in wanted))
    absent = sorted({index for model in models for index in stored.missing(model, wanted)})
    wanted = [wanted[index] for index in absent]
    asked = tuple(
        AskedModel(model, indices) for model in models if (indices := stored.missing(model, wanted))
    )
    if not asked:
        return stored
    if host is None:
        return None
    request = ChangedPicturesRequest(
        run=str(run.folder.absolute()), pictures=tuple(wanted), models=asked
    )
    with shared_lock(run.folder):
        names = tuple(model.name for model in asked)
        with worker_for(run, names, host) as worker:
            answers = worker.run(run_changed_pictures, request, host.report)
        store_predictions(
            run,
            {
                model.name: {
                    wanted[index]: prediction
                    for index, prediction in zip(model.indices, predictions, strict=True)
                }
                for model, predictions in zip(asked, answers, strict=True)
            },
        )
    stored.read()
    return stored
