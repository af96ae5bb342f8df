"""The functions of ``import engine`` that ask where the files of a run work."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.api.conversion import PathLike, ignore, open_run, pictures_of
from engine.core.files import write_bytes
from engine.images.pictures import DEFAULT_TARGETS_COUNT
from engine.runs.run import Run
from engine.workers.process import Foreground

if TYPE_CHECKING:
    from engine.core.types import OnProgress
    from engine.deployment.phone import PhoneBenchmark
    from engine.portability.records import TargetMatrix


def targets(
    run: Run | PathLike,
    *,
    targets: Iterable[str] = (),
    variants: Iterable[str] = (),
    images: PathLike | Iterable[PathLike] = (),
    count: int = DEFAULT_TARGETS_COUNT,
    on_progress: OnProgress = ignore,
) -> TargetMatrix:
    """Ask where the files of a run work, and what they need there.

    Real tools are asked, each in a process of its own; answers are kept in the run, by the content
    of the file and the version of the tool: nothing is asked twice. A tool that is not installed is
    left out with the sentence how to get it.

    Args:
        run: A run, or its folder.
        targets: Some of ``cpu``, ``gpu``, ``microcontroller``, ``ethos-u55-128``,
            ``ethos-u55-256``, ``ethos-u65-256``, ``ethos-u65-512``, ``ethos-u85-256``,
            ``edge-tpu``, ``android-gpu`` and ``old-runtimes``; all where there are none.
        variants: Which files; all of the run when empty.
        images: Folder or files of pictures to show to targets that compute answers; the four that
            the conversion was checked on when empty.
        count: How many of them, at equal distances; each takes a microcontroller's kernels half
            a second here.
        on_progress: Called for every step.

    Returns:
        One answer a variant and target: whether it runs whole, in part or not at all, which
        operators stay behind, and its memory in bytes and times in milliseconds, each with how it
        came (measured, estimated, by rule) and by what; see its ``of``, ``to_frame``, ``to_dict``.

    Raises:
        UserMistake: A name is wrong, or the run cannot be read.
        WorkerError: The worker process could not be started.
    """
    from engine.tasks.targets import ask_targets

    return ask_targets(
        open_run(run),
        Foreground(on_progress),
        names=targets,
        variants=tuple(variants),
        pictures=pictures_of(images) if images else (),
        count=count,
    )


def time_on_phone(
    run: Run | PathLike,
    *,
    variants: Iterable[str] = (),
    benchmark_model: PathLike | None = None,
    serial: str | None = None,
    threads: int = 1,
    on_progress: OnProgress = ignore,
) -> tuple[PhoneBenchmark, ...]:
    """Time files of a run on the phone that adb sees, and keep the timings in the run.

    The program and a file are pushed to a folder of their own, run there, and removed again.

    Args:
        run: A run, or its folder.
        variants: Which files; all of the run when empty.
        benchmark_model: LiteRT's program of that name, built for the phone; None takes the file
            that ``$QLAB_BENCHMARK_MODEL`` names.
        serial: adb's name of the phone, where it sees several.
        threads: Threads to give the program, as `latency` has them here.
        on_progress: Called for every step.

    Returns:
        One timing a variant: mean and median of a call in milliseconds, and by how many bytes the
        program's memory grew.

    Raises:
        UserMistake: A name is wrong, or adb, the program or one phone is missing.
        ConversionError: adb or the phone failed midway.
        WorkerError: The worker process failed.
    """
    from engine.deployment import adb

    opened = open_run(run)
    return adb.time_on_phone(
        opened,
        tuple(variants) or tuple(artifact.variant for artifact in opened.artifacts),
        Foreground(on_progress),
        benchmark_model=None if benchmark_model is None else Path(benchmark_model),
        serial=serial,
        threads=threads,
    )


def compile_for(
    run: Run | PathLike,
    variant: str,
    target: str,
    out: PathLike | None = None,
    *,
    on_progress: OnProgress = ignore,
) -> Path:
    """Compile a variant for a target by the target's own compiler, to take the file home.

    Args:
        run: A run, or its folder.
        variant: One of its variants, or a file of another tool that was added.
        target: One of ``ethos-u55-128``, ``ethos-u55-256``, ``ethos-u65-256``, ``ethos-u65-512``
            and ``ethos-u85-256``, which Vela compiles for.
        out: The file to write; None leaves it in the run, which keeps it in any case.
        on_progress: Called for every step.

    Returns:
        Where the compiled file is.

    Raises:
        UserMistake: A name is wrong, nothing is compiled for this target, the compiler is not
            installed, or ``out`` cannot be written.
        ConversionError: The compiler failed, or leaves every operator to the processor.
        WorkerError: The worker process failed.
    """
    from engine.tasks.compile_for_target import compile_for_target

    file = compile_for_target(open_run(run), variant, target, Foreground(on_progress))
    if out is None:
        return file
    write_bytes(file.read_bytes(), os.fspath(out))
    return Path(out)
