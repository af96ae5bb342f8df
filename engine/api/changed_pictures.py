"""Functions of ``import engine`` about slices of a set of pictures, and pinned or changed ones."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.api.conversion import PathLike, ignore, open_run, pictures_of
from engine.core.errors import PictureError
from engine.core.types import ORIGINAL
from engine.images.pictures import DEFAULT_CURVE_COUNT
from engine.runs import pinned as pinned_module
from engine.runs.run import Run
from engine.workers.process import Foreground, share_worker

if TYPE_CHECKING:
    from engine.comparison.robustness import PictureFlips, Robustness
    from engine.comparison.slices import Slices
    from engine.core.types import OnProgress


def robustness(
    run: Run | PathLike,
    images: PathLike | Iterable[PathLike],
    *,
    changes: Iterable[str] = (),
    reference: str = ORIGINAL,
    variants: Iterable[str] = (),
    count: int = DEFAULT_CURVE_COUNT,
    on_progress: OnProgress = ignore,
) -> Robustness:
    """Measure how answers stand up to blur, noise, brightness, compression, rotation and crops.

    Every picture is changed in the network's own size, so that a strength means the same whatever
    the size of the photo. Predictions are kept in the run: nothing is asked twice.

    Args:
        run: A run, or its folder.
        images: A folder of pictures, or picture files.
        changes: Some of ``crop``, ``rotation``, ``brightness``, ``blur``, ``noise`` and ``jpeg``;
            all where there are none.
        reference: ``original``, ``onnx`` or a variant.
        variants: What to compare; all variants when empty.
        count: Pictures to use: all where there are fewer, else some at equal distances.
        on_progress: Called for every step.

    Returns:
        One record for each change, strength and model, with Wilson intervals: on how many pictures
        it answers like the reference on the same changed picture, and on how many as it did before
        the change; see its ``line``, ``to_frame`` and ``to_dict``.

    Raises:
        UserMistake: A name, a picture or the count is wrong.
        WorkerError: The worker process failed.
    """
    from engine.tasks import robustness as task

    return task.measure_robustness(
        open_run(run),
        pictures_of(images),
        Foreground(on_progress),
        kinds=changes,
        reference=reference,
        variants=tuple(variants),
        count=count,
    )


def slices(
    run: Run | PathLike,
    images: PathLike | Iterable[PathLike],
    *,
    reference: str = ORIGINAL,
    variants: Iterable[str] = (),
    labels_csv: PathLike | None = None,
    labels_from_folders: bool = False,
    on_progress: OnProgress = ignore,
) -> Slices:
    """Compare the variants of a run on named groups of pictures.

    The groups are the classes, where right answers are given; the answers of the reference; thirds
    by brightness, as the network sees a picture, and by size; and tags of a person.

    Args:
        run: A run, or its folder.
        images: A folder of pictures, or picture files.
        reference: ``original``, ``onnx`` or a variant.
        variants: What to compare; all variants when empty.
        labels_csv: Table with the column ``filename``, and ``class_index`` or ``class_name`` for
            right answers, ``tag`` for tags (several with ``;`` between them), or both.
        labels_from_folders: Whether the folder of each picture names its class.
        on_progress: Called for every step.

    Returns:
        For each group and model how many answers are the reference's and how many are right, with
        Wilson intervals; see its ``weakest``, ``to_frame`` and ``to_dict``.

    Raises:
        UserMistake: A name, a picture or the table is wrong.
        WorkerError: The worker process failed.
    """
    from engine.runs.labels import tags_from_csv
    from engine.tasks.evaluate import evaluate, right_answers

    opened, pictures = open_run(run), pictures_of(images)
    table = None if labels_csv is None else Path(labels_csv)
    labels = right_answers(opened, pictures, table=table, from_folders=labels_from_folders)
    names = [picture.name for picture in pictures]
    tags = None if table is None else tags_from_csv(table, names)
    evaluation = evaluate(
        opened,
        pictures,
        Foreground(on_progress),
        reference=reference,
        variants=tuple(variants),
    )
    return evaluation.slices(labels, tags)


def find_flips(
    run: Run | PathLike,
    image: PathLike,
    *,
    changes: Iterable[str] = (),
    reference: str = ORIGINAL,
    variants: Iterable[str] = (),
    on_progress: OnProgress = ignore,
) -> PictureFlips:
    """Find the weakest changes of a picture that change the answers of models.

    Every strength of a grid is tried, from the weakest on: an answer that changes can be back at a
    stronger change. Predictions are kept in the run, as by `robustness`.

    Args:
        run: A run, or its folder.
        image: A picture file.
        changes: As for `robustness`.
        reference: ``original``, ``onnx`` or a variant.
        variants: What to ask beside it; all variants when empty.
        on_progress: Called for every step.

    Returns:
        One record for each change and model; see its ``of`` and ``to_dict``.

    Raises:
        UserMistake: A name or the picture is wrong.
        WorkerError: The worker process failed.
    """
    from engine.tasks import robustness as task
    from engine.tasks.evaluate import evaluate

    (picture,) = pictures_of((image,))
    kinds, host = task.check_kinds(changes), Foreground(on_progress)
    with share_worker(host) as shared:
        evaluation = evaluate(
            open_run(run), (picture,), shared, reference=reference, variants=tuple(variants)
        )
        flips = task.find_flips(evaluation, picture, shared, kinds=kinds)
    assert flips is not None, "there is a host"
    return flips


def pin(run: Run | PathLike, images: PathLike | Iterable[PathLike]) -> None:
    """Copy pictures into a run's regression set.

    Args:
        run: A run, or its folder.
        images: A folder of pictures, or files.

    Raises:
        UserMistake: One is no picture.
    """
    opened = open_run(run)
    for picture in pictures_of(images):
        pinned_module.pin(opened, picture)


def pinned(run: Run | PathLike) -> tuple[Path, ...]:
    """Files of the pictures that are pinned to a run, by name, for `compare` and `report`.

    Args:
        run: A run, or its folder.

    Raises:
        UserMistake: There is none, or one has changed since.
    """
    opened = open_run(run)
    files = tuple(picture.path for picture in pinned_module.list_pinned(opened))
    if not files:
        raise PictureError(
            "Looking for pinned pictures",
            got=f"none in {opened.folder.name}",
            expected="at least one",
            todo=f"Pin some: python -m engine pin --run {shlex.quote(str(opened.folder))} "
            "--images FOLDER.",
        )
    return files
