"""The dashboard in a process of its own, looked at from outside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from engine.store import HOME_VARIABLE
from tests.browser import ROOT, answers


class Server:
    """Streamlit with this source and a store.

    Args:
        home: The store.
        port: Where to listen; a free port when 0.
    """

    def __init__(self, home: Path, port: int = 0) -> None:
        self.port = port or _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        words = ["--server.headless=true", f"--server.port={self.port}"]
        self.said = home.parent / f"server-{time.time_ns()}.log"
        with self.said.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pages.components.serve", *words],
                cwd=ROOT,
                env=os.environ | {HOME_VARIABLE: str(home)},
                stdout=log,
                stderr=log,
            )
        self.process = psutil.Process(self._process.pid)
        end = time.monotonic() + 60
        while not answers(self.address):
            assert time.monotonic() < end, self.said.read_text()
            time.sleep(0.1)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it at once, as a machine without memory would."""
        family = self.family()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(20)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive, "a worker outlived its server"

    def workers(self) -> list[psutil.Process]:
        """The processes that it started, each with its enclosure where there is one."""
        with suppress(psutil.NoSuchProcess):
            return list(self.process.children())
        return []

    def family(self) -> list[psutil.Process]:
        """Its workers and everything that they started."""
        with suppress(psutil.NoSuchProcess):
            return list(self.process.children(recursive=True))
        return []

    @contextmanager
    def halted(self) -> Iterator[None]:
        """While the context lasts its workers stand still, so that their work is under way."""
        over = threading.Event()

        def halt() -> None:
            while not over.wait(0.05):
                for process in self.family():
                    with suppress(psutil.NoSuchProcess):
                        process.suspend()

        thread = threading.Thread(target=halt)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            for process in self.family():
                process.resume()

    def resident(self) -> int:
        """Bytes of memory that the server alone holds."""
        return int(self.process.memory_info().rss)

    def handles(self) -> int:
        """Open files, sockets and pipes."""
        return int(self.process.num_fds())


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
