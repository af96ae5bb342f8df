"""Stored logits: ``RUN/logits/<pictures>/<column>-<model and versions>.npy``, one row a picture.

A folder belongs to one set of pictures in one order; ``pictures.json`` in it lists their digests,
so that a set that shares pictures with an earlier one copies those rows instead of running a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from engine.checksums import checked, kept, read_kept, write_kept
from engine.damage import set_apart
from engine.images import Picture, digest_of
from engine.manifest import answered_by
from engine.runs import LOGITS, ONNX_COLUMN, Run
from engine.types import ORIGINAL, FloatArray

INDEX = "pictures.json"


def logit_files(
    run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...]
) -> dict[str, Path]:
    """Where the logits of columns on a set of pictures are, or will be.

    Args:
        run: The run.
        pictures: The pictures.
        columns: Some of `Run.columns`.

    Returns:
        A file for each column; it need not exist.

    Raises:
        OptionError: One is no column of the run.
    """
    run.check_columns(columns)
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
    ours = column in {ORIGINAL, ONNX_COLUMN}
    model = run.manifest.model.weights_sha256 if ours else run.artifact(column).sha256
    return f"{column}-{answered_by(model)[:12]}.npy"


def write_index(place: Path, digests: Sequence[str]) -> None:
    """Note which pictures the rows of a set are."""
    write_kept(place / INDEX, msgspec.json.encode(digests))


class KnownRows:
    """Rows of a column that earlier sets of pictures hold.

    Args:
        run: The run.
        column: One of `Run.columns`.
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
