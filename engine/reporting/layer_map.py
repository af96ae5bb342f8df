"""The network of an integer variant as a row of blocks, from picture to logits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Literal

from engine.comparison.layers.records import CauseName, Deviation, LayerError, LayerErrors
from engine.core import formats

MOST_BLOCKS = 120
_MARKED = 3
_LEAST_LEVEL = 0.06
"""So that a block without anything to show is still seen."""

Colour = Literal["local", "propagated", "time", "cause"]
COLOURS: Mapping[Colour, str] = {
    "local": "Local error",
    "propagated": "Propagated error",
    "time": "Time",
    "cause": "Cause",
}
"""What blocks can be coloured by, as people call it."""
CAUSES: Mapping[CauseName, str] = {
    "stands_still": "stands still",
    "input_stands_still": "its input stands still",
    "wrong_normalisation": "other normalisation",
    "saturated_range": "range too narrow",
    "calibration_does_not_cover": "beyond calibration",
    "range_clips_on_purpose": "clipped on purpose",
    "outlier_channel": "a channel sets the range",
    "range_too_wide": "range too wide",
    "wrong_fixed_scale": "wrong fixed scale",
    "per_tensor_weights": "one scale for all weights",
    "mean_shift": "shifted mean",
    "killed_channels": "lost channels",
    "dead_channels": "dead channels",
    "input_range": "range of its input",
}
"""Causes in a few words."""


@dataclass(frozen=True, slots=True)
class Block:
    """Operators that are drawn as one.

    Attributes:
        layers: They, in the network's order; one, unless the network has more than can be drawn.
        worst: The likeliest culprit of them.
    """

    layers: tuple[LayerError, ...]
    worst: LayerError

    @property
    def title(self) -> str:
        """Name for people: the module's where it is proven, else the operator's."""
        if len(self.layers) == 1:
            return title_of(self.worst)
        modules = [layer.module for layer in self.layers]
        shared = _shared([module.split(".") for module in modules]) if all(modules) else []
        first, last = self.layers[0], self.layers[-1]
        name = ".".join(shared) or f"{first.title} to {last.title}"
        return f"{name}, {len(self.layers)} operators"

    @property
    def group(self) -> str:
        """Part of the network that it belongs to, such as ``features.1``; empty where not known."""
        parts = self.worst.module.split(".")
        return ".".join(parts[: 2 if len(parts) > 1 and parts[1].isdigit() else 1])


def _shared(paths: Sequence[list[str]]) -> list[str]:
    columns = zip(*paths, strict=False)
    return [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, columns)]


def title_of(layer: LayerError) -> str:
    """Name an operator by its module, where that is proven, and by its kind and place."""
    return f"{layer.module} ({layer.title})" if layer.module else layer.title


def fold_layers(errors: LayerErrors, most: int = MOST_BLOCKS) -> tuple[Block, ...]:
    """Put neighbours together until there are at most so many blocks, as evenly as possible."""
    size = max(math.ceil(len(errors.layers) / most), 1)
    ranks = {layer.index: rank for rank, layer in enumerate(errors.by_loss)}
    parts = (errors.layers[at : at + size] for at in range(0, len(errors.layers), size))
    return tuple(Block(part, min(part, key=lambda layer: ranks[layer.index])) for part in parts)


@dataclass(frozen=True, slots=True)
class Shade:
    """How a block is drawn.

    Attributes:
        level: Height and depth of colour, 0 to 1: 1 loses or takes most.
        value: The figure, for people.
        mark: What stands on it, so that colour is not needed: its rank among the worst three, or
            the letter of its cause; empty on the others.
    """

    level: float
    value: str
    mark: str


def shade_blocks(
    blocks: Sequence[Block], colour: Colour, shares: Mapping[int, float]
) -> tuple[Shade, ...]:
    """Say how blocks are drawn.

    Args:
        blocks: The blocks.
        colour: What they are coloured by.
        shares: Shares of the variant's time by index of the operator; empty where not measured.
    """
    if colour == "cause":
        return _by_cause(blocks)
    if colour == "time":
        times = [sum(shares.get(layer.index, 0.0) for layer in b.layers) for b in blocks]
        longest = max(times, default=0.0) or 1.0
        levels = [time / longest for time in times]
        values = [f"{formats.percent(time)} of the time" if shares else "" for time in times]
    else:
        decibels = [_worst_decibels(block, colour) for block in blocks]
        levels = _levels(decibels)
        values = [f"{formats.decibels(value)} {_ENDINGS[colour]}" for value in decibels]
    ranks = {
        index: str(rank)
        for rank, index in enumerate(_highest(levels)[:_MARKED], 1)
        if levels[index] > 0
    }
    return tuple(
        Shade(max(level, _LEAST_LEVEL), value, ranks.get(index, ""))
        for index, (level, value) in enumerate(zip(levels, values, strict=True))
    )


_ENDINGS: Mapping[Colour, str] = {"local": "on its own", "propagated": "cumulative"}


def _highest(levels: Sequence[float]) -> list[int]:
    return sorted(range(len(levels)), key=lambda index: (-levels[index], index))


def _worst_decibels(block: Block, colour: Colour) -> float | None:
    def of(deviation: Deviation | None) -> float | None:
        return None if deviation is None else deviation.sqnr_db

    values = [of(x.own if colour == "local" else x.accumulated) for x in block.layers]
    return min((value for value in values if value is not None), default=None)


def _levels(decibels: Sequence[float | None]) -> list[float]:
    """Divide errors by the largest, from zero on; what loses nothing, or has no signal, has 0."""
    ratios = [0.0 if value is None else 10 ** (-value / 20) for value in decibels]
    most = max(ratios, default=0.0) or 1.0
    return [ratio / most for ratio in ratios]


def _by_cause(blocks: Sequence[Block]) -> tuple[Shade, ...]:
    letters = {cause: letter for letter, cause, _ in cause_legend(blocks)}
    costs = [0.0 if b.worst.cause is None else b.worst.cause.severity_db for b in blocks]
    most = max(costs, default=0.0) or 1.0
    return tuple(
        Shade(
            max(cost / most, _LEAST_LEVEL),
            CAUSES[block.worst.cause.cause] if block.worst.cause else "ordinary rounding",
            letters[block.worst.cause.cause] if block.worst.cause else "",
        )
        for block, cost in zip(blocks, costs, strict=True)
    )


def group_blocks(
    blocks: Sequence[Block], shades: Sequence[Shade]
) -> tuple[tuple[str, tuple[tuple[Block, Shade], ...]], ...]:
    """Gather neighbours that belong to one part of the network, with the name of the part."""
    pairs = zip(blocks, shades, strict=True)
    grouped = groupby(pairs, key=lambda pair: pair[0].group)
    return tuple((name, tuple(members)) for name, members in grouped)


def cause_legend(blocks: Iterable[Block]) -> tuple[tuple[str, CauseName, int], ...]:
    """List the causes of blocks with a letter and their number, the most frequent first."""
    counts = Counter(block.worst.cause.cause for block in blocks if block.worst.cause is not None)
    return tuple(
        (chr(ord("A") + rank), cause, count)
        for rank, (cause, count) in enumerate(counts.most_common())
    )
