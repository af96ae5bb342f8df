from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from engine.core.system import share_work


def test_every_item_is_taken_once_and_each_thread_has_a_tool_of_its_own() -> None:
    taken: list[int] = []
    users: dict[str, set[int]] = {"a": set(), "b": set()}

    def work(tool: str, item: int) -> None:
        users[tool].add(threading.get_ident())
        taken.append(item)

    share_work(range(100), ["a", "b"], work)
    assert sorted(taken) == list(range(100))
    assert all(len(threads) <= 1 for threads in users.values())


def test_what_one_thread_raises_stops_the_others_and_is_raised() -> None:
    def work(tool: str, item: int) -> None:
        if item == 7:
            raise KeyError(item)

    # Without an end: it returns only because the other thread is stopped.
    with pytest.raises(KeyError, match="7"):
        share_work(itertools.count(), ["a", "b"], work)


def test_what_the_items_raise_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more pictures")

    with pytest.raises(ValueError, match="no more pictures"):
        share_work(items(), ["a"], lambda *_: None)
