"""Timing on a clock that the calls themselves move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise, permutations

import pytest

from engine.comparison.latency import Latency, LatencySamples, latency_warnings, time_interleaved
from engine.core.errors import OptionError


class Machine:
    """A clock in seconds and calls that take a known time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.made: list[str] = []

    def clock(self) -> float:
        return self.now

    def call(self, name: str, *seconds: float) -> Callable[[], None]:
        times = iter(seconds)

        def run() -> None:
            self.made.append(name)
            self.now += next(times)

        return run


def measured(*entries: LatencySamples) -> Latency:
    return Latency("host", 2, 1, "2025-01-01T00:00:00Z", entries)


@pytest.mark.parametrize("names", ["A", "AB", "ABC", "ABCD", "ABCDE", "ABCDEFGH"])
def test_every_call_follows_every_other_equally_often(names: str) -> None:
    machine = Machine()
    rounds = 2 * len(names)
    calls = {name: machine.call(name, *[0.001] * rounds) for name in names}
    time_interleaved(calls, rounds=rounds, warmup=0, clock=machine.clock)
    turns = [machine.made[i : i + len(names)] for i in range(0, len(machine.made), len(names))]
    assert all(sorted(turn) == list(names) for turn in turns), "a round holds each call once"
    assert {Counter(places).most_common()[-1][1] for places in zip(*turns, strict=True)} == {2}
    followed = Counter(pair for turn in turns for pair in pairwise(turn))
    assert dict(followed) == dict.fromkeys(permutations(names, 2), 2)


def test_a_number_of_rounds_that_ends_within_a_design_keeps_it_nearly_balanced() -> None:
    machine = Machine()
    calls = {name: machine.call(name, *[0.001] * 50) for name in "ABCDEFGH"}
    time_interleaved(calls, rounds=50, warmup=0, clock=machine.clock)
    followed = Counter(pairwise(machine.made))
    assert max(followed.values()) <= 2 * 50 / 7


def test_samples_are_milliseconds_in_the_order_measured() -> None:
    machine = Machine()
    calls = {"a": machine.call("a", 0.5, 0.25), "b": machine.call("b", 0.125, 1.0)}
    one, other = time_interleaved(calls, rounds=2, warmup=0, clock=machine.clock)
    assert (one.variant, one.samples_ms) == ("a", (500.0, 250.0))
    assert (other.variant, other.samples_ms) == ("b", (125.0, 1000.0))


def test_warm_up_is_made_first_and_not_counted() -> None:
    machine = Machine()
    calls = {"a": machine.call("a", 9, 9, 0.5), "b": machine.call("b", 9, 9, 0.25)}
    samples = time_interleaved(calls, rounds=1, warmup=2, clock=machine.clock)
    assert "".join(machine.made) == "aabbab"
    assert [entry.samples_ms for entry in samples] == [(500.0,), (250.0,)]


def test_nothing_to_time_gives_nothing() -> None:
    assert time_interleaved({}, rounds=3, warmup=1) == ()


def test_the_ordinary_clock_runs_forward() -> None:
    (entry,) = time_interleaved({"a": lambda: None}, rounds=3, warmup=0)
    assert len(entry.samples_ms) == 3
    assert min(entry.samples_ms) >= 0.0


@pytest.mark.parametrize(("rounds", "warmup", "named"), [(0, 1, "rounds = 0"), (1, -1, "warmup")])
def test_impossible_counts_are_refused(rounds: int, warmup: int, named: str) -> None:
    with pytest.raises(OptionError, match=named):
        time_interleaved({"a": lambda: None}, rounds=rounds, warmup=warmup)


def test_a_wide_spread_is_told_in_one_sentence() -> None:
    # Of 4, 5, 6, 7, 8: quartiles 5 and 7, median 6, range 2, spread 0.33.
    wide = LatencySamples("int8", (4.0, 8.0, 6.0, 5.0, 7.0))
    narrow = LatencySamples("float32", (10.0, 10.1, 10.2))
    (sentence,) = latency_warnings(measured(narrow, wide))
    assert sentence == (
        "int8: the median of 6.00 ms is not to be trusted, because the interquartile range is "
        "2.00 ms (more than 15% of the median). Close other programs and measure again with more "
        "rounds."
    )


def test_a_spread_at_the_limit_is_trusted() -> None:
    # Quartiles 9.25 and 10.75 round a median of 10: exactly 0.15.
    assert latency_warnings(measured(LatencySamples("a", (8.5, 9.25, 10.0, 10.75, 11.5)))) == ()


def test_one_sample_has_no_spread() -> None:
    assert latency_warnings(measured(LatencySamples("a", (3.0,)))) == ()


def test_a_median_of_zero_is_not_believed() -> None:
    (sentence,) = latency_warnings(measured(LatencySamples("a", (0.0, 0.0, 0.0))))
    assert sentence.startswith("a: the median of 0.00 ms is not to be trusted")


def test_a_slow_call_is_timed_in_fewer_rounds_but_in_five() -> None:
    machine = Machine()
    seconds = {"quick": 0.01, "slow": 0.25, "slower": 0.5, "slowest": 9.0}
    calls = {name: machine.call(name, *[each] * 30) for name, each in seconds.items()}
    timed = time_interleaved(calls, rounds=20, warmup=2, most_seconds=2.0, clock=machine.clock)
    assert {one.variant: len(one.samples_ms) for one in timed} == {
        "quick": 20,
        "slow": 7,  # every third round: 20 * 0.25 s are 2.5 times what it may take
        "slower": 5,
        "slowest": 5,
    }


def test_few_rounds_are_all_made_however_slow_a_call_is() -> None:
    machine = Machine()
    calls = {"slow": machine.call("slow", *[9.0] * 4)}
    (timed,) = time_interleaved(calls, rounds=3, warmup=1, most_seconds=1.0, clock=machine.clock)
    assert len(timed.samples_ms) == 3
