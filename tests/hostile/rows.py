"""A line of the table: what was tried, how often, and what came of it.

``HOSTILE_SEED=7`` in the environment tries other cases.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from engine.core.errors import EngineError

Scaled = Callable[[int], int]
Noted = Callable[[str, int, str], None]


@dataclass
class Row:
    """The outcomes of one kind of attack.

    Attributes:
        what: For the table.
        count: Cases to try.
        noted: Puts it into the table.
        seed: Of all cases.
        outcomes: How often each thing happened.
        faults: Cases that ended in anything but an answer or a sentence.
        seconds: All of it.
    """

    what: str
    count: int
    noted: Noted
    seed: int = field(default_factory=lambda: int(os.environ.get("HOSTILE_SEED", "0")))
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
        """Put the line into the table, and fail where a case did."""
        found = ", ".join(f"{count} {what}" for what, count in self.outcomes.most_common())
        self.noted(self.what, self.count, f"{found} ({self.seconds:.0f} s)")
        assert sum(self.outcomes.values()) == self.count
        assert not self.faults, "\n".join(self.faults[:20])
