"""The files that make up an ONNX model: the model, and the data beside it or in the same zip.

Data files are named by the model, which may come from a stranger. So they are opened by this module
alone, never by onnx or ONNX Runtime: within the folder of the model, through no link.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from engine.core.errors import ModelError
from engine.core.file_types import is_onnx
from engine.core.limits import LIMITS
from engine.core.protobuf_fields import NoMessage
from engine.core.zips import CheckedZip, ZipRules, is_zip, open_zip
from engine.networks.external_data import Span, outside_tensors, spans_by_location

ONNX_SUFFIX = ".onnx"
_LARGEST_PADDING = 1 << 16
"""Bytes of zeros that may follow the last tensor: offsets are aligned to 64 KiB at most."""


OpenedFile = io.BufferedReader | io.BytesIO


class OnnxParts(Protocol):
    """A model and its data files."""

    def model(self) -> OpenedFile:
        """Open the model itself."""

    def data(self, location: str) -> OpenedFile:
        """Open a data file.

        Args:
            location: A relative path without ``..``.

        Raises:
            ModelError: There is none, or it is a link or no ordinary file.
        """


@contextmanager
def open_parts(path: Path) -> Iterator[OnnxParts]:
    """Open an ONNX file, or a zip that holds one, with the data files it may name.

    Raises:
        ModelError: The zip is damaged or too large, leads elsewhere, or does not hold one model.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        if not is_zip(file.read(4)):
            yield _FolderParts(path)
            return
        rules = ZipRules(
            packed_bytes=LIMITS.model_bytes,
            entries=LIMITS.zip_entries,
            entry_bytes=LIMITS.model_bytes,
            unpacked_bytes=LIMITS.model_bytes,
            refused=lambda got, expected: _bad_zip(path, got, expected),
        )
        with open_zip(file, rules) as archive:
            yield _ZipParts(path, archive)


class _FolderParts:
    def __init__(self, path: Path) -> None:
        self._path = path

    def model(self) -> OpenedFile:
        return self._path.open("rb")

    def data(self, location: str) -> OpenedFile:
        stage = f"Reading {self._path.name}"
        *folders, name = PurePosixPath(location).parts
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for folder in folders:
                inner = os.open(
                    folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory
                )
                os.close(directory)
                directory = inner
            # Not blocking: opening a FIFO would wait for a writer.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(name, flags, dir_fd=directory)
        except FileNotFoundError as error:
            raise _no_data(stage, location) from error
        except OSError as error:
            raise _no_plain_file(stage, location, error) from error
        finally:
            os.close(directory)
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
            os.close(file)
            raise _no_plain_file(stage, location, None)
        return os.fdopen(file, "rb")


class _ZipParts:
    def __init__(self, path: Path, archive: CheckedZip) -> None:
        self._path, self._archive = path, archive
        models = [file for file in archive.files if file.filename.lower().endswith(ONNX_SUFFIX)]
        if len(models) != 1:
            names = ", ".join(repr(file.filename) for file in models[:5]) or "none"
            raise _bad_zip(path, f"{len(models)} ONNX files ({names})", "one .onnx file")
        self._model = models[0]

    def model(self) -> OpenedFile:
        return io.BytesIO(self._archive.unpack(self._model))

    def data(self, location: str) -> OpenedFile:
        name = (PurePosixPath(self._model.filename).parent / location).as_posix()
        files = [file for file in self._archive.files if _normal(file) == name]
        if not files:
            raise _no_data(f"Reading {self._path.name}", location)
        if len(files) > 1:
            raise _bad_zip(self._path, f"{name!r} {len(files)} times", "names that are there once")
        return io.BytesIO(self._archive.unpack(files[0]))


def _normal(entry: zipfile.ZipInfo) -> str:
    return PurePosixPath(entry.filename).as_posix()


