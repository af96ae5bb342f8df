"""A worker process with tasks that misbehave, as a hostile file could make it.

``python -m tests.helpers.misbehaving_worker`` answers like
``engine.workers.main``; a request names the deed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from engine.core.types import Report

MIB = 1 << 20


class Deed(msgspec.Struct):
    what: str
    pid_file: str = ""
    amount: int = 0


def eat(deed: Deed) -> None:
    kept = []
    while True:
        kept.append(b"\x01" * (16 * MIB))
        time.sleep(0.01)


def eat_elsewhere(deed: Deed) -> None:
    """In a grandchild that left the session and the group, while the worker looks idle."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            note(deed)
            eat(deed)
        os._exit(0)
    time.sleep(1000)


def hang(deed: Deed) -> None:
    time.sleep(1000)


def spin(deed: Deed) -> None:
    """In native code, deaf to Python's signals, and to SIGTERM besides."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.PyDLL(None).sleep(1000)


def stop(deed: Deed) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def fork(deed: Deed) -> None:
    for _ in range(deed.amount or 200):
        if os.fork() == 0:
            os.setsid()
            note(deed)
            time.sleep(1000)
    time.sleep(1000)


def leave_behind(deed: Deed) -> None:
    """Die, and leave a process of another session that holds the pipe to the parent open."""
    if os.fork() == 0:
        os.setsid()
        note(deed)
        time.sleep(1000)
    while not os.path.getsize(deed.pid_file):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGSEGV)


def shout(deed: Deed) -> None:
    while True:
        sys.stderr.write("x" * MIB)


def garbage(deed: Deed) -> None:
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, b"\x00\xff not an answer\n")
        except OSError:
            continue
    time.sleep(1000)


def crash(deed: Deed) -> None:
    ctypes.string_at(0)


def leave(deed: Deed) -> None:
    os._exit(7)


def surroundings(deed: Deed) -> dict[str, Any]:
    with open("made_here", "w") as file:
        file.write("x")
    return {"variables": dict(os.environ), "folder": os.getcwd(), "path": sys.path}


DEEDS: dict[str, Callable[[Deed], Any]] = {
    function.__name__: function
    for function in (
        eat,
        eat_elsewhere,
        hang,
        spin,
        stop,
        fork,
        leave_behind,
        shout,
        garbage,
        crash,
        leave,
        surroundings,
    )
}


def note(deed: Deed) -> None:
    if deed.pid_file:
        with open(deed.pid_file, "a") as file:
            file.write(f"{os.getpid()}\n")


def run_deed(deed: Deed, report: Report) -> dict[str, Any]:
    done: dict[str, Any] = DEEDS[deed.what](deed)
    return done


if __name__ == "__main__":
    from engine.workers import main, protocol

    protocol.ACCEPTED = ("tests.helpers.misbehaving_worker",)
    main.main()
