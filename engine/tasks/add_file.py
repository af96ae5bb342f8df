"""Files from elsewhere: a TFLite file of another tool becomes one more column of a run.

The file is tried in a worker first, since a malformed one can kill or hang its process. Then it
is copied into the run, so that every page finds it again until it is removed.
"""

from __future__ import annotations

import resource
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.comparison.comparison import compare
from engine.core.checksums import digest_of_file
from engine.core.errors import ConversionError, FileError, JobCancelled, WorkerDied, first_line
from engine.core.file_types import kind_of
from engine.core.files import sync, translate_disk_errors
from engine.core.limits import LIMITS
from engine.core.locks import exclusive_lock
from engine.core.system import physical_bytes
from engine.core.types import Fault, FloatArray, Layout, Progress, Report
from engine.images.preprocess import PreprocessSpec
from engine.networks.runners.base import Runner, alone_and_beside, depends_on_batch
from engine.networks.runners.tflite import TfliteRunner
from engine.quantization.recipes import FLOAT32
from engine.runs.external_files import _put, check_name, find_external
from engine.runs.manifest import CHECKED, AddedFile
from engine.runs.run import ALSO, WORK, Run
from engine.tflite.artifact import Artifact, TensorInfo, artifact_of
from engine.workers.process import Worker

if TYPE_CHECKING:
    from engine.workers.process import Host

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
    old = find_external(run, name)
    same = old is not None and old.variant == name and digest_of_file(file) == old.sha256
    if old is not None and same and old.file not in run.damaged():
        return run
    folder = run.folder / ALSO
    folder.mkdir(exist_ok=True)
    staged = folder / f".{name}.{secrets.token_hex(8)}.tflite"
    try:
        with translate_disk_errors(f"Adding {name}"):
            shutil.copyfile(file, staged)
            sync(staged)
        added = AddedFile(
            artifact=_try_in_worker(run, name, staged, host),
            origin=origin or file.name,
            added_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        with translate_disk_errors(f"Adding {name}"), exclusive_lock(folder):
            _put(run.folder, added, staged)
    finally:
        staged.unlink(missing_ok=True)
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
            return host.adopt(worker).run(run_inspect, request, on_progress)
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


EDGE_TYPES = ("float32", "int8", "uint8", "int16")
_BACKGROUND = 1
_EXPORT_AGAIN = "Export it again that way, or leave it out."


def run_inspect(request: InspectRequest, report: Report) -> Artifact:
    """Read the identity card of a file, check its edges against the run, and run it once.

    Its identity card has the layout found from the input's shape.

    Raises:
        FileError: It is no TFLite file, or not one that can be compared with this run.
    """
    report(Progress(TRYING, 0, 1))
    _limit_memory()
    run = Run.open(request.run)
    manifest = run.manifest
    stage, file = f"Adding {request.name}", Path(request.file)
    try:
        card = artifact_of(file, variant=request.name, layout="NHWC")
    except Exception as error:  # the schema's reader raises nearly anything on damaged files
        raise FileError(
            stage,
            got="a damaged file, whose tables do not hang together",
            expected="a whole .tflite file",
            todo="Copy or export it again, or leave it out.",
        ) from error
    _check_operators(stage, card)
    layout = _check_edges(stage, card, manifest.preprocess, manifest.model.classes)
    checked = _check_inputs(run)
    with _enter(stage, TfliteRunner(file, layout=layout)) as runner:
        alone, together = alone_and_beside(runner, manifest.preprocess.of_noise())
        logits = None if checked is None else runner.infer(checked)
    classes = alone.shape[1]
    _demand_classes(stage, classes, (classes,), manifest.model.classes)
    card = replace(card, fault=None if logits is None else _fault(run, request.name, logits))
    # Named by content, so that a stale record of a replaced file does not open the new one.
    target = f"{ALSO}/{request.name}-{card.sha256[:12]}.tflite"
    depends = depends_on_batch(alone, together)
    return replace(card, file=target, layout=layout, depends_on_batch=depends)


def _limit_memory() -> None:
    """Let a damaged shape fail an allocation here instead of filling the machine's memory."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = min(physical_bytes() * 3 // 4, LIMITS.trial_bytes)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _check_operators(stage: str, card: Artifact) -> None:
    if card.select_tf:
        raise FileError(
            stage,
            got=f"SELECT_TF operators ({', '.join(card.select_tf)}), which LiteRT does not run",
            expected="TFLite's built-in operators",
            todo=_EXPORT_AGAIN,
        )


def _check_edges(stage: str, card: Artifact, preprocess: PreprocessSpec, classes: int) -> Layout:
    size = f"{preprocess.height} × {preprocess.width}"
    if len(card.inputs) != 1 or len(card.outputs) != 1:
        raise FileError(
            stage,
            got=f"{len(card.inputs)} inputs and {len(card.outputs)} outputs",
            expected="one picture in, one row of logits out",
            todo=_EXPORT_AGAIN,
        )
    (picture,), (logits,) = card.inputs, card.outputs
    for side, tensor in (("input", picture), ("output", logits)):
        _check_type(stage, side, tensor)
    # A picture of 3 × 3 would fit both; files made for phones are NHWC.
    layouts: dict[Layout, list[int]] = {
        "NHWC": [preprocess.height, preprocess.width, preprocess.channels],
        "NCHW": [preprocess.channels, preprocess.height, preprocess.width],
    }
    fitting = (name for name, shape in layouts.items() if shape == list(picture.shape[1:]))
    layout = next(fitting, None)
    if layout is None:
        raise FileError(
            stage,
            got=f"an input of shape {picture.shape}",
            expected=f"a picture of {size} pixels in {preprocess.channel_order}, NHWC or NCHW, as "
            "the run has",
            todo="Compare it in a run of its own input size (--input-size), or export it again.",
        )
    _check_classes(stage, logits, picture.batch, classes)
    return layout


def _check_type(stage: str, side: str, tensor: TensorInfo) -> None:
    got = tensor.dtype
    if got in EDGE_TYPES and (got == "float32" or tensor.scale is not None):
        return
    raise FileError(
        stage,
        got=f"an {side} of type {got}" + (" without a scale" if got in EDGE_TYPES else ""),
        expected=f"float32, or {', '.join(EDGE_TYPES[1:])} with one scale",
        todo=_EXPORT_AGAIN,
    )


def _check_classes(stage: str, logits: TensorInfo, batch: int, classes: int) -> None:
    count = int(np.prod([size for size in logits.shape if size != -1], dtype=np.int64))
    if batch > 1 and logits.shape[:1] != (batch,):
        raise FileError(
            stage,
            got=f"an output of shape {logits.shape} for {batch} pictures at once",
            expected=f"a row of {classes} logits for each picture",
            todo=_EXPORT_AGAIN,
        )
    _demand_classes(stage, count // batch, logits.shape, classes)


def _demand_classes(stage: str, count: int, shape: tuple[int, ...], classes: int) -> None:
    if count == classes:
        return
    background = count == classes + _BACKGROUND
    raise FileError(
        stage,
        got=f"{count} outputs {shape}",
        expected=f"{classes}, one for each class of the run",
        todo="One more output is often a background class; cut it off before the export."
        if background
        else "Compare it in a run of a model with the same classes.",
    )


@contextmanager
def _enter(stage: str, runner: Runner) -> Iterator[Runner]:
    """Enter a runner of the file; raise its failures as errors of the file."""
    try:
        with runner:
            yield runner
    except (ConversionError, RuntimeError, ValueError, MemoryError) as error:
        why = error.got if isinstance(error, ConversionError) else first_line(error)
        raise FileError(
            stage,
            got=f"a failure when it was run on a picture: {why}",
            expected="a file that LiteRT runs",
            todo="Try it with the tool that made it; leave it out if it does not run there.",
        ) from error


def _check_inputs(run: Run) -> FloatArray | None:
    """Pictures that the conversion was checked on, as input; None where an older run has none."""
    exact, fitted = (run.folder / WORK / f"{stem}.npy" for stem in (FLOAT32.name, CHECKED))
    if not (exact.is_file() and fitted.is_file()):
        return None  # comparing judges the file
    return np.stack([run.manifest.preprocess.normalized(p) for p in np.load(fitted)])


def _fault(run: Run, name: str, logits: FloatArray) -> Fault | None:
    """Find what makes the file's logits of those pictures useless."""
    compared = compare(
        run=run.folder.name,
        reference_name=FLOAT32.name,
        logits={FLOAT32.name: np.load(run.folder / WORK / f"{FLOAT32.name}.npy"), name: logits},
        pictures=[str(row) for row in range(len(logits))],
        added=[name],
    )
    return compared.variant(name).fault


TRYING = "Trying the file on a picture"
"""Stage that a worker reports when it begins to read a file from elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectRequest:
    """Read a TFLite file from elsewhere and try it on a picture.

    Attributes:
        run: Run folder that it shall be compared in.
        name: What to call it.
        file: Its path.
    """

    run: str
    name: str
    file: str
