"""Programs that run in a process of their own: how they end, and what they print."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.core.errors import ConversionError

Failure = Callable[..., ConversionError]
"""Makes the error of a program, of ``got``."""


def run_program(
    command: Sequence[str],
    seconds: float,
    program: str,
    failure: Failure,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end; what it makes of its input is for the caller to judge.

    Args:
        command: Its words.
        seconds: How long it may take.
        program: What to call it in an error.
        failure: Makes the error.
        folder: Where it runs; None for this process's own folder.

    Raises:
        ConversionError: It does not start, or does not end in time.
    """
    try:
        return subprocess.run(
            command,
            # A worker's standard input is the pipe that its tasks come by.
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            cwd=folder,
        )
    except subprocess.TimeoutExpired as error:
        raise failure(got=f"no end of {program} within {seconds:g} s") from error
    except OSError as error:
        raise failure(got=f"{program} that does not start ({error.strerror})") from error


def read_words(ended: subprocess.CompletedProcess[bytes]) -> str:
    """Read all that a program printed: its output, then its errors."""
    return (ended.stdout + ended.stderr).decode(errors="replace")


def last_line(words: str) -> str:
    """Give the last line with something in it, which names a failure as a rule."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
