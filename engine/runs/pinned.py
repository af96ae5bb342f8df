"""Images that a person pinned to a run: the regression set that ``compare --pinned`` reads.

Each lies at ``RUN/pinned/SHA256/NAME``: the folder's name is its checksum. Pinning and unpinning
lock ``RUN/pinned``.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
from pathlib import Path

from engine.core.errors import PictureError, RunError
from engine.core.files import write_whole
from engine.core.locks import exclusive_lock
from engine.images.pictures import Picture, decode_with_notes, picture_at
from engine.runs.run import PINNED, Run

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def list_pinned(run: Run) -> tuple[Picture, ...]:
    """List the images of a run's regression set, by name.

    Raises:
        RunError: One is not as it was pinned.
    """
    pictures = []
    for digest, file in _files_by_digest(run).items():
        picture = picture_at(file)
        if picture.sha256 != digest:
            raise RunError(
                f"Reading the pinned pictures of {run.folder.name}",
                got=f"{picture.name}, which has changed since it was pinned",
                expected="the picture as it was",
                todo="Unpin it and pin it again: python -m engine pin --run "
                f"{shlex.quote(str(run.folder))} --remove {shlex.quote(picture.name)}",
            )
        pictures.append(picture)
    return tuple(sorted(pictures, key=lambda picture: (picture.name, picture.sha256)))


def list_pinned_digests(run: Run) -> frozenset[str]:
    """List the digests of the images of a run's regression set, without reading them."""
    return frozenset(_files_by_digest(run))


def find_pinned(run: Run, name: str) -> tuple[str, ...]:
    """Find the digests, as they were pinned, of the images of one name, whatever they hold now."""
    return tuple(digest for digest, file in _files_by_digest(run).items() if file.name == name)


def pin(run: Run, picture: Picture) -> None:
    """Copy an image into a run's regression set; one that is there already stays as it is.

    Raises:
        PictureError: It is no image that can be used, or has changed since it was listed.
        StorageError: The disk refuses.
    """
    content = picture.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        raise PictureError(
            f"Pinning {picture.name}",
            got="a file that has changed since it was shown",
            expected="the picture that was shown",
            todo="Choose the pictures again.",
        )
    decode_with_notes(content, picture.name)
    folder = run.folder / PINNED / picture.sha256
    with exclusive_lock(folder.parent):
        if not _files(folder):
            name = _UNSAFE.sub("_", Path(picture.name).name).lstrip("._-")
            write_whole(folder / (name or "picture"), content)


def unpin(run: Run, sha256: str) -> None:
    """Delete an image, by its digest when it was pinned, from a run's regression set."""
    folder = run.folder / PINNED
    if _DIGEST.fullmatch(sha256) and folder.is_dir():
        with exclusive_lock(folder):
            shutil.rmtree(folder / sha256, ignore_errors=True)


def _files_by_digest(run: Run) -> dict[str, Path]:
    folders = (run.folder / PINNED).glob("*")
    files = {folder.name: _files(folder) for folder in folders if _DIGEST.fullmatch(folder.name)}
    return {digest: inside[0] for digest, inside in files.items() if inside}


def _files(folder: Path) -> list[Path]:
    """List the files that were written whole: what is being written is hidden."""
    return [path for path in folder.glob("*") if not path.name.startswith(".")]
