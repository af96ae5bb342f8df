"""From two TFLite files and pictures to `LayerErrors`: pair, measure, diagnose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from engine.comparison.layers.causes import diagnose
from engine.comparison.layers.measuring import (
    PASS_BYTES,
    STAGE,
    UNMEASURABLE,
    PairSums,
    Sides,
    measurable,
    measure,
)
from engine.comparison.layers.pairing import Pairing, pair_operators, read_weights
from engine.comparison.layers.range_causes import Case, NetworkInput
from engine.comparison.layers.records import LayerError, LayerErrors, Unmatched, WeightError
from engine.core.errors import ConversionError, OptionError
from engine.core.formats import plural, verb
from engine.core.types import FloatArray
from engine.tflite.graph import CHANNEL_AXIS, PASSING, Graph, Operator

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
    modules: Mapping[int, str] = MappingProxyType({}),
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
        modules: Names of PyTorch modules, by place of the operator in the float32 file.

    Returns:
        One record an operator.

    Raises:
        OptionError: The file has no operator on integers, or none with a counterpart.
        ConversionError: LiteRT refuses a file, answers otherwise when activations are kept, or
            gives values that are not finite.
    """
    exact, integer = Graph(exact_file), Graph(integer_file)
    _check_integers(integer, variant)
    pairing = pair_operators(exact, integer)
    pairs = tuple(pair for pair in pairing.pairs if measurable(exact, integer, pair))
    if not pairs:
        raise _refusal(
            variant, "no operator that stands for one of the float32 file", "some", UNMEASURABLE
        )
    sides = Sides(exact, integer, pairs)
    sums = measure(sides, batches, threads, pass_bytes=pass_bytes)
    return LayerErrors(
        run=run,
        variant=variant,
        pictures=pictures,
        layers=_diagnose(sides, _worst_outputs(sums), chosen_by, modules),
        unmatched=_list_unmatched(pairing, variant),
        notes=tuple(_notes(pairing, variant, pictures)),
    )


def _refusal(variant: str, got: str, expected: str, todo: str) -> OptionError:
    return OptionError(STAGE, got=f"{variant}, which has {got}", expected=expected, todo=todo)


def _check_integers(integer: Graph, variant: str) -> None:
    outputs = (tensor for operator in integer.operators for tensor in operator.outputs)
    if not any(integer.grid(tensor) is not None for tensor in outputs):
        raise _refusal(
            variant,
            "no activation in integers",
            "a variant that computes in integers",
            "Choose another variant of this run, if one of them does.",
        )
    if len(integer.model.subgraphs) > 1 or len(integer.inputs) != 1:
        raise _refusal(
            variant, "control flow or several inputs", "one graph with one input", UNMEASURABLE
        )


def _worst_outputs(sums: list[PairSums]) -> list[PairSums]:
    """Choose of each operator the output that loses most."""
    worst: dict[int, tuple[float, PairSums]] = {}
    for output in sums:
        errors = output.own or output.accumulated
        ratio = errors.energy / output.values.energy if output.values.energy else 0.0
        worse = worst.get(output.pair.integer.index)
        if worse is None or ratio > worse[0]:
            worst[output.pair.integer.index] = ratio, output
    return [output for _, output in worst.values()]


def _diagnose(
    sides: Sides,
    sums: list[PairSums],
    chosen_by: Callable[[int], str | None],
    modules: Mapping[int, str],
) -> tuple[LayerError, ...]:
    """Add findings to the figures; an operator's sources stand before it."""
    producer = sides.integer.producer
    done: dict[int, LayerError] = {}
    movement = {output.pair.integer.index: output.movement.ratio for output in sums}
    still = still_operators(producer, movement)
    for output in sums:
        layer = replace(_layer(sides, output), module=modules.get(output.pair.exact.index, ""))
        operator = output.pair.integer
        source = still.get(operator.index, -1)
        case = Case(
            layer,
            _network_input(output),
            _sources(operator, producer, done),
            chosen_by(output.pair.exact.index),
            first_still=source == operator.index,
            still_source=None if source == operator.index else done.get(source),
        )
        done[operator.index] = diagnose(case)
    return tuple(done.values())


