"""A disk that fills up at twenty points of a real conversion."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from engine.core.files import bytes_under
from tests.hostile.conftest import Noted
from tests.hostile.terminals import Terminal
from tests.networks.test_own_onnx import SIZE, classifier

pytestmark = [pytest.mark.hostile, pytest.mark.slow]
POINTS, PAGE, DISK = 20, 4096, 32 * 2**20


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[list[Path]]:
    mounted: list[Path] = []
    for number in range(2):
        place = tmp_path / f"disk{number}"
        place.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(words, check=False).returncode != 0:
            pytest.skip(
                "no small disk can be mounted here; tests/core/test_files.py injects ENOSPC"
            )
        mounted.append(place)
    yield mounted
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Take all of a disk but some bytes."""
    filler = disk / "filler"
    with filler.open("wb") as opened:
        opened.write(b"x" * (shutil.disk_usage(disk).free - leave))
    return filler


def test_full_at_twenty_points(
    tmp_path: Path, disks: list[Path], scaled: Callable[[int], int], noted: Noted
) -> None:
    old = classifier(tmp_path / "old.onnx", shape=[1, 3, SIZE, SIZE])
    new = classifier(tmp_path / "new.onnx", shape=[1, 3, SIZE, SIZE], head_scale=9.0)
    reference = Terminal(new, tmp_path / "reference")
    code, said = reference.convert()
    assert code == 0, said
    files = [path for path in reference.runs.rglob("*") if path.is_file()]
    need = sum(-(-path.stat().st_size // PAGE) * PAGE for path in files)
    assert need > bytes_under(reference.runs) > 0
    free: SimpleQueue[Path] = SimpleQueue()
    for disk in disks:
        assert Terminal(old, disk / "store").convert()[0] == 0
        free.put(disk)
    count = scaled(POINTS)

    def attack(number: int) -> None:
        disk = free.get()
        terminal = Terminal(new, disk / "store")
        before = terminal.visible()
        filler = fill(disk, int(need * number / count))
        code, said = terminal.convert()
        assert code == 2, said
        assert "refusal of the disk" in said
        assert "Traceback" not in said
        assert terminal.visible() == before
        assert terminal.hidden() == []
        filler.unlink()
        assert all(not found["damaged"] for found in terminal.verify())
        free.put(disk)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(attack, range(count)))
    terminal = Terminal(new, free.get() / "store")
    assert terminal.convert()[0] == 0
    noted("disk full (tmpfs)", count, "a sentence each, no half run, old runs intact")
