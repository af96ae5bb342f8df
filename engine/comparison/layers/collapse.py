"""Where the answers of an integer file that are the same for every picture begin to be so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.comparison.layers.graph import Operator

STILL = 0.01
"""Change over the pictures, divided by that of float32, up to which an output stands still."""


def still_operators(
    maker: Mapping[int, Operator], movement: Mapping[int, float | None]
) -> dict[int, int]:
    """Find the operators that stand still on the way to a last one that does.

    An operator that stands still beside the way, such as a gate that is always open, is none of
    them: its reader moves.

    Args:
        maker: The operator that makes each tensor of the integer file.
        movement: See `LayerError.movement`, by index of the measured operators.

    Returns:
        By index of each such operator, that of the first one before it: its own where all that it
        reads moves. Empty where the last operator moves.
    """
    operators = {operator.index: operator for operator in maker.values()}
    still = {index for index, ratio in movement.items() if ratio is not None and ratio <= STILL}
    end = max(movement, default=-1)
    if end not in still:
        return {}
    before: dict[int, list[int]] = {}
    waiting = [end]
    while waiting:
        index = waiting.pop()
        if index not in before:
            sources = _measured_sources(operators[index], maker, movement)
            before[index] = sorted(still & set(sources))
            waiting += before[index]
    first: dict[int, int] = {}
    for index in sorted(before):
        first[index] = first[before[index][0]] if before[index] else index
    return first


def _measured_sources(
    operator: Operator, maker: Mapping[int, Operator], movement: Mapping[int, float | None]
) -> Iterator[int]:
    """Operators that it reads from, past those that were not measured."""
    waiting, seen = list(operator.inputs.values()), set[int]()
    while waiting:
        source = maker.get(waiting.pop())
        if source is None or source.index in seen:
            continue
        seen.add(source.index)
        if source.index in movement:
            yield source.index
        else:
            waiting.extend(source.inputs.values())
