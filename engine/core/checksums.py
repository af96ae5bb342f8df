"""SHA-256 checksums of files: made when they are written, checked when they are read.

A file is read in full the first time that a process meets it; after that its size, time of
change and inode stand for its content. Results that come to a run later have their checksum
beside them, in the form of ``sha256sum``.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from engine.core.files import sync, told_of_the_disk, write_whole

SUFFIX = ".sha256"
_known: dict[str, tuple[tuple[int, int, int], str]] = {}


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What a file is.

    Attributes:
        bytes: Its size.
        sha256: Hex digest of its content.
    """

    bytes: int
    sha256: str


def digest_of_file(path: Path, *, again: bool = False) -> str:
    """SHA-256 of a file, remembered while the file looks unchanged.

    Args:
        path: The file.
        again: Read it whatever is remembered.

    Returns:
        Hex digest.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as opened:
        about = os.fstat(opened.fileno())
        looks = (about.st_ino, about.st_size, about.st_mtime_ns)
        known = _known.get(str(path))
        if known is not None and known[0] == looks and not again:
            return known[1]
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    _known[str(path)] = looks, found
    return found


def record_of(path: Path) -> FileRecord:
    """Describe a file.

    Raises:
        OSError: It cannot be read.
    """
    return FileRecord(path.stat().st_size, digest_of_file(path, again=True))


def intact(path: Path, record: FileRecord, *, again: bool = False) -> bool:
    """Whether a file is there and as its record says.

    Args:
        path: The file.
        record: What it was when it was written.
        again: Read it whatever is remembered.
    """
    try:
        if path.stat().st_size != record.bytes:
            return False
        return digest_of_file(path, again=again) == record.sha256
    except OSError:
        return False


def records_under(folder: Path, known: dict[str, FileRecord]) -> dict[str, FileRecord]:
    """Describe every file under a folder.

    Args:
        folder: The folder.
        known: Records of files that have not changed since; they are not read again.

    Returns:
        Records by the path relative to the folder.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink():
            found[name] = known.get(name) or record_of(path)
    return found


def write_kept(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, with its checksum beside it.

    Raises:
        StorageError: The disk refuses.
    """
    _announce(file, hashlib.sha256(content).hexdigest())
    write_whole(file, content)


def keep_file(aside: Path, file: Path) -> None:
    """Move a finished file into its place, with its checksum beside it.

    Args:
        aside: The file, on the same disk.
        file: Its place.

    Raises:
        StorageError: The disk refuses.
    """
    with told_of_the_disk(f"Writing {file.name}"):
        sync(aside)
        _announce(file, digest_of_file(aside, again=True))
        os.replace(aside, file)


def _announce(file: Path, digest: str) -> None:
    """Note the checksum of a file to come, beside those of the files that were there before it.

    A write that fails or is killed then leaves the old file as good as it was. A line is appended
    in one piece, so that of two who write the same file neither loses the line of the other.
    """
    beside = _beside(file)
    with told_of_the_disk(f"Writing {beside.name}"):
        beside.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("ab+", buffering=0) as listed:
            listed.seek(0)
            before = listed.read()
            digests = [digest]
            if not before and file.is_file():  # of an older version, without a checksum
                digests.append(digest_of_file(file))
            lines = "".join(f"{known}  {file.name}\n" for known in digests).encode()
            # After a write that was cut off, a line begins a new one.
            listed.write(lines if before[-1:] in {b"", b"\n"} else b"\n" + lines)
            os.fsync(listed.fileno())


def kept(file: Path, *, again: bool = False) -> bool:
    """Whether a file is there and as it was written.

    A file without a checksum beside it was kept by an older version and is taken as it is.
    """
    try:
        # The file before the list: what was put into its place was announced before that.
        digest = digest_of_file(file, again=again)
        listed = _beside(file).read_bytes().splitlines()
        return digest.encode() in {line.partition(b" ")[0] for line in listed}
    except FileNotFoundError:
        return file.is_file()
    except OSError:
        return False


def checked(file: Path) -> Path:
    """The path of a file that was kept.

    Raises:
        OSError: It is absent, cannot be read, or is not as it was written.
    """
    if not kept(file):
        raise FileNotFoundError(f"{file} is absent or damaged")
    return file


def read_kept(file: Path) -> bytes:
    """The content of a file that was kept; raises as `checked` does."""
    return checked(file).read_bytes()


def drop_kept(file: Path) -> None:
    """Remove a file with its checksum."""
    file.unlink(missing_ok=True)
    _beside(file).unlink(missing_ok=True)


def _beside(file: Path) -> Path:
    return file.with_name(file.name + SUFFIX)
