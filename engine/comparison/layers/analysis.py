"""From two TFLite files and pictures to `LayerErrors`: pair, measure, diagnose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from engine.comparison.layers.causes import diagnosed
from engine.comparison.layers.graph import PASSING, Graph, Operator
from engine.comparison.layers.measuring import (
    PASS_BYTES,
    STAGE,
    UNMEASURABLE,
    PairSums,
    Sides,
    measurable,
    measure,
)
from engine.comparison.layers.pairing import Pairing, paired
from engine.comparison.layers.range_causes import Case, NetworkInput
from engine.comparison.layers.records import LayerError, LayerErrors, Unmatched, WeightError
from engine.core.errors import ConversionError, OptionError
from engine.core.types import FloatArray
from engine.tflite.graph import parsed

FLOAT32 = "float32"
FEW_PICTURES = 8
_TINY = 1e-6


def layer_errors(
    exact_file: bytes,
    integer_file: bytes,
    batches: Callable[[], Iterator[FloatArray]],
    *,
    run: str,
    variant: str,
    pictures: int,
    threads: int = 1,
    pass_bytes: int = PASS_BYTES,
    chosen_by: Callable[[int], str | None] = lambda _: None,
) -> LayerErrors:
    """Measure what every operator of an integer file loses, and say why.

    Args:
        exact_file: Content of the float32 TFLite file.
        integer_file: Content of the integer file; some of its operators may compute in float.
        batches: Gives the network's input, picture by picture in its own layout; asked as often
            as the activations do not fit into memory at once.
        run: Name of the run, for the record.
        variant: Name of the integer file.
        pictures: How many pictures `batches` gives.
        threads: Threads to use.
        pass_bytes: Activations to hold at once.
        chosen_by: Says of an operator of the float32 file, by its place, what chose the range of
            its output where that may leave values out, for a sentence to begin with.

    Returns:
        One record an operator.

    Raises:
        OptionError: The file has no operator on integers, or none with a counterpart.
        ConversionError: LiteRT refuses a file, answers otherwise when activations are kept, or
            gives values that are not finite.
    """
    exact, integer = Graph(parsed(exact_file)), Graph(parsed(integer_file))
    _check_integers(integer, variant)
    pairing = paired(exact, integer)
    pairs = tuple(pair for pair in pairing.pairs if measurable(exact, integer, pair))
    if not pairs:
        raise _refused(
            variant, "no operator that stands for one of the float32 file", "some", UNMEASURABLE
        )
    sides = Sides(exact, integer, exact_file, integer_file, pairs)
    sums = measure(sides, batches, threads, pass_bytes=pass_bytes)
    return LayerErrors(
        run=run,
        variant=variant,
        pictures=pictures,
        layers=_diagnosed(sides, _worst_outputs(sums), chosen_by),
        unmatched=_unmatched(pairing, variant),
        notes=tuple(_notes(pairing, variant, pictures)),
    )


def _refused(variant: str, got: str, expected: str, todo: str) -> OptionError:
    return OptionError(STAGE, got=f"{variant}, which has {got}", expected=expected, todo=todo)


def _check_integers(integer: Graph, variant: str) -> None:
    outputs = (tensor for operator in integer.operators for tensor in operator.outputs)
    if not any(integer.grid(tensor) is not None for tensor in outputs):
        raise _refused(
            variant,
            "no activation in integers",
            "a variant that computes in integers",
            "Choose another variant of this run, if one of them does.",
        )
    inputs = integer.objects.subgraphs[0].inputs
    if len(integer.objects.subgraphs) > 1 or len(inputs) != 1:
        raise _refused(
            variant, "control flow or several inputs", "one graph with one input", UNMEASURABLE
        )


def _worst_outputs(sums: list[PairSums]) -> list[PairSums]:
    """Of each operator the output that loses most."""
    worst: dict[int, tuple[float, PairSums]] = {}
    for found in sums:
        errors = found.own or found.accumulated
        ratio = errors.energy / found.values.energy if found.values.energy else 0.0
        known = worst.get(found.pair.integer.index)
        if known is None or ratio > known[0]:
            worst[found.pair.integer.index] = ratio, found
    return [found for _, found in worst.values()]


def _diagnosed(
    sides: Sides, sums: list[PairSums], chosen_by: Callable[[int], str | None]
) -> tuple[LayerError, ...]:
    """Figures with findings; an operator's sources stand before it."""
    maker = {
        tensor: operator for operator in sides.integer.operators for tensor in operator.outputs
    }
    done: dict[int, LayerError] = {}
    movement = {found.pair.integer.index: found.movement.ratio for found in sums}
    still = still_operators(maker, movement)
    for found in sums:
        layer = _layer(sides, found)
        operator = found.pair.integer
        source = still.get(operator.index, -1)
        case = Case(
            layer,
            _network_input(found),
            _sources(operator, maker, done),
            chosen_by(found.pair.exact.index),
            first_still=source == operator.index,
            still_source=None if source == operator.index else done.get(source),
        )
        done[operator.index] = diagnosed(case)
    return tuple(done.values())