def _sources(
    operator: Operator, producer: Mapping[int, Operator], done: Mapping[int, LayerError]
) -> tuple[LayerError, ...]:
    """Find the operators that set the grids that an operator reads, past those that pass one on."""
    sources: dict[int, LayerError] = {}
    waiting = list(operator.activations.values())
    while waiting:
        source = producer.get(waiting.pop())
        if source is None or source.index in sources:
            continue
        layer = done.get(source.index)
        if layer is not None:
            sources[source.index] = layer
        if layer is None or not layer.own_grid:
            waiting.extend(source.activations.values())
    return tuple(sources.values())


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
    read = [sides.integer.grid(index) for index in operator.activations.values()]
    errors = own or accumulated
    return LayerError(
        index=operator.index,
        name=sides.integer.name(tensor),
        op=operator.opcode,
        shape=sums.pair.exact.shapes[sums.output],
        dtype=sides.integer.dtype(tensor),
        macs=count_macs(sides.integer, operator) // sides.integer.batch,
        rms=values.rms,
        low=values.low,
        high=values.high,
        grid=grid,
        # A ReLU6 before and after a layer gives both the same grid, and yet it is the layer's own.
        own_grid=grid is not None and not (operator.opcode in PASSING and grid in read),
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
    """Compute the share of the grid between the smallest and the largest float value."""
    values, grid = sums.values, sums.values.grid
    if grid is None:
        return None
    low, high = max(values.low, grid.low), min(values.high, grid.high)
    return max(high - low, 0.0) / grid.width


def count_macs(graph: Graph, operator: Operator) -> int:
    """Count multiply-accumulates of an operator for one call; 0 for those without weights."""
    weights, out = operator.constants.get(1), prod(operator.shapes[0])
    if operator.opcode == "TRANSPOSE_CONV" and weights is not None and 2 in operator.activations:
        return prod(graph.shape(operator.activations[2])) * prod(weights[:3])
    if operator.opcode == "BATCH_MATMUL" and 0 in operator.activations:
        return out * graph.shape(operator.activations[0])[-1]
    if weights is None or operator.opcode not in CHANNEL_AXIS:
        return 0
    return out * prod(weights[1:3] if operator.opcode == "DEPTHWISE_CONV_2D" else weights[1:])


def _weight_error(sides: Sides, sums: PairSums) -> WeightError | None:
    exact = read_weights(sides.exact, sums.pair.exact)
    integer = read_weights(sides.integer, sums.pair.integer)
    if exact is None or integer is None or integer[1] == 0 or exact[0].shape != integer[0].shape:
        return None
    (weights, _), (rounded, scales) = exact, integer
    signal = np.square(weights, dtype=np.float64).sum(axis=1)
    error = np.square(rounded - weights, dtype=np.float64).sum(axis=1)
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


def _list_unmatched(pairing: Pairing, variant: str) -> tuple[Unmatched, ...]:
    sides: dict[str, Any] = {FLOAT32: pairing.exact_only, variant: pairing.integer_only}
    return tuple(
        Unmatched(side, operator.index, operator.opcode, operator.name, operator.shapes[0])
        for side, operators in sides.items()
        for operator in operators
    )


def _notes(pairing: Pairing, variant: str, pictures: int) -> Iterator[str]:
    for side, missing in ((FLOAT32, pairing.exact_only), (variant, pairing.integer_only)):
        if missing:
            have, are = verb(len(missing), "has", "have"), verb(len(missing), "is", "are")
            operators = plural(len(missing), "operator")
            yield f"{operators} of {side} {have} no counterpart and {are} not measured."
    if pictures < FEW_PICTURES:
        subject = f"{plural(pictures, 'picture')} {verb(pictures, 'does', 'do')}"
        yield f"{subject} not show how far activations reach: take {FEW_PICTURES} or more."


STILL = 0.01
"""Change over the pictures, divided by that of float32, up to which an output stands still."""


def still_operators(
    producer: Mapping[int, Operator], movement: Mapping[int, float | None]
) -> dict[int, int]:
    """Find the operators that stand still on the way to a last one that does.

    An operator that stands still beside the way, such as a gate that is always open, is none of
    them: its reader moves.

    Args:
        producer: The operator that makes each tensor of the integer file.
        movement: See `LayerError.movement`, by index of the measured operators.

    Returns:
        By index of each such operator, that of the first one before it: its own where all that it
        reads moves. Empty where the last operator moves.
    """
    operators = {operator.index: operator for operator in producer.values()}
    still = {index for index, ratio in movement.items() if ratio is not None and ratio <= STILL}
    end = max(movement, default=-1)
    if end not in still:
        return {}
    before: dict[int, list[int]] = {}
    waiting = [end]
    while waiting:
        index = waiting.pop()
        if index not in before:
            sources = _find_measured(operators[index], producer, movement)
            before[index] = sorted(still & set(sources))
            waiting += before[index]
    first: dict[int, int] = {}
    for index in sorted(before):
        first[index] = first[before[index][0]] if before[index] else index
    return first


def _find_measured(
    operator: Operator, producer: Mapping[int, Operator], movement: Mapping[int, float | None]
) -> Iterator[int]:
    """Find the operators that it reads from, past those that were not measured."""
    waiting, seen = list(operator.activations.values()), set[int]()
    while waiting:
        source = producer.get(waiting.pop())
        if source is None or source.index in seen:
            continue
        seen.add(source.index)
        if source.index in movement:
            yield source.index
        else:
            waiting.extend(source.activations.values())
