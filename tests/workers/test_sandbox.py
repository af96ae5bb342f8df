"""Workers enclosed by bubblewrap, where it is there; and what they could do without."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.core import store
from engine.core.errors import WorkerDied
from engine.tasks.catalog import CatalogRequest, run_catalog
from engine.workers import process as jobs
from engine.workers import sandbox

BWRAP = shutil.which("bwrap")
needs_bubblewrap = pytest.mark.skipif(
    BWRAP is None or not sandbox._works(BWRAP),
    reason="bubblewrap is not installed, or may not work",
)
WRITES = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('written')"
CONNECTS = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)"


@pytest.fixture
def enclosed(monkeypatch: pytest.MonkeyPatch, own_store: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(sandbox, "_asked_for", True)
    monkeypatch.delenv(sandbox.VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@contextmanager
def listening() -> Iterator[int]:
    """A port of this machine that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def ended_with(
    program: str, argument: object, folder: Path, *, network: bool = False, graphics: bool = False
) -> int:
    """The exit code of a program that is started as a worker is."""
    command = sandbox.command_for(
        (sys.executable, "-c", program, str(argument)), folder, network=network, graphics=graphics
    )
    return subprocess.run(command, check=False, capture_output=True).returncode


@needs_bubblewrap
@pytest.mark.usefixtures("enclosed")
def test_only_the_store_the_weights_and_its_own_folder_can_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "worker"
    outside = tmp_path / "somebody's file"
    assert ended_with(WRITES, outside, folder) != 0
    assert not outside.exists()
    for inside in (store.home() / "a", folder / "b", tmp_path / "torch" / "c"):
        assert ended_with(WRITES, inside, folder) == 0
        assert inside.read_text() == "written"


@needs_bubblewrap
@pytest.mark.usefixtures("enclosed")
def test_the_network_is_for_those_who_need_it(tmp_path: Path) -> None:
    with listening() as port:
        assert ended_with(CONNECTS, port, tmp_path / "worker") != 0
        assert ended_with(CONNECTS, port, tmp_path / "worker", network=True) == 0


@needs_bubblewrap
@pytest.mark.usefixtures("enclosed")
def test_gpus_are_for_those_who_need_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "card0"
    device.touch()
    monkeypatch.setattr(sandbox, "graphics_devices", lambda: (device,))
    assert ended_with(WRITES, device, tmp_path / "worker") != 0
    assert ended_with(WRITES, device, tmp_path / "worker", graphics=True) == 0


@pytest.mark.usefixtures("enclosed")
def test_without_it_everything_can_be_written_and_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(sandbox.VARIABLE, "0")
    assert ended_with(WRITES, tmp_path / "outside", tmp_path) == 0
    with listening() as port:
        assert ended_with(CONNECTS, port, tmp_path) == 0


@needs_bubblewrap
@pytest.mark.usefixtures("enclosed")
@pytest.mark.parametrize(("deed", "how"), [("segfault", "signal SIGSEGV"), ("exit", "exit code 3")])
def test_how_a_worker_ended_is_told_as_without_it(
    monkeypatch: pytest.MonkeyPatch, deed: str, how: str
) -> None:
    does = {
        "segfault": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "exit": "raise SystemExit(3)",
    }[deed]
    monkeypatch.setattr(jobs, "WORKER_COMMAND", (sys.executable, "-c", f"input(); {does}"))
    with jobs.Worker() as worker, pytest.raises(WorkerDied, match=how):
        worker.run(run_catalog, CatalogRequest())


@needs_bubblewrap
@pytest.mark.usefixtures("enclosed")
def test_memory_is_that_of_the_worker_and_a_cancel_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    eats = "kept = b'x' * 200_000_000; print(len(kept), flush=True); input(); input()"
    monkeypatch.setattr(jobs, "WORKER_COMMAND", (sys.executable, "-c", eats))
    with jobs.Worker() as worker:
        assert worker._process.stdout is not None
        worker._process.stdout.readline()
        assert worker.resident_bytes() > 200_000_000
        worker.cancel()
        assert worker._family.members(afresh=True) == []
        assert worker.resident_bytes() == 0


@pytest.mark.parametrize(
    ("program", "works", "state"),
    [(None, False, "absent"), ("bwrap", False, "refused"), ("bwrap", True, "enclosed")],
)
@pytest.mark.usefixtures("enclosed")
def test_the_page_says_whether_it_is_used(
    monkeypatch: pytest.MonkeyPatch, program: str | None, works: bool, state: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: program)
    monkeypatch.setattr(sandbox, "_works", lambda _: works)
    assert sandbox.state() == state
    assert ("without a sandbox" in sandbox.note()) == (state != "enclosed")
    monkeypatch.setenv(sandbox.VARIABLE, "0")
    assert sandbox.state() == "off"
    assert "switched off" in sandbox.note()


def test_nobody_is_enclosed_who_did_not_ask(tmp_path: Path) -> None:
    assert sandbox.state() == "off"
    assert sandbox.command_for(("a", "b"), tmp_path, network=False) == ("a", "b")
    assert sandbox.exit_code(139) == 139
