"""Stored results of a run: logits, timings and layer errors.

Logits are ``RUN/logits/<pictures>/<column>-<model and versions>.npy``, one row a picture.

A folder belongs to one set of pictures in one order; ``pictures.json`` in it lists their digests,
so that a set that shares pictures with an earlier one copies those rows instead of running a model.

The original of a run that was made from a network of a person's process is that network where it
answered every picture of a set; its rows stand under `NETWORK`. Else it is the ONNX file for all of
them: rows of the two are never mixed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from engine.comparison.latency import Latency
from engine.core.checksums import (
    find_record,
    is_verified,
    read_verified,
    require_verified,
    write_record,
    write_verified,
)
from engine.core.errors import OptionError, require_range
from engine.core.locks import exclusive_lock
from engine.core.parity import hop_errors
from engine.core.types import ORIGINAL, FloatArray, Progress
from engine.images.cache import FittedPictures
from engine.images.pictures import Picture, digest_of
from engine.networks.given_network import in_float32
from engine.networks.network_outputs import TriedNetwork, try_network
from engine.networks.runners.base import one_by_one
from engine.networks.runners.pytorch import TorchRunner
from engine.runs.integrity import quarantine
from engine.runs.manifest import CHECKED, PYTORCH, predictor_digest
from engine.runs.run import LATENCY, LAYERS, LOGITS, ONNX_COLUMN, WORK, Run
from engine.workers.process import Host

if TYPE_CHECKING:
    import torch

INDEX = "pictures.json"
NETWORK = "network"
"""Name of the rows of the network in a person's process."""


def logit_files(
    run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...]
) -> dict[str, Path]:
    """Name the files of the logits of columns on a set of images; they need not exist.

    Columns are some of `Run.columns`, or `NETWORK`.

    Raises:
        OptionError: One is no column of the run.
    """
    run.check_columns(tuple(column for column in columns if column != NETWORK))
    folder = run.folder / LOGITS / digest_of(pictures)[:20]
    return {column: folder / file_name(run, column) for column in columns}


def missing_logits(run: Run, files: Mapping[str, Path]) -> tuple[str, ...]:
    """List the columns of `logit_files` without logits; corrupted files go into quarantine."""
    missing = []
    for column, file in files.items():
        if is_verified(file):
            continue
        missing.append(column)
        if file.exists():
            quarantine(run.folder, file.relative_to(run.folder).as_posix())
    return tuple(missing)


def file_name(run: Run, column: str) -> str:
    """Name the file of the logits of a column in every set of images.

    It changes with the model, and with what decodes pictures and runs models: after an upgrade the
    rows of a column would be of two versions otherwise.
    """
    ours = column in {ORIGINAL, ONNX_COLUMN, NETWORK}
    model = run.manifest.model.weights_sha256 if ours else run.artifact(column).sha256
    return f"{column}-{predictor_digest(model)[:12]}.npy"


def write_index(folder: Path, digests: Sequence[str]) -> None:
    """Write which images the rows of a set are of."""
    write_record(folder / INDEX, digests)


def answering(run: Run, pictures: tuple[Picture, ...], column: str) -> str:
    """Name the rows that stand for a column on a set of images.

    Returns:
        `NETWORK` for the original where the network it was made from has rows of all of them, else
        the column.
    """
    if column != ORIGINAL or run.manifest.model.weights != "network":
        return column
    return NETWORK if _count_stored(run, pictures) == len(pictures) else column


def _count_stored(run: Run, pictures: tuple[Picture, ...]) -> int:
    stored = KnownRows(run, NETWORK)
    return sum(stored.of(picture.sha256) is not None for picture in pictures)


def original_note(run: Run, pictures: tuple[Picture, ...]) -> str | None:
    """Explain which model is the original of a run made from a network; None for other runs."""
    if run.manifest.model.weights != "network":
        return None
    count = _count_stored(run, pictures)
    if count == len(pictures):
        return "The original's logits are the network's own, computed by PyTorch where it was."
    return (
        "The original's logits are ONNX Runtime's on the file that was exported from the network: "
        f"the network's own are stored for {count} of these {len(pictures)} pictures. To have them "
        "for all, compare with network=network in Python."
    )


def keep_rows(run: Run, name: str, pictures: Sequence[Picture], rows: FloatArray) -> None:
    """Store rows, shape (images, classes), of different images for other sets to copy from."""
    folder = run.folder / LOGITS / digest_of(tuple(pictures))[:20]
    content = io.BytesIO()
    np.save(content, rows.astype(np.float32, copy=False))
    write_verified(folder / file_name(run, name), content.getvalue())
    write_index(folder, [picture.sha256 for picture in pictures])


class KnownRows:
    """Rows of a column, one of `Run.columns` or `NETWORK`, that earlier sets of images hold."""

    def __init__(self, run: Run, column: str) -> None:
        self._rows: dict[str, tuple[FloatArray, int]] = {}
        name = file_name(run, column)
        for index in (run.folder / LOGITS).glob(f"*/{INDEX}"):
            try:
                digests = msgspec.json.decode(read_verified(index), type=list[str])
                rows = np.load(require_verified(index.with_name(name)), mmap_mode="r")
            except (OSError, ValueError, msgspec.DecodeError):
                continue
            if rows.shape == (len(digests), run.manifest.model.classes):
                self._rows |= {digest: (rows, row) for row, digest in enumerate(digests)}

    def of(self, digest: str) -> FloatArray | None:
        """Find the logits of an image by the SHA-256 of its file, shape (classes,), or None."""
        rows, row = self._rows.get(digest, (None, 0))
        return None if rows is None else np.asarray(rows[row])


