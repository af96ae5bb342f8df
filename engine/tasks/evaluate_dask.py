"""A comparison's answers by shards of pictures, on a Dask cluster.

Each finished shard is kept in the run as a small set of pictures of its own, so that it serves
later requests for its pictures: a comparison that was ended half way computes what is missing.
 In the end the whole set is put together from them, as from any earlier set.
"""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from engine.core.errors import EngineError
from engine.core.files import write_whole
from engine.core.types import FloatArray, Progress
from engine.images.cache import FittedPictures
from engine.images.pictures import Picture, digest_of
from engine.runs.results import INDEX, KnownRows, answering, file_name, logit_files, write_index
from engine.runs.run import LOGITS, Run
from engine.tasks.evaluate import compute_logits
from engine.workers.dask import call_each, check_address, connect

if TYPE_CHECKING:
    from distributed import Client

    from engine.workers.process import Host

SHARD = 100
"""Pictures of a shard: seconds of work, and 0.4 MB of a thousand classes."""
_PREFIX = "shard-"


def evaluate_by_shards(
    run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...], address: str, host: Host
) -> None:
    """Let a cluster find the logits that a run has not, and keep them in it.

    Args:
        run: The run, under a path that the workers can read, too.
        pictures: At least one picture, likewise.
        columns: Some of `Run.columns`.
        address: ``local``, or the address of a scheduler.
        host: Gets progress.

    Raises:
        UserMistake: A column, a picture or the address is wrong.
        WorkerError: A shard ended several workers.
    """
    check_address(address)
    stored = tuple(answering(run, pictures, column) for column in columns)
    files = logit_files(run, pictures, stored)
    absent = tuple(column for column in stored if not files[column].is_file())
    shards = [shard for column in absent for shard in _shards(run, column, pictures)]
    if shards:
        with connect(address, host.report) as client:
            _keep_all(run, shards, client, host)
    compute_logits(run, pictures, columns, host)
    for column in absent:
        _drop_shards(run, column, {picture.sha256 for picture in pictures})


Shard = tuple[str, tuple[Picture, ...]]


def _shards(run: Run, column: str, pictures: tuple[Picture, ...]) -> list[Shard]:
    """Pictures whose answers are not known yet, each content once, in parts."""
    stored = KnownRows(run, column)
    waiting = {p.sha256: p for p in pictures if stored.of(p.sha256) is None}
    left = tuple(waiting.values())
    return [(column, left[start : start + SHARD]) for start in range(0, len(left), SHARD)]


def _keep_all(run: Run, shards: list[Shard], client: Client, host: Host) -> None:
    total = sum(len(part) for _, part in shards)
    stage = f"Showing pictures to {len({column for column, _ in shards})} models by shards"
    host.report(Progress(stage, 0, total))
    done = 0
    folder = str(run.folder.absolute())
    asked = [
        (folder, column, tuple(replace(p, path=p.path.absolute()) for p in part))
        for column, part in shards
    ]
    for position, rows in call_each(client, shard_answers, asked):
        column, part = shards[position]
        _keep(run, column, part, rows)
        done += len(part)
        host.report(Progress(stage, done, total))


def shard_answers(folder: str, column: str, pictures: tuple[Picture, ...]) -> FloatArray:
    """Run in a worker of the cluster: the logits of one column on some pictures.

    Args:
        folder: The run's.
        column: One of `Run.columns`.
        pictures: The pictures.

    Returns:
        Shape (pictures, classes), float32.

    Raises:
        PictureError: A picture cannot be decoded.
        EngineError: The model cannot be loaded.
    """
    from engine.runs.runners import column_runner

    run = Run.open(folder)
    fitted = FittedPictures(run.manifest.preprocess, {picture.sha256 for picture in pictures})
    with column_runner(run, column, 1) as runner:
        return np.concatenate([runner.infer(fitted.input_of(p)[None]) for p in pictures])


def _shard_folder(run: Run, column: str, part: tuple[Picture, ...]) -> Path:
    # One folder a column as well: columns may lack different pictures, or end at different times.
    stem = file_name(run, column).removesuffix(".npy")
    return run.folder / LOGITS / f"{_PREFIX}{digest_of(part)[:20]}-{stem}"


def _drop_shards(run: Run, column: str, whole: set[str]) -> None:
    """Delete shards of which every row is in a whole set by now."""
    stem = file_name(run, column).removesuffix(".npy")
    for index in (run.folder / LOGITS).glob(f"{_PREFIX}*-{stem}/{INDEX}"):
        if whole.issuperset(msgspec.json.decode(index.read_bytes(), type=list[str])):
            shutil.rmtree(index.parent, ignore_errors=True)


def _keep(run: Run, column: str, part: tuple[Picture, ...], rows: FloatArray) -> None:
    shape = (len(part), run.manifest.model.classes)
    if rows.shape != shape or rows.dtype != np.float32:
        raise EngineError(
            f"Taking a shard of {column}",
            got=f"{rows.dtype} of shape {rows.shape}",
            expected=f"float32 of shape {shape}",
            todo="Check that the workers run this version of Quantization Lab.",
        )
    folder = _shard_folder(run, column, part)
    folder.mkdir(parents=True, exist_ok=True)
    write_index(folder, [picture.sha256 for picture in part])
    file = folder / file_name(run, column)
    content = io.BytesIO()
    np.save(content, rows)
    write_whole(file, content.getvalue())