def _sources(
    operator: Operator, maker: dict[int, Operator], done: dict[int, LayerError]
) -> tuple[LayerError, ...]:
    """The operators that set the grids which an operator reads, past those that pass one on."""
    found: dict[int, LayerError] = {}
    waiting = list(operator.inputs.values())
    while waiting:
        source = maker.get(waiting.pop())
        if source is None or source.index in found:
            continue
        layer = done.get(source.index)
        if layer is not None:
            found[source.index] = layer
        if layer is None or not layer.own_grid:
            waiting.extend(source.inputs.values())
    return tuple(found.values())


def _network_input(sums: PairSums) -> NetworkInput | None:
    seen = sums.inputs
    if seen is None or seen.grid is None:
        return None
    return NetworkInput(seen.grid, seen.low, seen.high, (seen.below + seen.above) / seen.count)


def _layer(sides: Sides, sums: PairSums) -> LayerError:
    operator, (_, tensor) = sums.pair.integer, sums.tensors
    values, grid = sums.values, sums.values.grid
    accumulated, own = sums.accumulated, sums.own
    if not (values.finite and np.isfinite(accumulated.energy)):
        raise ConversionError(
            STAGE,
            got=f"values that are not finite in {operator.name}",
            expected="finite activations for every picture",
            todo="Check the weights and the preprocessing; the model overflows.",
        )
    read = [sides.integer.grid(index) for index in operator.inputs.values()]
    errors = own or accumulated
    return LayerError(
        index=operator.index,
        name=sides.integer.name(tensor),
        op=operator.op,
        shape=sums.pair.exact.shapes[sums.output],
        dtype=sides.integer.dtype(tensor),
        macs=sides.integer.macs(operator) // sides.integer.batch,
        rms=values.rms,
        low=values.low,
        high=values.high,
        grid=grid,
        # A ReLU6 before and after a layer gives both the same grid, and yet it is the layer's own.
        own_grid=grid is not None and not (operator.op in PASSING and grid in read),
        saturation=accumulated.at_ends / accumulated.count if grid else None,
        clipped=(values.below + values.above) / values.count if grid else None,
        clip_ratio=min(values.clip_energy / errors.energy, 1.0) if errors.energy else 0.0,
        range_used=_range_used(sums),
        channels=values.channel_ranges(),
        weights=_weight_error(sides, sums),
        accumulated=accumulated.deviation(values.energy),
        own=None if own is None else own.deviation(values.energy),
        histogram=values.histogram(),
        below=values.below,
        above=values.above,
        movement=sums.movement.ratio,
    )


def _range_used(sums: PairSums) -> float | None:
    """Share of the grid's width that lies between the smallest and the largest float value."""
    values, grid = sums.values, sums.values.grid
    if grid is None:
        return None
    low, high = max(values.low, grid.low), min(values.high, grid.high)
    return max(high - low, 0.0) / grid.width


def _weight_error(sides: Sides, sums: PairSums) -> WeightError | None:
    exact = sides.exact.weights(sums.pair.exact)
    integer = sides.integer.weights(sums.pair.integer)
    if exact is None or integer is None or integer[1] == 0 or exact[0].shape != integer[0].shape:
        return None
    (weights, _), (found, scales) = exact, integer
    signal = np.square(weights, dtype=np.float64).sum(axis=1)
    error = np.square(found - weights, dtype=np.float64).sum(axis=1)
    measured = (signal > 0) & (error > 0)
    ratios = np.where(measured, error / np.where(signal > 0, signal, 1), 0.0)
    worst = int(ratios.argmax())
    largest = np.abs(weights).max(axis=1)
    live = largest[largest > _TINY * largest.max()]
    return WeightError(
        channels=len(weights),
        scales=scales,
        worst_channel=worst,
        worst_sqnr_db=float(-10 * np.log10(ratios[worst])) if measured.any() else None,
        spread=float(live.max() / live.min()) if len(live) else 1.0,
        widest=float(live.max() / np.median(live)) if len(live) else 1.0,
    )


def _unmatched(pairing: Pairing, variant: str) -> tuple[Unmatched, ...]:
    sides: dict[str, Any] = {FLOAT32: pairing.exact_only, variant: pairing.integer_only}
    return tuple(
        Unmatched(side, operator.index, operator.op, operator.name, operator.shapes[0])
        for side, operators in sides.items()
        for operator in operators
    )


def _notes(pairing: Pairing, variant: str, pictures: int) -> Iterator[str]:
    for side, missing in ((FLOAT32, pairing.exact_only), (variant, pairing.integer_only)):
        if missing:
            count = len(missing)
            yield (
                f"{count} operator{'s' if count > 1 else ''} of {side} "
                f"{'have' if count > 1 else 'has'} no counterpart and "
                f"{'are' if count > 1 else 'is'} not measured."
            )
    if pictures < FEW_PICTURES:
        subject = f"{pictures} picture{'s do' if pictures > 1 else ' does'}"
        yield f"{subject} not show how far activations reach: take {FEW_PICTURES} or more."


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