def spread_pictures(pictures: tuple[Picture, ...], count: int) -> tuple[Picture, ...]:
    """Choose the images to measure with: at equal distances, since folders are sorted by motif.

    Raises:
        OptionError: The count is less than 1.
    """
    require_range("Measuring layer errors", count, "pictures", 1)
    if count >= len(pictures):
        return pictures
    return tuple(pictures[step * len(pictures) // count] for step in range(count))


def layers_file(run: Run, variant: str, pictures: tuple[Picture, ...]) -> Path:
    """Name the file of the layer errors of a variant on a set of images.

    Raises:
        OptionError: The run has no such variant.
    """
    card = run.artifact(variant)
    name = f"{variant}-{predictor_digest(card.sha256)[:12]}-{digest_of(pictures)[:12]}.json"
    return run.folder / LAYERS / name


def delete_timings(run: Path, variant: str) -> None:
    """Delete the timings of a variant from a run folder, of all machines and threads.

    Raises:
        StorageError: The disk refuses.
    """
    if not (run / LATENCY).is_dir():
        return
    with exclusive_lock(run / LATENCY):
        for file in (run / LATENCY).glob("threads-*.json"):
            timed = find_record(file, Latency)
            if timed is not None:
                entries = tuple(entry for entry in timed.entries if entry.variant != variant)
                write_record(file, replace(timed, entries=entries))


def load_latency(run: Run, threads: int = 1) -> Latency | None:
    """Load the timings of a run with that many threads on the machine that timed last, or None."""
    return find_record(latency_file(run, threads), Latency)


def load_timings(run: Run) -> tuple[Latency, ...]:
    """Load the last timings of a run for each number of threads, fewest first."""
    counts = sorted(
        int(digits)
        for file in (run.folder / LATENCY).glob("threads-*.json")
        if (digits := file.stem.removeprefix("threads-")).isdigit()
    )
    timings = (load_latency(run, count) for count in counts)
    return tuple(timed for timed in timings if timed is not None)


def latency_shares(run: Run, variant: str) -> dict[int, float]:
    """Compute the share of each operator, by its index, in a variant's last one-thread timings.

    Returns:
        0 to 1 for each operator in LiteRT's profile; empty where none was taken.
    """
    timed = load_latency(run)
    entry = None if timed is None else timed.of(variant)
    times = () if entry is None else entry.operators
    whole = sum(time.microseconds for time in times)
    return {
        time.index: time.microseconds / whole
        for time in times
        if time.index is not None and whole > 0
    }


def latency_file(run: Run, threads: int) -> Path:
    """Name the file of the timings of a run with that many threads."""
    return run.folder / LATENCY / f"threads-{threads}.json"


SAME_NETWORK = 1e-4
"""Largest difference of check logits, relative to the largest, that other threads or another
version of PyTorch make."""


def keep_own_logits(
    run: Run, network: torch.nn.Module, pictures: tuple[Picture, ...], host: Host
) -> None:
    """Store the logits of a network of this process in the run that was made from it.

    Args:
        run: The run.
        network: As `given_network` gives it.
        pictures: The images; those with stored logits are left out.
        host: Gets progress.

    Raises:
        OptionError: The run was made from something else.
        PictureError: A picture cannot be decoded.
    """
    stage = f"Taking the network's own logits into the run {run.folder.name}"
    spec, name = run.manifest.preprocess, run.manifest.model.name
    if run.manifest.model.weights != "network":
        raise OptionError(
            stage,
            got=f"a network for a run of {name} that was made without one",
            expected="a run that engine.convert(network) made",
            todo="Leave the network out.",
        )
    stored = KnownRows(run, NETWORK)
    waiting = {p.sha256: p for p in pictures if stored.of(p.sha256) is None}
    with in_float32(network) as float_network:
        tried = try_network(float_network, name, spec.height, spec.width)
        output = _same_output(run, tried)
        if output is None:
            raise OptionError(
                stage,
                got="a network that answers the run's check pictures otherwise than then",
                expected="the network that the run was made from, with the same weights",
                todo="Convert this network: engine.convert(network).",
            )
        if not waiting:
            return
        fitted, rows = FittedPictures(spec, set(waiting)), list[FloatArray]()
        with TorchRunner(partial(tried.with_output, output)) as runner:
            for picture in waiting.values():
                host.report(Progress(f"Showing pictures to {name}", len(rows), len(waiting)))
                rows.append(runner.infer(fitted.input_of(picture)[None])[0])
    keep_rows(run, NETWORK, tuple(waiting.values()), np.stack(rows))


def _same_output(run: Run, tried: TriedNetwork) -> str | None:
    """Find the output that gives the logits which the run was checked against."""
    expected = np.load(run.intact(f"{WORK}/{PYTORCH}.npy"))
    pictures = np.load(run.intact(f"{WORK}/{CHECKED}.npy"))
    inputs = np.stack([run.manifest.preprocess.normalized(picture) for picture in pictures])
    for output, value in tried.values.items():
        if value.size != run.manifest.model.classes or value.dtype.kind != "f":
            continue
        with TorchRunner(partial(tried.with_output, output)) as runner:
            if hop_errors(expected, one_by_one(runner, inputs))[1] <= SAME_NETWORK:
                return output
    return None
