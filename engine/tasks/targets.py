"""Ask targets about the files of a run, each once: answers are kept by content and tool.

A tool is asked in a worker process with the limits for files from elsewhere; one that ends its
process costs its own cell alone.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.comparison.records import MemoryUse
from engine.core.checksums import find_record, write_record
from engine.core.errors import (
    EngineError,
    JobCancelled,
    OptionError,
    PictureError,
    first_line,
)
from engine.core.formats import join_names
from engine.core.limits import LIMITS
from engine.core.locks import shared_lock
from engine.core.system import __version__, host_name
from engine.core.types import FloatArray, Progress, Report
from engine.images.cache import FittedPictures
from engine.images.pictures import DEFAULT_TARGETS_COUNT, Picture, digest_of
from engine.images.preprocess import in_layout
from engine.portability.catalog import choose_targets, has_tool, target_named, tool_version
from engine.portability.cpu import CPU
from engine.portability.records import (
    Answer,
    Cell,
    Question,
    Target,
    TargetMatrix,
    TargetTitle,
)
from engine.quantization.recipes import recipe_named
from engine.runs.manifest import CHECKED
from engine.runs.results import spread_pictures
from engine.runs.run import TARGETS, WORK, Run
from engine.workers.process import Host, Worker
from engine.workers.protocol import alone
from engine.workers.sandbox import graphics_devices

_NO_PICTURES = np.empty((0,), np.float32)
_NOT_YET = Answer(support="not_asked", reason="This was not asked yet.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRequest:
    """Ask a target about a file.

    Attributes:
        target: Its name.
        file: The TFLite file.
        run: Run folder; None where no pictures are to be shown.
        variant: Name of the file in the run.
        pictures: What to show; the run's check pictures where there are none.
    """

    target: str
    file: str
    run: str | None = None
    variant: str = ""
    pictures: tuple[Picture, ...] = ()


def run_target(request: TargetRequest, _: Report) -> Answer:
    """Ask a target, and make a sentence of whatever its tool raises."""
    target = target_named(request.target)
    pictures = _inputs_of(request) if target.answers else _NO_PICTURES
    with tempfile.TemporaryDirectory() as folder:
        try:
            return target.ask(Question(Path(request.file), pictures, Path(folder)))
        except EngineError as error:
            return Answer(support="no_answer", reason=f"{error.got}.", todo=error.todo)
        except Exception as error:
            # Readers of malformed files raise whatever they meet.
            return Answer(
                support="no_answer",
                reason=f"The file cannot be read ({type(error).__name__}: {first_line(error)}).",
                todo="Make the file again.",
            )


@alone
def run_timed_target(request: TargetRequest, report: Report) -> Answer:
    """Ask a target that takes timings."""
    return run_target(request, report)


def _inputs_of(request: TargetRequest) -> FloatArray:
    """Give pictures as inputs in the order of dimensions of the file."""
    if request.run is None:
        return _NO_PICTURES
    run = Run.open(request.run)
    checked, spec = run.folder / WORK / f"{CHECKED}.npy", run.manifest.preprocess
    if run.artifact(request.variant).inputs[0].batch != 1:
        return _NO_PICTURES
    if request.pictures:
        fitted = FittedPictures(spec, {picture.sha256 for picture in request.pictures})
        inputs = np.stack([fitted.input_of(picture) for picture in request.pictures])
    elif checked.is_file():
        inputs = np.stack([spec.normalized(picture) for picture in np.load(checked)])
    else:
        return _NO_PICTURES
    return in_layout(inputs, run.layout(request.variant))


def ask_targets(
    run: Run,
    host: Host,
    *,
    names: Iterable[str] = (),
    variants: tuple[str, ...] = (),
    pictures: tuple[Picture, ...] = (),
    count: int = DEFAULT_TARGETS_COUNT,
) -> TargetMatrix:
    """Ask targets about variants of a run; see `engine.targets`.

    Raises:
        OptionError: A name or the count is wrong.
        PictureError: A picture cannot be read.
        JobCancelled: Nobody wants it any more.
    """
    chosen, rows = choose_targets(names), variants or tuple(a.variant for a in run.artifacts)
    shown = spread_pictures(pictures, count)
    steps = [(run.artifact(row).variant, target) for row in rows for target in chosen]
    cells = []
    with shared_lock(run.folder), _Workers() as workers:
        for done, (row, target) in enumerate(steps):
            answer = stored_answer(run, row, target, shown)
            if answer is None:
                host.report(Progress(f"Asking {target.title} about {row}", done, len(steps)))
                answer = _ask(run, row, target, shown, host, workers)
            cells.append(Cell(row, target.name, answer))
    return _matrix(run, rows, chosen, cells)


def read_targets(run: Run) -> TargetMatrix | None:
    """Read the answers that a run keeps about all its files; None where there are none."""
    if not any((run.folder / TARGETS).glob("*.json")):
        return None
    return read_answers(run, ())


def read_answers(run: Run, names: Iterable[str]) -> TargetMatrix:
    """Read the answers of targets that a run keeps about all its files, asking none.

    Where a target was not asked about a file, the cell says so. Answers on whatever pictures
    count, those that came last first. All targets where none is named.

    Raises:
        OptionError: A name is wrong.
    """
    chosen, rows = choose_targets(names), tuple(artifact.variant for artifact in run.artifacts)
    cells = [
        Cell(row, target.name, _last_answer(run, row, target) or _NOT_YET)
        for row in rows
        for target in chosen
    ]
    return _matrix(run, rows, chosen, cells)


def is_asked(run: Run, pictures: tuple[Picture, ...], count: int = DEFAULT_TARGETS_COUNT) -> bool:
    """Return whether all targets answered about all files of a run, on these pictures."""
    shown = spread_pictures(pictures, count)
    return all(
        answer_file(run, artifact.variant, target, shown).is_file()
        for target in choose_targets(())
        if has_tool(target)
        for artifact in run.artifacts
    )


def read_memory(run: Run) -> dict[str, MemoryUse]:
    """Read what files of a run take on this machine's CPU, of those that were measured."""
    memory = {}
    for artifact in run.artifacts:
        answer = stored_answer(run, artifact.variant, target_named(CPU))
        if answer is None:
            continue
        peak, load = answer.figure("peak_memory"), answer.figure("load")
        if peak is not None and load is not None:
            memory[artifact.variant] = MemoryUse(peak.value, load.value, peak.by)
    return memory


