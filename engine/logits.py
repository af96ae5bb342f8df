"""Stored logits: ``RUN/logits/<pictures>/<column>-<model and versions>.npy``, one row a picture.

A folder belongs to one set of pictures in one order; ``pictures.json`` in it lists their digests,
so that a set that shares pictures with an earlier one copies those rows instead of running a model.

The original of a run that was made from a network of a person's process is that network where it
answered every picture of a set; its rows stand under `NETWORK`. Else it is the ONNX file for all of
them: rows of the two are never mixed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from engine.core.checksums import checked, kept, read_kept, write_kept
from engine.core.types import ORIGINAL, FloatArray
from engine.damage import set_apart
from engine.images.pictures import Picture, digest_of
from engine.manifest import answered_by
from engine.runs import LOGITS, ONNX_COLUMN, Run

INDEX = "pictures.json"
NETWORK = "network"
"""Name of the rows that the network of a person's process gave there."""


def logit_files(
    run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...]
) -> dict[str, Path]:
    """Where the logits of columns on a set of pictures are, or will be.

    Args:
        run: The run.
        pictures: The pictures.
        columns: Some of `Run.columns`, or `NETWORK`.

    Returns:
        A file for each column; it need not exist.

    Raises:
        OptionError: One is no column of the run.
    """
    run.check_columns(tuple(column for column in columns if column != NETWORK))
    place = run.folder / LOGITS / digest_of(pictures)[:20]
    return {column: place / file_name(run, column) for column in columns}


def missing_logits(run: Run, files: Mapping[str, Path]) -> tuple[str, ...]:
    """Columns whose logits are not there; damaged ones are set apart, so that they are made again.

    Args:
        run: The run.
        files: See `logit_files`.
    """
    missing = []
    for column, file in files.items():
        if kept(file):
            continue
        missing.append(column)
        if file.exists():
            set_apart(run.folder, file.relative_to(run.folder).as_posix())
    return tuple(missing)


def file_name(run: Run, column: str) -> str:
    """The name under which every set keeps the logits of a column.

    It changes with the model, and with what decodes pictures and runs models: after an upgrade the
    rows of a column would be of two versions otherwise.
    """
    ours = column in {ORIGINAL, ONNX_COLUMN, NETWORK}
    model = run.manifest.model.weights_sha256 if ours else run.artifact(column).sha256
    return f"{column}-{answered_by(model)[:12]}.npy"


def write_index(place: Path, digests: Sequence[str]) -> None:
    """Note which pictures the rows of a set are."""
    write_kept(place / INDEX, msgspec.json.encode(digests))


def answering(run: Run, pictures: tuple[Picture, ...], column: str) -> str:
    """Name the rows that stand for a column on a set of pictures.

    Args:
        run: The run.
        pictures: The pictures.
        column: One of `Run.columns`.

    Returns:
        `NETWORK` for the original where the network it was made from answered all of them, else
        the column.
    """
    if column != ORIGINAL or run.manifest.model.weights != "network":
        return column
    return NETWORK if _answered(run, pictures) == len(pictures) else column


def _answered(run: Run, pictures: tuple[Picture, ...]) -> int:
    stored = KnownRows(run, NETWORK)
    return sum(stored.of(picture.sha256) is not None for picture in pictures)


def original_note(run: Run, pictures: tuple[Picture, ...]) -> str | None:
    """Say who answers as the original of a run made from a network; None for other runs."""
    if run.manifest.model.weights != "network":
        return None
    count = _answered(run, pictures)
    if count == len(pictures):
        return "The original's logits are the network's own, computed by PyTorch where it was."
    return (
        "The original's logits are ONNX Runtime's on the file that was exported from the network: "
        f"the network's own are stored for {count} of these {len(pictures)} pictures. To have them "
        "for all, compare with network=network in Python."
    )


def keep_rows(run: Run, name: str, pictures: Sequence[Picture], rows: FloatArray) -> None:
    """Keep rows as a set of pictures of their own, from which others are put together.

    Args:
        run: The run.
        name: `NETWORK`.
        pictures: The pictures, each content once.
        rows: Shape (pictures, classes).
    """
    place = run.folder / LOGITS / digest_of(tuple(pictures))[:20]
    place.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.save(content, rows.astype(np.float32, copy=False))
    write_kept(place / file_name(run, name), content.getvalue())
    write_index(place, [picture.sha256 for picture in pictures])


class KnownRows:
    """Rows of a column that earlier sets of pictures hold.

    Args:
        run: The run.
        column: One of `Run.columns`, or `NETWORK`.
    """

    def __init__(self, run: Run, column: str) -> None:
        self._rows: dict[str, tuple[FloatArray, int]] = {}
        name = file_name(run, column)
        for index in (run.folder / LOGITS).glob(f"*/{INDEX}"):
            try:
                digests = msgspec.json.decode(read_kept(index), type=list[str])
                rows = np.load(checked(index.with_name(name)), mmap_mode="r")
            except (OSError, ValueError, msgspec.DecodeError):
                continue
            if rows.shape == (len(digests), run.manifest.model.classes):
                self._rows |= {digest: (rows, row) for row, digest in enumerate(digests)}

    def of(self, digest: str) -> FloatArray | None:
        """The logits of a picture by the SHA-256 of its file, shape (classes,), or None."""
        found = self._rows.get(digest)
        return None if found is None else np.asarray(found[0][found[1]])