def read_data(parts: OnnxParts, location: str, spans: list[Span], stage: str) -> bytes:
    """Read a data file once, after its size was held against what the model wants of it.

    Raises:
        ModelError: It is absent, a link, or does not fit the model.
    """
    with parts.data(location) as file:
        size, wanted = file.seek(0, io.SEEK_END), max(span.end for span in spans)
        if not wanted <= size <= wanted + _LARGEST_PADDING:
            raise _other_data(stage, location, f"{size:,} bytes", f"{wanted:,}")
        file.seek(0)
        content = file.read(size)
    if len(content) != size or content[wanted:].strip(b"\0"):
        raise _other_data(stage, location, "bytes that belong to no tensor", f"{wanted:,} bytes")
    sums = {span.sha1.lower() for span in spans if span.sha1}
    if sums and sums != {hashlib.sha1(content, usedforsecurity=False).hexdigest()}:
        raise _other_data(stage, location, "another SHA-1", f"{min(sums)[:40]}")
    return content


def demand_complete(path: Path) -> None:
    """Refuse a model whose data is missing or belongs to another, without loading the model."""
    stage = f"Reading {path.name}"
    with open_parts(path) as parts:
        for location, spans in _locations(parts, stage).items():
            read_data(parts, location, spans, stage)


def locations_in(model: BinaryIO, size: int, stage: str) -> dict[str, list[Span]]:
    """Find the data files that a model names, without loading it.

    Returns:
        Where its tensors lie, by the location of their file.

    Raises:
        ModelError: It is no ONNX model, or names a file outside of its folder.
    """
    try:
        return spans_by_location(outside_tensors(model, size), stage)
    except NoMessage as error:
        raise no_model(stage, error) from error


def no_model(stage: str, error: Exception) -> ModelError:
    """Say that bytes are no ONNX model, and what was raised at them."""
    return ModelError(
        stage,
        got=f"bytes that are not an ONNX model ({error})",
        expected="a model saved as ONNX",
        todo="Export it again, for instance with torch.onnx.export.",
        problem=f"{stage.removeprefix('Reading ')} is not an ONNX file.",
    )


def _locations(parts: OnnxParts, stage: str) -> dict[str, list[Span]]:
    with parts.model() as model:
        return locations_in(model, model.seek(0, io.SEEK_END), stage)


def demand_whole(path: Path) -> None:
    """Refuse a model with tensors in other files, which ONNX Runtime would read from anywhere."""
    stage = f"Reading {path.name}"
    locations = _locations(_FolderParts(path), stage)
    if locations:
        raise ModelError(
            stage,
            got=f"weights kept in another file ({', '.join(map(repr, locations))})",
            expected="the ONNX file of a run, which holds everything",
            todo="Make the run again.",
        )


def model_digest(path: Path) -> str:
    """Digest a model with all of its data, by SHA-256.

    Returns:
        Hex digest: of the file, where it is all there is, so that older runs keep theirs, and where
        it is no ONNX file, which `onnx_reading` refuses.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        file.seek(0)
        if is_zip(file.read(4)) or not is_onnx(path):
            return digest.hexdigest()
    parts = _FolderParts(path)
    for location in sorted(_locations(parts, f"Reading {path.name}")):
        with parts.data(location) as data:
            digest.update(location.encode() + hashlib.file_digest(data, "sha256").digest())
    return digest.hexdigest()


def _no_data(stage: str, location: str) -> ModelError:
    return ModelError(
        stage,
        got=f"no file {location!r}, in which the model keeps weights",
        expected="the model together with its data",
        todo="Put that file beside the model, under that very name; on the page drop both "
        "together, or a zip of both.",
    )


def _no_plain_file(stage: str, location: str, error: OSError | None) -> ModelError:
    refused = error is not None and error.errno not in {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}
    what = str(error and error.strerror).lower() if refused else "a link, or no ordinary file"
    return ModelError(
        stage,
        got=f"weights kept in another file, {location!r}, that cannot be taken: {what}",
        expected="an ordinary file in the folder of the model, through no link",
        todo="Copy the data itself there (cp -L follows links).",
    )


def _other_data(stage: str, location: str, got: str, expected: str) -> ModelError:
    return ModelError(
        stage,
        got=f"{got} in {location!r}",
        expected=f"{expected}, as the model says",
        todo="The data is another model's, or a part of it is missing: give the two files that "
        "one export wrote.",
    )


def _bad_zip(path: Path, got: str, expected: str) -> ModelError:
    return ModelError(
        f"Reading the zip {path.name}",
        got=got,
        expected=expected,
        todo="Pack one ONNX file with its data alone, as an export wrote them.",
    )
