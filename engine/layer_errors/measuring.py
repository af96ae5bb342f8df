"""Pictures through a float32 file and an integer one at once, operator by operator.

Three files run side by side: the float32 file and the integer one, each with its activations as
outputs, and the integer file's operators taken apart (`engine.layer_errors.own`). That the two
whole files still answer as they do without such outputs is checked for every picture, bit by bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from engine.errors import ConversionError
from engine.layer_errors.graph import Graph
from engine.layer_errors.own import LoneOperators, lone_operators
from engine.layer_errors.pairing import Pair
from engine.layer_errors.statistics import Errors, Values, on_grid
from engine.run.tflite_runner import quantized
from engine.tflite_graph import expose, interpreter_of, packed, parsed
from engine.types import FloatArray

PASS_BYTES = 1 << 30
"""Activations held at once by all threads; larger networks are run several times over."""

STAGE = "Measuring layer errors"
_TODO = "Measure another variant."


@dataclass(slots=True)
class PairSums:
    """What was seen of a pair.

    Attributes:
        pair: The operators.
        output: Which of their outputs.
        values: The float output on the integer output's grid.
        accumulated: Errors as the network runs.
        own: Errors of the operator alone; None where it cannot be.
        inputs: The network's input on the grid that this operator reads it with; None for
            operators that do not read it.
    """

    pair: Pair
    output: int
    values: Values
    accumulated: Errors
    own: Errors | None
    inputs: Values | None

    @property
    def tensors(self) -> tuple[int, int]:
        """The float tensor and the integer one."""
        return self.pair.exact.outputs[self.output], self.pair.integer.outputs[self.output]

    def merge(self, other: PairSums) -> None:
        """Take in what another thread saw."""
        self.values.merge(other.values)
        self.accumulated.merge(other.accumulated)
        if self.own is not None and other.own is not None:
            self.own.merge(other.own)
        if self.inputs is not None and other.inputs is not None:
            self.inputs.merge(other.inputs)


@dataclass(frozen=True, slots=True)
class Sides:
    """The two files and what is to be measured of them.

    Attributes:
        exact: Graph of the float32 file.
        integer: Graph of the integer file.
        exact_file: Content of the float32 file.
        integer_file: Content of the integer file.
        pairs: Operators whose outputs are measured.
    """

    exact: Graph
    integer: Graph
    exact_file: bytes = field(repr=False)
    integer_file: bytes = field(repr=False)
    pairs: tuple[Pair, ...]


def measure(
    sides: Sides,
    batches: Callable[[], Iterator[FloatArray]],
    threads: int,
    *,
    pass_bytes: int = PASS_BYTES,
) -> list[PairSums]:
    """Show pictures to both files and sum up what each pair's outputs are.

    Args:
        sides: The files.
        batches: Gives the network's input, picture by picture in its own layout; asked once a
            pass, and from several threads in turns.
        threads: Threads to share the pictures among.
        pass_bytes: Activations to hold at once in all threads.

    Returns:
        Sums of every output of every pair, in the order of the pairs.

    Raises:
        ConversionError: LiteRT refuses a file, a file answers otherwise when its activations are
            kept, or an activation is not finite.
    """
    found: list[PairSums] = []
    for pairs in _passes(sides, pass_bytes // threads):
        source = _Shared(batches())
        benches = [_Bench(sides, pairs) for _ in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(bench.take, source) for bench in benches]:
                done.result()
        first, *others = benches
        for bench in others:
            for sums, more in zip(first.sums, bench.sums, strict=True):
                sums.merge(more)
        found += first.sums
    return found


def measurable(exact: Graph, integer: Graph, pair: Pair) -> bool:
    """Whether a pair's outputs are real values on both sides."""
    one, other = pair.exact.outputs, pair.integer.outputs
    return (
        len(one) == len(other)
        and all(exact.dtype(tensor) == "float32" for tensor in one)
        and all(integer.activation(tensor) for tensor in other)
    )


def _passes(sides: Sides, pass_bytes: int) -> list[tuple[Pair, ...]]:
    """Pairs that are measured together: float inputs and outputs, and integers twice."""
    passes: list[list[Pair]] = [[]]
    held = 0
    for pair in sides.pairs:
        values = sum(prod(shape) for shape in pair.exact.shapes)
        read = sum(prod(sides.exact.shape(tensor)) for tensor in pair.exact.inputs.values())
        size = 4 * (values + read) + 4 * values + 2 * read
        if held + size > pass_bytes and passes[-1]:
            passes.append([])
            held = 0
        passes[-1].append(pair)
        held += size
    return [tuple(pairs) for pairs in passes]


class _Shared:
    """One iterator for several threads, which ends for all when one of them fails."""

    def __init__(self, batches: Iterator[FloatArray]) -> None:
        self._batches = batches
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[FloatArray]:
        while True:
            with self._lock:
                batch = next(self._batches, None)
            if batch is None:
                return
            yield batch

    def end(self) -> None:
        """Hand out no more."""
        with self._lock:
            self._batches = iter(())


