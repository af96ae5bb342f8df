"""The dashboard in a process of its own, looked at from outside."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

import psutil

from engine.core.store import HOME_VARIABLE

ROOT = Path(__file__).parent.parent.parent


class Server:
    """Streamlit with this source and a store.

    Args:
        home: The store.
        port: Where to listen; a free port when 0.
        variables: More of its environment.
    """

    def __init__(
        self, home: Path, port: int = 0, variables: Mapping[str, str] | None = None
    ) -> None:
        self.port = port or free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        words = ["--server.headless=true", f"--server.port={self.port}"]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the server
        self._said = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pages.shell.server", *words],
            cwd=ROOT,
            # Where it does not end, its log says what each thread was doing.
            env={
                **os.environ,
                "PYTHONFAULTHANDLER": "1",
                HOME_VARIABLE: str(home),
                **(variables or {}),
            },
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.process = psutil.Process(self._process.pid)
        try:
            wait_until_it_answers(self.address, self._process)
        except AssertionError as error:
            self.kill()
            error.add_note(self.said())
            raise

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def end(self) -> None:
        """End it as Ctrl+C does, with time to end its workers."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired as error:
            self._process.send_signal(signal.SIGABRT)
            self._process.wait(20)
            self._close_log()
            error.add_note(self.said()[-8000:])
            raise
        self._close_log()

    def kill(self) -> None:
        """End it at once, as a machine without memory would."""
        family = self.family()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(20)
        self._close_log()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive, "a worker outlived its server"

    def said(self) -> str:
        """What it wrote to its terminal so far."""
        if not self._log.closed:
            descriptor = self._log.fileno()
            # The server writes at the offset that both share, so nobody seeks.
            content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
            self._said = content.decode(errors="replace")
        return self._said

    def _close_log(self) -> None:
        self.said()
        self._log.close()

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


def answers(address: str) -> bool:
    """Whether a dashboard is there."""
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError, HTTPException):
        return False


def wait_until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a dashboard is there, or its process is not any more.

    Args:
        address: Where it will be.
        process: What starts it.
    """
    end = time.monotonic() + 120
    while not answers(address):
        assert time.monotonic() < end, "the server does not start"
        assert process.poll() is None, "the server ended"
        time.sleep(0.1)


def free_port() -> int:
    """A port of loopback on which nobody listens.

    It lies below those that the system gives to whoever names none: another process would be given
    the same one before the server listens.
    """
    for port in random.sample(range(10_000, 30_000), 100):
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