def list_unmeasured(run: Run) -> tuple[str, ...]:
    """Name the variants of a run whose memory nobody asked for yet."""
    names = (artifact.variant for artifact in run.artifacts)
    return tuple(name for name in names if stored_answer(run, name, target_named(CPU)) is None)


def stored_answer(
    run: Run, variant: str, target: Target, pictures: tuple[Picture, ...] = ()
) -> Answer | None:
    """Read what a target answered about a variant; None where it was not asked yet.

    A target whose tool is absent is answered here: how to get it.
    """
    return _absent(target) or find_record(answer_file(run, variant, target, pictures), Answer)


def choose_variants(
    targets: Iterable[str], variants: tuple[str, ...] = ("all",)
) -> tuple[str, ...]:
    """Choose the variants to make for targets.

    Args:
        targets: Their names; none leaves the variants as they are.
        variants: What was asked for; ``all`` leaves the choice to the targets' own records.

    Returns:
        Names of recipes: of each target the one that suits it first.

    Raises:
        OptionError: A name is wrong, or a variant suits none of the targets.
    """
    names = tuple(targets)
    chosen = choose_targets(names) if names else ()
    # No target, or one that takes everything.
    if not chosen or not all(target.variants for target in chosen):
        return variants
    fit = tuple(dict.fromkeys(name for target in chosen for name in target.variants))
    optimized = [f"{name}_optimized" for name in fit if recipe_named(name).optimizable]
    given = tuple(name for name in variants if name != "all")
    for name in given:
        if recipe_named(name).plain.uncalibrated.name not in fit:
            raise OptionError(
                "Choosing the variants",
                got=f"{name} for {join_names([target.title for target in chosen])}",
                expected=f"one of {', '.join((*fit, *optimized))}",
                todo=f"Leave the variants out, and {fit[0]} is made; or leave the target out.",
            )
    first = [target.variants[0] for target in chosen] if given != variants else []
    return tuple(dict.fromkeys((*first, *given)))


def _last_answer(run: Run, variant: str, target: Target) -> Answer | None:
    """Read what a target answered last, on whatever pictures."""
    file = answer_file(run, variant, target, ())
    files = {path.stat().st_mtime_ns: path for path in file.parent.glob(f"{file.stem}*.json")}
    stored = (find_record(files[age], Answer) for age in sorted(files, reverse=True))
    return _absent(target) or next((answer for answer in stored if answer is not None), None)


def _absent(target: Target) -> Answer | None:
    if has_tool(target):
        return None
    return Answer(
        support="not_asked",
        reason=f"{target.package} is not installed, so nothing was asked.",
        todo=target.todo,
    )


def _ask(
    run: Run,
    variant: str,
    target: Target,
    pictures: tuple[Picture, ...],
    host: Host,
    workers: _Workers,
) -> Answer:
    request = TargetRequest(
        target=target.name,
        file=str(run.file(variant)),
        run=str(run.folder),
        variant=variant,
        pictures=pictures,
    )
    work = run_timed_target if target.timed else run_target
    worker = workers.living(graphics=target.graphics and bool(graphics_devices()))
    try:
        answer = host.adopt(worker).run(work, request, host.report)
    except (JobCancelled, PictureError):
        raise
    except EngineError as error:
        # Not kept: what ended the tool's process may pass.
        return Answer(support="no_answer", reason=f"{error.got}.", todo=error.todo)
    write_record(answer_file(run, variant, target, pictures), answer)
    return answer


def answer_file(run: Run, variant: str, target: Target, pictures: tuple[Picture, ...] = ()) -> Path:
    """Name the file of an answer: it changes with the file, the tool, our own code and pictures."""
    parts = [run.artifact(variant).sha256, __version__, tool_version(target), str(target.revision)]
    if target.here:
        parts.append(host_name())
    digest = hashlib.sha256(" ".join(parts).encode()).hexdigest()
    shown = f"-{digest_of(pictures)[:20]}" if pictures and target.answers else ""
    return run.folder / TARGETS / f"{target.name}-{digest[:20]}{shown}.json"


def _matrix(
    run: Run, rows: tuple[str, ...], chosen: tuple[Target, ...], cells: list[Cell]
) -> TargetMatrix:
    return TargetMatrix(
        run=run.folder.name,
        variants=rows,
        targets=tuple(TargetTitle(t.name, t.title, t.how, t.by, t.integers) for t in chosen),
        sizes={row: run.sizes[row] for row in rows},
        cells=tuple(cells),
    )


class _Workers:
    """Workers for files from elsewhere, started when needed, and again where one died.

    One may reach this machine's GPUs; files that no GPU is asked about do not meet it.
    """

    def __init__(self) -> None:
        self._workers: dict[bool, Worker] = {}

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()

    def living(self, *, graphics: bool) -> Worker:
        """One that can take a task."""
        worker = self._workers.get(graphics)
        if worker is None or not worker.alive:
            if worker is not None:
                worker.close()
            worker = Worker(LIMITS.foreign_silent_seconds, graphics=graphics)
            self._workers[graphics] = worker
        return worker
