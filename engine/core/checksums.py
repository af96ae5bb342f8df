"""SHA-256 checksums of files: made when they are written, checked when they are read.

A file is read in full the first time that a process meets it; after that its size, time of
change and inode stand for its content. Its checksum lies beside it in a file ``.sha256``, in the
form of ``sha256sum``. Of the files that a conversion writes the manifest holds a list: it says,
too, which of them belong together, where a file of another run beside its own checksum would pass.
The manifest holds its own: it is replaced by one rename, and runs of today have it so.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.core.errors import RunError
from engine.core.files import sync, translate_disk_errors, write_whole

SUFFIX = ".sha256"
Record = TypeVar("Record")
_CLOCK_SECONDS = 2
_MOST_DIGESTS = 20_000
_digests: dict[Path, tuple[tuple[int, int, int], str]] = {}


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size in bytes of a file, and the hex SHA-256 digest of its content."""

    bytes: int
    sha256: str


def digest_of_file(path: Path, *, again: bool = False) -> str:
    """Compute the hex SHA-256 digest of a file, remembered while the file looks unchanged.

    A page looks at all its images whenever it is drawn, and a thousand photos are gigabytes.
    ``again`` reads the file whatever is remembered. Raises OSError where it cannot be read.
    """
    status = path.stat()
    look = status.st_ino, status.st_size, status.st_ctime_ns
    remembered = _digests.get(path)
    if remembered is not None and remembered[0] == look and not again:
        return remembered[1]
    digest = _read_digest(path)
    # It may be written to once more within the same tick of the file system's clock.
    if time.time() - status.st_ctime >= _CLOCK_SECONDS:
        if len(_digests) >= _MOST_DIGESTS:
            _digests.clear()
        _digests[path] = look, digest
    return digest


def _read_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_of(path: Path) -> FileRecord:
    """Describe a file by its size and digest; raises OSError where it cannot be read."""
    return FileRecord(path.stat().st_size, digest_of_file(path, again=True))


def intact(path: Path, record: FileRecord, *, again: bool = False) -> bool:
    """Tell whether a file is there and as its record says; ``again`` as in `digest_of_file`."""
    try:
        same_size = path.stat().st_size == record.bytes
        return same_size and digest_of_file(path, again=again) == record.sha256
    except OSError:
        return False


def records_under(folder: Path, unchanged: dict[str, FileRecord]) -> dict[str, FileRecord]:
    """Describe every file under a folder, by its path in it; ``unchanged`` ones are not read."""
    names = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    return {name: unchanged.get(name) or record_of(path) for name, path in names.items()}


def write_verified(file: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all, with its checksum beside it; as `write_whole`."""
    _announce(file, hashlib.sha256(content).hexdigest(), durable=durable)
    write_whole(file, content, durable=durable)


def move_verified(staged: Path, target: Path) -> None:
    """Move a finished file to its target on the same disk, with its checksum beside it."""
    with translate_disk_errors(f"Writing {target.name}"):
        sync(staged)
        _announce(target, digest_of_file(staged, again=True), durable=True)
        os.replace(staged, target)


def _announce(file: Path, digest: str, *, durable: bool) -> None:
    """Write the digest of a file to come beside those of the files that were there before it.

    A write that fails or is killed then leaves the old file valid. A line is appended in one
    piece, so that of two who write the same file neither loses the line of the other.
    """
    sidecar = _sidecar(file)
    with translate_disk_errors(f"Writing {sidecar.name}"):
        sidecar.parent.mkdir(parents=True, exist_ok=True)
        with sidecar.open("ab+", buffering=0) as opened:
            opened.seek(0)
            before = opened.read()
            digests = [digest]
            if not before and file.is_file():  # of an older version, without a checksum
                digests.append(digest_of_file(file))
            lines = "".join(f"{digest}  {file.name}\n" for digest in digests).encode()
            # After a write that was cut off, a line begins a new one.
            opened.write(lines if before[-1:] in {b"", b"\n"} else b"\n" + lines)
            if durable:
                os.fsync(opened.fileno())


def is_verified(file: Path, *, again: bool = False) -> bool:
    """Tell whether a file is there and as it was written; ``again`` as in `digest_of_file`.

    A file without a checksum beside it was written by an older version and is taken as it is.
    """
    try:
        # The file before its checksums: what replaced it meanwhile was announced before.
        return _is_announced(file, digest_of_file(file, again=again))
    except OSError:
        return False


def _is_announced(file: Path, digest: str) -> bool:
    try:
        lines = _sidecar(file).read_bytes().splitlines()
    except FileNotFoundError:
        return True
    return digest.encode() in {line.partition(b" ")[0] for line in lines}


def require_verified(file: Path) -> Path:
    """Return the path of a file that is there and as it was written; raises OSError if not."""
    if not is_verified(file):
        raise _damage(file)
    return file


def read_verified(file: Path) -> bytes:
    """Read a file that is there and as it was written; raises OSError if not."""
    content = file.read_bytes()
    if not _is_announced(file, hashlib.sha256(content).hexdigest()):
        raise _damage(file)
    return content


def read_record(file: Path, kind: type[Record], stage: str, todo: str) -> Record:
    """Decode a JSON record of a run; ``stage`` and ``todo`` are those of its error.

    Raises:
        RunError: It is absent, damaged or of another version.
    """
    try:
        return msgspec.json.decode(read_verified(file), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise RunError(
            stage,
            got=f"a {'damaged' if file.exists() else 'run without a readable'} "
            f"{file.parent.name}/{file.name}",
            expected="a file as it was written",
            todo=todo,
        ) from error


def find_record(file: Path, kind: type[Record]) -> Record | None:
    """Decode a JSON record; None where it is absent, damaged or of another version."""
    try:
        return msgspec.json.decode(read_verified(file), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def write_record(file: Path, record: Any) -> None:
    """Encode a record as JSON and write it with its checksum beside it; as `write_whole`."""
    write_verified(file, msgspec.json.encode(record))


def delete_verified(file: Path) -> None:
    """Delete a file with its checksum."""
    file.unlink(missing_ok=True)
    _sidecar(file).unlink(missing_ok=True)


def _sidecar(file: Path) -> Path:
    return file.with_name(file.name + SUFFIX)


def _damage(file: Path) -> OSError:
    return FileNotFoundError(f"{file} is absent or damaged")
