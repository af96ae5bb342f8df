"""Convert a model into a run, and find conversions that were interrupted.

The same request that several ask for at once is converted once; damaged files of a run are made
again. The conversion itself happens in a worker process (`run_convert`).
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engine.conversion.onnx_from_torch import check_opset
from engine.conversion.resume import (
    ConvertTask,
    being_made_in,
    charge_end_of_process,
    digest_of_inputs,
)
from engine.core.checksums import find_record, write_record, write_verified
from engine.core.errors import OptionError, RunError, WorkerDied, WorkerKilled
from engine.core.files import translate_disk_errors
from engine.core.locks import exclusive_lock, shared_lock, try_lock
from engine.core.store import CALIBRATION_IMAGES, folder, home, limits
from engine.core.types import Report
from engine.networks.source import ModelChoice
from engine.quantization.calibration import representative_dataset
from engine.quantization.recipes import recipes_named
from engine.runs.cleanup import last_used, make_room, mark_used
from engine.runs.integrity import DAMAGED, quarantine, quarantine_run
from engine.runs.request import ConvertRequest, run_key
from engine.runs.run import LOGS, ONNX_FILE, OWNERS, WORK, Run, existing_run
from engine.runs.staging import move_into_place, staging_folder
from engine.workers.process import Host


def convert_request(request: ConvertRequest, host: Host) -> Run:
    """Convert a model, or add to its run what is missing.

    Args:
        request: What to make, and from what.
        host: Gets the worker and its progress.

    Returns:
        The finished run.

    Raises:
        UserMistake: Something in the request has to be changed by the person.
        ConversionError: A stage failed.
        WorkerError: The worker process failed.
    """
    recipes = recipes_named(request.variants)
    _check_opset(request)
    calibration = representative_dataset(request.calibration, CALIBRATION_IMAGES).info
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
        target = folder("runs") / name
    else:
        target = Path(request.out).absolute()
    return make_run(request, key, calibration.digest, target, host)


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


def make_run(request: ConvertRequest, key: str, calibration: str, target: Path, host: Host) -> Run:
    """Make a run, or what of it is missing or damaged.

    Concurrent requests for the same run share one build.

    Args:
        request: What to make, with absolute paths and full names of variants.
        key: See `engine.runs.request.run_key`.
        calibration: Digest of the calibration pictures.
        target: Where the run is, or shall be.
        host: Gets the worker and its progress.

    Returns:
        The finished run.

    Raises:
        RunError: The place holds another run, or something else.
        StorageError: The disk is full.
        EngineError: A stage failed.
    """
    with translate_disk_errors("Making the run"):
        complete = _whole(request, key, calibration, target)
        if complete is not None:
            return complete
        with staging_folder(target, host.report) as side, shared_lock(target):
            complete = _whole(request, key, calibration, target)
            if complete is None:
                _make(request, key, calibration, target, side, host)
        run = Run.open(target)
        mark_used(run.folder)
        if _of_the_store(target):
            make_room(limits().runs_bytes, keep=target)
        return run


def _whole(request: ConvertRequest, key: str, calibration: str, target: Path) -> Run | None:
    """Open the run if it has everything that is asked for, and no corrupted file."""
    base = _base(target)
    if base is None:
        return None
    _check_same(base, request, key, calibration)
    missing = () if request.retry else (record.variant for record in base.missing)
    if not set(request.variants) <= {*base.variants, *missing} or _list_corrupted(base, request):
        return None
    mark_used(base.folder)
    if not base.public:
        _note_owner(base.folder, request.owner)
    return base


def _base(target: Path) -> Run | None:
    """Open the run; quarantine one of the store that cannot be read."""
    try:
        return existing_run(target)
    except RunError:
        if not _of_the_store(target):
            raise
        quarantine_run(target, folder(DAMAGED))
        return None


def _note_owner(run: Path, owner: str | None) -> None:
    if owner is not None:
        (run / OWNERS).mkdir(exist_ok=True)
        (run / OWNERS / owner).touch()


def _of_the_store(target: Path) -> bool:
    return target.parent == home() / "runs"


def _make(
    request: ConvertRequest, key: str, calibration: str, target: Path, side: Path, host: Host
) -> None:
    base = _base(target)
    number = 1
    if base is not None:
        number += len(list((target / LOGS).glob("*.log")))
        again = _list_corrupted(base, request)
        for name in again:
            quarantine(target, name)
        if any(_is_essential(name) for name in again):
            request = replace(request, variants=_with_all(request, base, calibration))
            base = None
    wanted = digest_of_inputs(request, key, calibration, None if base is None else target)
    task = ConvertTask(
        request=request,
        key=key,
        side=str(side),
        base=None if base is None else str(target),
        wanted=wanted,
    )
    log = _run_workers(task, host)
    write_verified(side / LOGS / f"convert-{number}.log", log)
    if base is None or not base.public:
        _note_owner(side, request.owner)
    move_into_place(side, target)


def _run_workers(task: ConvertTask, host: Host) -> bytes:
    """Let workers do a task, one after the other, until it is done.

    Returns:
        What they and their libraries printed.

    Raises:
        EngineError: A stage failed, or a worker ended at one that all variants need.
    """
    side, finished, log, killed = Path(task.side), False, b"", set[str]()
    while not finished:
        with host.worker(task.request.lowering) as worker:
            try:
                finished = worker.run(run_convert, task, host.report)
            except WorkerDied as error:
                name = being_made_in(side)
                if name is None:
                    raise
                if isinstance(error, WorkerKilled) and name not in killed:
                    killed.add(name)  # perhaps by mistake, or for want of memory: once more
                else:
                    charge_end_of_process(side, error)
            finally:
                log += worker.log()
    return log


def _list_corrupted(base: Run, request: ConvertRequest) -> tuple[str, ...]:
    """Damaged files that have a part in what is asked for."""
    others = {card.file for card in base.artifacts if card.variant not in request.variants}
    wanted = [name for name in base.records if name not in others]
    return tuple(name for name in wanted if not base.sound(name))


def _is_essential(name: str) -> bool:
    """Whether every later stage is made from a file, or checked against it."""
    inside = name.startswith(f"{WORK}/") and not name.endswith(".tflite")
    return name == ONNX_FILE or inside


def _with_all(request: ConvertRequest, base: Run, calibration: str) -> tuple[str, ...]:
    """List all variants of a run that is made again, and those that are asked for."""
    recorded = base.manifest.calibration
    if recorded is not None and recorded.digest != calibration:
        raise RunError(
            "Making a damaged run again",
            got=f"other calibration pictures than those of the run in {base.folder}",
            expected="the same, since all of its variants have to be made again",
            todo="Delete the folder, or ask with the calibration that its manifest names.",
        )
    return tuple(recipe.name for recipe in recipes_named((*base.variants, *request.variants)))


def _check_same(base: Run, request: ConvertRequest, key: str, calibration: str) -> None:
    recorded = base.manifest.calibration
    calibrates = any(recipe.calibrated for recipe in recipes_named(request.variants))
    todo = "Choose another folder, or delete this one."
    if base.manifest.key != key:
        different = (
            "another model, preprocessing, operator set, or version of Quantization Lab or its "
            "packages"
        )
    elif calibrates and recorded is not None and recorded.digest != calibration:
        different = "other calibration pictures"
        choice = request.calibration
        if recorded.demo and (recorded.count, recorded.seed, None) == (
            choice.count,
            choice.seed,
            choice.folder,
        ):
            different = "the demo calibration of an older version of Quantization Lab"
            todo = "Convert the model again; that run has both."
    else:
        return
    raise RunError(
        "Adding to the run",
        got=f"a run with {different} in {base.folder}",
        expected="a run of the very same request, or an empty folder",
        todo=todo,
    )


def run_convert(task: ConvertTask, report: Report) -> bool:
    """Make the files of a run in its side folder; see `engine.conversion.build.Conversion.run`."""
    from engine.conversion.build import Conversion

    return Conversion(task, report).run()


_NOTE = "note.json"


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A conversion that somebody asked for.

    Attributes:
        owner: Who; see `pages.state.session.owner`.
        title: What a person calls it.
        request: What was asked for.
    """

    owner: str
    title: str
    request: ConvertRequest


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A conversion that ended with its process.

    Attributes:
        folder: Its note.
        work: What was asked for.
    """

    folder: Path
    work: UnderWay

    def forget(self) -> None:
        """Remove the note."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def write_note(work: UnderWay) -> Iterator[None]:
    """Keep a note in the store while the context lasts.

    Raises:
        StorageError: The disk is full.
    """
    note = folder("jobs") / secrets.token_hex(16)
    with exclusive_lock(note):
        try:
            write_record(note / _NOTE, work)
            yield
        finally:
            shutil.rmtree(note, ignore_errors=True)


def list_interrupted(owner: str) -> tuple[Interrupted, ...]:
    """Conversions of an owner whose process is gone; notes older than uploads are dropped."""
    ended = []
    oldest = time.time() - limits().uploads_seconds
    for note in sorted(folder("jobs").iterdir()):
        try:
            lock = try_lock(note)
        except OSError:  # no such locks on this disk: nobody can tell
            continue
        if lock is None:
            continue
        lock.release()
        work = find_record(note / _NOTE, UnderWay)
        if work is None or last_used(note) < oldest:
            shutil.rmtree(note, ignore_errors=True)
        elif work.owner == owner:
            ended.append(Interrupted(note, work))
    return tuple(ended)
