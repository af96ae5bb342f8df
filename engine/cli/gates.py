"""Gates of ``python -m engine compare``: limits that a variant has to keep."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

import click

from engine import api
from engine.comparison.comparison import Comparison
from engine.core import formats
from engine.core.errors import OptionError
from engine.core.types import FAULT_WORDS, OnProgress
from engine.portability.records import FIGURE_TITLES, TargetMatrix
from engine.reporting.text.destination import fit_of, fit_words
from engine.reporting.text.targets import on_target
from engine.runs.run import Run

GATE_MISSED = 1
Gate = tuple[str, float]
_Figure = tuple[str, tuple[Gate, ...], Callable[[str], float | None], bool, Callable[[float], str]]
_READING = "Reading the gates"
_BYTES = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(rf"([0-9]+(?:\.[0-9]+)?)({'|'.join(_BYTES)})")


class GateType(click.ParamType[Gate]):
    """``NAME=VALUE``."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> Gate:
        """Parse the words of a person."""
        variant, _, number = str(value).partition("=")
        try:
            limit = float(number)
        except ValueError:
            limit = math.nan
        if not variant or not math.isfinite(limit):
            self.fail(f"'{value}' is not of the form int8=0.97.", param, ctx)
        return variant, limit


class SizeGateType(click.ParamType[Gate]):
    """``NAME=SIZE``; the limit is in bytes."""

    name = "NAME=SIZE"

    def convert(self, value: Any, param: Any, ctx: Any) -> Gate:
        """Parse the words of a person."""
        variant, _, size = str(value).partition("=")
        if not variant:
            self.fail(f"'{value}' is not of the form int8=50MB.", param, ctx)
        return variant, read_size(size)


def read_size(text: str) -> float:
    """Read a size such as ``50MB`` in bytes: a decimal number above 0, and its unit at once.

    KB, MB and GB are powers of 1000; KiB, MiB and GiB of 1024.

    Raises:
        OptionError: It is written otherwise.
    """
    parts = _SIZE.fullmatch(text)
    size = float(parts[1]) * _BYTES[parts[2]] if parts else 0.0
    if not 0 < size < math.inf:
        raise OptionError(
            _READING,
            got=f"'{text}' as a size",
            expected=f"a number above 0 and one of {', '.join(_BYTES)}, without a space",
            todo="Write it like 500KB, 50MB or 1.5MiB.",
        )
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What variants have to keep, by name.

    Attributes:
        min_agreement: Least share of equal first answers.
        max_size_ratio: Largest file size against float32.
        max_latency_ratio: Largest median latency against float32.
        max_memory: Largest peak memory, in bytes.
        max_arena: Most bytes of working memory on each target that is named.
    """

    min_agreement: tuple[Gate, ...] = ()
    max_size_ratio: tuple[Gate, ...] = ()
    max_latency_ratio: tuple[Gate, ...] = ()
    max_memory: tuple[Gate, ...] = ()
    max_arena: tuple[Gate, ...] = ()


def check_gates(run: Run, variants: tuple[str, ...], gates: Gates) -> None:
    """Check that gates are for variants that are compared; for all where none is named.

    Raises:
        OptionError: One is not, or float32 is not there for a ratio.
    """
    compared = variants or run.runnable
    for name in (name for kind in astuple(gates) for name, _ in kind):
        if name not in compared:
            raise OptionError(
                _READING,
                got=f"a gate for '{name}'{run.why_missing(name)}",
                expected="one of " + ", ".join(compared),
                todo="Name a variant that is compared.",
            )
    if gates.max_latency_ratio and "float32" not in run.runnable:
        raise OptionError(
            _READING,
            got="a gate on latency against float32 for a run without float32",
            expected="float32 among the variants",
            todo="Add it with: python -m engine convert --variants float32.",
        )


def ask_gated_targets(
    run: Run, variants: tuple[str, ...], gates: Gates, names: tuple[str, ...], progress: OnProgress
) -> TargetMatrix | None:
    """Ask the targets on which variants have to run; None where none is named.

    These are the variants that are named, else those that have a gate, else all.

    Raises:
        OptionError: A name of a target is wrong, or there is a limit for memory without a target.
    """
    if not names:
        if gates.max_arena:
            raise OptionError(
                _READING,
                got="--max-arena without a target",
                expected="the target whose memory is limited",
                todo="Name it, such as --target ethos-u55-256.",
            )
        return None
    gated = dict.fromkeys(name for kind in astuple(gates) for name, _ in kind)
    rows = variants or tuple(gated) or run.runnable
    return api.targets(run, targets=names, variants=rows, on_progress=progress)


def find_missed_targets(matrix: TargetMatrix, max_arena: tuple[Gate, ...]) -> list[str]:
    """Give a sentence for each variant that does not run whole on a target, or needs too much.

    What is not known passes no gate.
    """
    missed = []
    for target in matrix.targets:
        where = on_target(target)
        for variant in matrix.variants:
            answer = matrix.of(variant, target.name)
            if answer.on_device != "whole":
                missed.append(f"{variant}: {fit_words(fit_of(answer), where)}".rstrip("."))
                continue
            memory = answer.memory
            what = "memory" if memory is None else FIGURE_TITLES[memory.name]
            for limit in (size for name, size in max_arena if name == variant):
                if memory is None or memory.value > limit:
                    reached = formats.UNKNOWN if memory is None else _kilobytes(memory.value)
                    missed.append(
                        f"{variant}: {what} {where} is {reached}, the gate asks for at most "
                        f"{_kilobytes(limit)}"
                    )
    return missed


def _kilobytes(size: float) -> str:
    """Write bytes in kilobytes of 10^3: megabytes would hide by how little a limit is missed."""
    return formats.with_unit(f"{size / 1e3:,.1f}", "KB")


def find_missed_gates(comparison: Comparison, gates: Gates) -> list[str]:
    """Give a sentence for each gate that a comparison does not pass.

    A figure that is unknown or NaN passes no gate, nor does a variant whose answers are useless.

    Raises:
        OptionError: A gate names a variant that was not compared.
    """
    latency = comparison.latency

    def latency_ratio(name: str) -> float | None:
        return None if latency is None else latency.ratio(name, "float32")

    def agreement(name: str) -> float | None:
        return comparison.variant(name).top1_agreement

    def peak_memory(name: str) -> float | None:
        use = comparison.memory.get(name)
        return None if use is None else use.peak_bytes

    def number(value: float) -> str:
        return f"{value:.6g}"

    def size(value: float) -> str:
        return f"{value / 1e6:.6g} MB"

    figures: list[_Figure] = [
        ("agreement", gates.min_agreement, agreement, True, number),
        ("size against float32", gates.max_size_ratio, comparison.size_ratio, False, number),
        ("latency against float32", gates.max_latency_ratio, latency_ratio, False, number),
        ("peak memory", gates.max_memory, peak_memory, False, size),
    ]
    missed = []
    for what, limits, figure, least, write in figures:
        for name, limit in limits:
            fault = comparison.variant(name).fault
            if fault is not None:
                missed.append(f"{name} {FAULT_WORDS[fault]}, so it passes no gate on {what}")
                continue
            value = figure(name)
            passed = value is not None and (value >= limit if least else value <= limit)
            if not passed:
                reached = formats.UNKNOWN if value is None else write(value)
                word = "at least" if least else "at most"
                missed.append(
                    f"{name}: {what} is {reached}, the gate asks for {word} {write(limit)}"
                )
    return missed