class _Kept:
    """A file that runs with activations kept, beside the file as it is."""

    def __init__(self, name: str, graph: Graph, file: bytes, wanted: Sequence[int]) -> None:
        self._name = name
        first = graph.objects.subgraphs[0]
        (self._start,) = [int(index) for index in first.inputs]
        self._ends = [int(index) for index in first.outputs]
        self._plain = interpreter_of(file, 1, STAGE, _TODO)
        # Parsed anew: the objects are shared among threads.
        objects = parsed(file)
        expose(objects, list(dict.fromkeys([*wanted, *self._ends])))
        self._kept = interpreter_of(packed(objects, len(file)), 1, STAGE, _TODO)
        (self._input,) = self._plain.get_input_details()

    def run(self, batch: FloatArray) -> None:
        fed = quantized(batch, self._input)
        for interpreter in (self._plain, self._kept):
            interpreter.set_tensor(self._start, fed)
            interpreter.invoke()
        for index in self._ends:
            plain, kept = self._plain.get_tensor(index), self._kept.get_tensor(index)
            if not np.array_equal(plain, kept):
                raise ConversionError(
                    STAGE,
                    got=f"{np.count_nonzero(plain != kept)} of {plain.size} outputs of "
                    f"{self._name} that differ as soon as its activations are kept",
                    expected="the very same answers, so that the activations are to be believed",
                    todo="Please report it with the file: LiteRT gives other values for it.",
                )

    def values(self, tensor: int) -> np.ndarray:
        """Values of the last call; valid until the next."""
        array: np.ndarray = self._kept.tensor(tensor)()
        return array


class _Bench:
    """One thread's models and sums."""

    def __init__(self, sides: Sides, pairs: tuple[Pair, ...]) -> None:
        graph = sides.exact.objects.subgraphs[0]
        (self._start,) = [int(index) for index in graph.inputs]
        self._made = frozenset(
            index
            for operator in sides.exact.operators
            for index in operator.outputs
            if sides.exact.dtype(index) == "float32"
        )
        self._integer = sides.integer
        known = self._made | {self._start}
        self._lone = lone_operators(sides.integer, pairs, known, len(sides.integer_file))
        self._lone_model: Any = None
        if self._lone is not None:
            self._lone_model = interpreter_of(self._lone.model, 1, STAGE, _TODO)
        self.sums = [sums for pair in pairs for sums in self._sums_of(sides, pair)]
        read = {tensor for tensor, _ in (self._lone.fed if self._lone is not None else ())}
        wanted = {sums.tensors[0] for sums in self.sums} | read - {self._start}
        self._exact = _Kept("float32", sides.exact, sides.exact_file, sorted(wanted))
        self._whole = _Kept(
            "the variant",
            sides.integer,
            sides.integer_file,
            sorted({sums.tensors[1] for sums in self.sums}),
        )
        sizes = [prod(sides.exact.shape(tensor)) for tensor in {self._start, *wanted}]
        self._room = np.empty(max(sizes), dtype=np.float32)

    def _sums_of(self, sides: Sides, pair: Pair) -> Iterator[PairSums]:
        alone = self._lone is not None and pair in self._lone.pairs
        for output, tensor in enumerate(pair.integer.outputs):
            grid, shape = sides.integer.grid(tensor), pair.exact.shapes[output]
            fed = [
                sides.integer.grid(pair.integer.inputs[at])
                for at, index in pair.read.items()
                if index == self._start
            ]
            start = sides.exact.shape(self._start)
            yield PairSums(
                pair=pair,
                output=output,
                values=Values(shape, grid),
                accumulated=Errors(shape, grid),
                own=Errors(shape, grid) if alone else None,
                inputs=Values(start, fed[0]) if fed and fed[0] is not None else None,
            )

    def take(self, source: _Shared) -> None:
        """Measure pictures until there are no more."""
        try:
            for batch in source:
                self._look_at(batch)
        finally:
            source.end()

    def _look_at(self, batch: FloatArray) -> None:
        self._exact.run(batch)
        self._whole.run(batch)
        laid: dict[tuple[int, int], np.ndarray] = {}
        if self._lone is not None:
            self._feed(self._lone, batch, laid)
        for sums in self.sums:
            values = self._exact.values(sums.tensors[0])
            sums.values.add(values, self._laid(sums.tensors, values, laid))
            if sums.inputs is not None:
                tensors = self._start, self._input_tensor(sums.pair)
                sums.inputs.add(batch, self._laid(tensors, batch, laid))
            sums.accumulated.add(values, self._whole.values(sums.tensors[1]), self._room)
        laid.clear()
        if self._lone is not None:
            self._lone_model.invoke()
            for sums in self.sums:
                if sums.own is not None:
                    exact, whole = sums.tensors
                    alone = self._lone_model.tensor(whole)()
                    sums.own.add(self._exact.values(exact), alone, self._room)

    def _input_tensor(self, pair: Pair) -> int:
        return next(
            pair.integer.inputs[at] for at, index in pair.read.items() if index == self._start
        )

    def _feed(
        self, lone: LoneOperators, batch: FloatArray, laid: dict[tuple[int, int], np.ndarray]
    ) -> None:
        for (tensor, whole), place in lone.fed.items():
            values = batch if tensor == self._start else self._exact.values(tensor)
            grid = self._integer.grid(whole)
            view = self._lone_model.tensor(place)()
            if grid is None:
                np.copyto(view, values.reshape(view.shape))
            else:
                on_grid(values, grid, self._room, view)
                laid[tensor, whole] = view

    def _laid(
        self,
        tensors: tuple[int, int],
        values: FloatArray,
        laid: dict[tuple[int, int], np.ndarray],
    ) -> np.ndarray | None:
        """Float values on the grid of their integer tensor; None for a float one."""
        grid = self._integer.grid(tensors[1])
        if grid is None or tensors in laid:
            return laid.get(tensors)
        room = np.empty(values.size, dtype=self._integer.dtype(tensors[1]))
        on_grid(values, grid, self._room, room)
        return room
