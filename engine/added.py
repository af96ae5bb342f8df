"""Files from elsewhere: a TFLite file of another tool becomes one more column of a run.

The file is tried in a worker first, since a malformed one can kill or hang its process. Then it
is copied into the run, so that every page finds it again until it is removed.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.errors import FileError, JobCancelled, WorkerDied
from engine.core.file_types import kind_of
from engine.core.files import sync, told_of_the_disk
from engine.core.limits import LIMITS
from engine.core.locks import alone_in
from engine.core.types import Progress
from engine.requests import TRYING, InspectRequest
from engine.runs.external_files import _named_alike, _put, check_name
from engine.runs.manifest import AddedFile
from engine.runs.run import ALSO, Run
from engine.tflite.artifact import Artifact
from engine.workers.process import Worker

if TYPE_CHECKING:
    from engine.workers.host import Host

TRIAL_SECONDS = 120.0
"""How long a file may take to be read and to answer for one picture."""


def add_file(run: Run, name: str, file: Path, host: Host, *, origin: str | None = None) -> Run:
    """Put a TFLite file beside the variants of a run.

    The same content under the same name is left as it is; other content takes its place, and
    the timings of the old one are dropped.

    Args:
        run: The run.
        name: What to call its column.
        file: The file; it is copied.
        host: Gets the worker and its progress.
        origin: Where it comes from, for people; by default the file's name.

    Returns:
        The run with the file.

    Raises:
        FileError: It cannot be compared in this run.
        OptionError: The name cannot be used.
        WorkerError: The work was cancelled.
    """
    check_name(name)
    _check_head(name, file)
    old = _named_alike(run, name)
    same = old is not None and old.variant == name and _digest(file) == old.sha256
    if old is not None and same and old.file not in run.damaged():
        return run
    place = run.folder / ALSO
    place.mkdir(exist_ok=True)
    aside = place / f".{name}.{secrets.token_hex(8)}.tflite"
    try:
        with told_of_the_disk(f"Adding {name}"):
            shutil.copyfile(file, aside)
            sync(aside)
        added = AddedFile(
            artifact=_try_in_worker(run, name, aside, host),
            origin=origin or file.name,
            added_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        with told_of_the_disk(f"Adding {name}"), alone_in(place):
            _put(run.folder, added, aside)
    finally:
        aside.unlink(missing_ok=True)
    return Run.open(run.folder)


def _check_head(name: str, file: Path) -> None:
    try:
        kind, size = kind_of(file), file.stat().st_size
    except OSError as error:
        raise FileError(
            f"Adding {name}",
            got=f"{file}, which cannot be read ({error.strerror})",
            expected="a .tflite file",
            todo="Check the path.",
        ) from error
    if kind.name != "tflite":
        raise FileError(
            f"Adding {name}",
            got=f"{file.name}, which does not begin like a TFLite file: {kind.words}",
            expected="a .tflite file",
            todo="Choose the file that the converter wrote.",
        )
    if size > LIMITS.model_bytes:
        raise FileError(
            f"Adding {name}",
            got=f"{size / 1e9:.2f} GB",
            expected=f"at most {LIMITS.model_bytes / 1e9:.2f} GB, as much as a TFLite file holds",
            todo="Check that it is a TFLite file.",
        )


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _try_in_worker(run: Run, name: str, file: Path, host: Host) -> Artifact:
    """Read and run the file in a worker, for a limited time."""
    late = threading.Event()
    request = InspectRequest(run=str(run.folder.absolute()), name=name, file=str(file.absolute()))
    with Worker() as worker:

        def give_up() -> None:
            late.set()
            worker.cancel()

        timer = threading.Timer(TRIAL_SECONDS, give_up)
        timer.daemon = True

        def on_progress(progress: Progress) -> None:
            host.report(progress)
            if progress.stage == TRYING:
                timer.start()

        try:
            return host.adopt(worker).run("inspect", request, Artifact, on_progress)
        except JobCancelled:
            if not late.is_set():
                raise
            raise _fatal(name, f"no answer within {TRIAL_SECONDS:.0f} s") from None
        except WorkerDied as error:
            raise _fatal(name, error.got) from error
        finally:
            timer.cancel()


def _fatal(name: str, got: str) -> FileError:
    return FileError(
        f"Adding {name}",
        got=f"{got}, when the file was tried in a process of its own",
        expected="a file that LiteRT reads and runs",
        todo="The file is damaged or too large for this machine. It was not added, and nothing "
        "else was harmed.",
    )
