from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.core import checksums
from engine.core.checksums import (
    FileRecord,
    delete_verified,
    digest_of_file,
    intact,
    is_verified,
    move_verified,
    read_verified,
    record_of,
    records_under,
    write_verified,
)


def flip(file: Path, *, place: int = 0) -> None:
    """Change one bit and nothing that a look from outside would show."""
    about = file.stat()
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    with file.open("r+b") as opened:
        opened.write(content)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


def test_a_record_knows_its_file(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one")
    record = record_of(file)
    assert record == FileRecord(
        3, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    )
    assert intact(file, record)
    file.write_bytes(b"onE")
    assert not intact(file, record)
    file.write_bytes(b"more")
    assert not intact(file, record)
    file.unlink()
    assert not intact(file, record)


def test_a_file_that_looks_unchanged_is_read_once_and_again_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "_CLOCK_SECONDS", 0)
    file = tmp_path / "f"
    file.write_bytes(b"one")
    record = record_of(file)
    read: list[Path] = []
    real = checksums._read_digest
    monkeypatch.setattr(checksums, "_read_digest", lambda path: read.append(path) or real(path))
    assert intact(file, record)  # the cheap look: same size, time of change and inode
    assert read == []
    assert intact(file, record, again=True)
    assert read == [file]
    flip(file)  # size, inode and time of modification stay
    assert not intact(file, record)
    assert not intact(file, record, again=True)
    assert digest_of_file(file) != record.sha256


def test_what_is_kept_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "new" / "f.json"
    write_verified(file, b"first")
    assert read_verified(file) == b"first"
    flip(file)
    assert not is_verified(file, again=True)
    with pytest.raises(OSError, match="damaged"):
        read_verified(file)
    write_verified(file, b"second")
    assert read_verified(file) == b"second"
    delete_verified(file)
    assert list(file.parent.iterdir()) == []
    assert not is_verified(file)


def test_a_checksum_that_is_damaged_counts_as_damage(tmp_path: Path) -> None:
    file = tmp_path / "f"
    write_verified(file, b"first")
    (tmp_path / "f.sha256").write_bytes(b"\xff\xff")
    assert not is_verified(file)


def test_an_older_file_without_a_checksum_is_taken(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    assert read_verified(tmp_path / "f") == b"old"


def test_a_write_that_fails_leaves_the_old_file_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    write_verified(file, b"first")
    real = os.replace

    def killed(source: str, target: str) -> None:
        if Path(target) == file:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_verified(file, b"second")
    assert read_verified(file) == b"first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "f.sha256"]


def test_a_finished_file_is_moved_with_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "aside").write_bytes(b"rows")
    move_verified(tmp_path / "aside", tmp_path / "f")
    assert read_verified(tmp_path / "f") == b"rows"
    assert not (tmp_path / "aside").exists()


def test_records_of_a_folder_read_only_what_is_new(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"x")
    known = {"a/b": FileRecord(1, "as it was")}
    (tmp_path / "c").write_bytes(b"y")
    found = records_under(tmp_path, known)
    assert found["a/b"].sha256 == "as it was"
    assert found["c"] == record_of(tmp_path / "c")
