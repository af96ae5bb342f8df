"""The functions of ``import engine`` that ask where the files of a run work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.api.conversion import PathLike, ignore, open_run
from engine.runs.run import Run
from engine.tasks.targets import ask_targets
from engine.workers.process import Foreground

if TYPE_CHECKING:
    from engine.core.types import OnProgress
    from engine.portability.records import TargetMatrix


def targets(
    run: Run | PathLike,
    *,
    targets: Iterable[str] = (),
    variants: Iterable[str] = (),
    on_progress: OnProgress = ignore,
) -> TargetMatrix:
    """Ask where the files of a run work, and what they need there.

    Real tools are asked, each in a process of its own; answers are kept in the run, by the content
    of the file and the version of the tool: nothing is asked twice. A tool that is not installed is
    left out with the sentence how to get it.

    Args:
        run: A run, or its folder.
        targets: Some of ``cpu``, ``microcontroller``, ``ethos-u55-128``, ``ethos-u55-256``,
            ``ethos-u65-256``, ``ethos-u65-512``, ``ethos-u85-256``, ``edge-tpu``, ``android-gpu``
            and ``old-runtimes``; all where there are none.
        variants: Which files; all of the run when empty.
        on_progress: Called for every step.

    Returns:
        One answer a variant and target: whether it runs whole, in part or not at all, which
        operators stay behind, and its memory in bytes and times in milliseconds, each with how it
        came (measured, estimated, by rule) and by what; see its ``of``, ``to_frame``, ``to_dict``.

    Raises:
        UserMistake: A name is wrong, or the run cannot be read.
        WorkerError: The worker process could not be started.
    """
    return ask_targets(
        open_run(run), Foreground(on_progress), names=targets, variants=tuple(variants)
    )
