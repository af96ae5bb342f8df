"""A run is made once, whoever asks for it, and its damaged files are made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.conversion.resume import (
    ConvertTask,
    being_made_in,
    charge_end_of_process,
    wanted_digest,
)
from engine.core.checksums import write_kept
from engine.core.errors import RunError, WorkerDied, WorkerKilled
from engine.core.files import told_of_the_disk
from engine.core.locks import in_use
from engine.core.store import folder, home, limits
from engine.quantization.recipes import recipes_named
from engine.runs.cleanup import make_room, mark_used
from engine.runs.integrity import DAMAGED, set_apart, set_run_apart
from engine.runs.request import ConvertRequest
from engine.runs.run import LOGS, ONNX_FILE, OWNERS, WORK, Run, existing_run
from engine.runs.staging import move_into_place, reserved

if TYPE_CHECKING:
    from engine.workers.host import Host


def make_run(request: ConvertRequest, key: str, calibration: str, place: Path, host: Host) -> Run:
    """Make a run, or what of it is missing or damaged.

    Whoever asks for the same run at the same time waits and takes what is made.

    Args:
        request: What to make, with absolute paths and full names of variants.
        key: See `engine.runs.request.run_key`.
        calibration: Digest of the calibration pictures.
        place: Where the run is, or shall be.
        host: Gets the worker and its progress.

    Returns:
        The finished run.

    Raises:
        RunError: The place holds another run, or something else.
        StorageError: The disk is full.
        EngineError: A stage failed.
    """
    with told_of_the_disk("Making the run"):
        known = _whole(request, key, calibration, place)
        if known is not None:
            return known
        with reserved(place, host.report) as side, in_use(place):
            known = _whole(request, key, calibration, place)
            if known is None:
                _make(request, key, calibration, place, side, host)
        run = Run.open(place)
        mark_used(run.folder)
        if _of_the_store(place):
            make_room(limits().runs_bytes, keep=place)
        return run


def _whole(request: ConvertRequest, key: str, calibration: str, place: Path) -> Run | None:
    """The run, if it has everything that is asked for, undamaged."""
    base = _base(place)
    if base is None:
        return None
    _check_same(base, request, key, calibration)
    missing = () if request.retry else (record.variant for record in base.missing)
    if not set(request.variants) <= {*base.variants, *missing} or _damaged(base, request):
        return None
    mark_used(base.folder)
    if not base.public:
        _note_owner(base.folder, request.owner)
    return base


def _base(place: Path) -> Run | None:
    """The run in a place; one of the store that cannot be read is set apart."""
    try:
        return existing_run(place)
    except RunError:
        if not _of_the_store(place):
            raise
        set_run_apart(place, folder(DAMAGED))
        return None


def _note_owner(run: Path, owner: str | None) -> None:
    if owner is not None:
        (run / OWNERS).mkdir(exist_ok=True)
        (run / OWNERS / owner).touch()


def _of_the_store(place: Path) -> bool:
    return place.parent == home() / "runs"


def _make(
    request: ConvertRequest, key: str, calibration: str, place: Path, side: Path, host: Host
) -> None:
    base = _base(place)
    number = 1
    if base is not None:
        number += len(list((place / LOGS).glob("*.log")))
        again = _damaged(base, request)
        for name in again:
            set_apart(place, name)
        if any(_is_essential(name) for name in again):
            request = replace(request, variants=_with_all(request, base, calibration))
            base = None
    wanted = wanted_digest(request, key, calibration, None if base is None else place)
    task = ConvertTask(
        request=request,
        key=key,
        side=str(side),
        base=None if base is None else str(place),
        wanted=wanted,
    )
    log = _run_workers(task, host)
    write_kept(side / LOGS / f"convert-{number}.log", log)
    if base is None or not base.public:
        _note_owner(side, request.owner)
    move_into_place(side, place)


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
                finished = worker.run("convert", task, bool, host.report)
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


def _damaged(base: Run, request: ConvertRequest) -> tuple[str, ...]:
    """Damaged files that have a part in what is asked for."""
    others = {card.file for card in base.artifacts if card.variant not in request.variants}
    wanted = [name for name in base.records if name not in others]
    return tuple(name for name in wanted if not base.sound(name))


def _is_essential(name: str) -> bool:
    """Whether every later stage is made from a file, or checked against it."""
    inside = name.startswith(f"{WORK}/") and not name.endswith(".tflite")
    return name == ONNX_FILE or inside


def _with_all(request: ConvertRequest, base: Run, calibration: str) -> tuple[str, ...]:
    """All variants of a run that is made anew, and those that are asked for."""
    known = base.manifest.calibration
    if known is not None and known.digest != calibration:
        raise RunError(
            "Making a damaged run again",
            got=f"other calibration pictures than those of the run in {base.folder}",
            expected="the same, since all of its variants have to be made again",
            todo="Delete the folder, or ask with the calibration that its manifest names.",
        )
    return tuple(recipe.name for recipe in recipes_named((*base.variants, *request.variants)))


def _check_same(base: Run, request: ConvertRequest, key: str, calibration: str) -> None:
    known = base.manifest.calibration
    calibrates = any(recipe.calibrated for recipe in recipes_named(request.variants))
    if base.manifest.key != key:
        different = (
            "another model, preprocessing, operator set, or version of Quantization Lab or its "
            "packages"
        )
    elif calibrates and known is not None and known.digest != calibration:
        different = "other calibration pictures"
    else:
        return
    raise RunError(
        "Adding to the run",
        got=f"a run with {different} in {base.folder}",
        expected="a run of the very same request, or an empty folder",
        todo="Choose another folder, or delete this one.",
    )
