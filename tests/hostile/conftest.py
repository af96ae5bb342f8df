"""One table at the end: what was tried, how often, and what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

import pytest

from engine.errors import EngineError

ROWS: list[Row] = []


@dataclass
class Row:
    """The outcomes of one kind of attack.

    Attributes:
        what: For the table.
        count: Cases to try.
        seed: Of the first case.
        outcomes: How often each thing happened.
        faults: Cases that ended in anything but an answer or a sentence.
        seconds: All of it.
    """

    what: str
    count: int
    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def cases(self) -> Iterator[tuple[int, Random]]:
        """Numbers and random generators, the same for the same seed."""
        started = time.monotonic()
        for number in range(self.count):
            yield number, Random(f"{self.what} {self.seed} {number}")
            self.seconds = time.monotonic() - started

    @contextmanager
    def tried(self, case: object, accepted: str = "taken") -> Iterator[None]:
        """Note the outcome of a case; an internal fault is not a sentence."""
        try:
            yield
        except EngineError as error:
            told = str(error)
            if "internal fault" in told or not all((error.got, error.expected, error.todo)):
                self.faults.append(f"{case}: {told[:600]}")
                self.outcomes["FAULT"] += 1
            elif "SIG" in error.got:
                self.outcomes["worker killed by " + error.got.split("SIG")[1].split()[0]] += 1
            elif "no answer within" in error.got or "hangs" in error.got:
                self.outcomes["hang ended"] += 1
            elif "of memory" in error.got:
                self.outcomes["memory ended"] += 1
            else:
                self.outcomes["refused"] += 1
        except Exception as error:
            self.faults.append(f"{case}: {type(error).__name__}: {str(error)[:600]}")
            self.outcomes["FAULT"] += 1
        else:
            self.outcomes[accepted] += 1

    def check(self) -> None:
        assert sum(self.outcomes.values()) == self.count
        assert not self.faults, "\n".join(self.faults[:20])


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """The row of a test marked ``hostile_row(what, count)``."""
    marker = request.node.get_closest_marker("hostile_row")
    assert marker is not None
    what, count = marker.args
    scale = request.config.getoption("--hostile-scale")
    made = Row(what, max(1, round(count * scale)), request.config.getoption("--hostile-seed"))
    ROWS.append(made)
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ROWS:
        return
    terminalreporter.section("hostile")
    for made in ROWS:
        found = ", ".join(f"{count} {what}" for what, count in made.outcomes.most_common())
        terminalreporter.write_line(
            f"{made.what:<44} {made.count:>5}  {made.seconds:6.0f} s  {found}"
        )
