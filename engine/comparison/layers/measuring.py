"""Pictures through a float32 file and an integer one at once, operator by operator.

Four files run side by side: the float32 file and the integer one, each with its activations as
outputs, and the operators of both taken apart (`engine.comparison.layers.isolated`). That the two
whole files still answer as they do without such outputs is checked for every picture, bit by bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from math import prod

import numpy as np

from engine.comparison.layers.graph import Graph
from engine.comparison.layers.isolated import Source, feedable, lone_floats, lone_integers
from engine.comparison.layers.pairing import Pair
from engine.comparison.layers.statistics import Errors, Movement, Values, on_grid
from engine.core.errors import ConversionError
from engine.core.types import FloatArray
from engine.tflite.graph import expose, packed, parsed, require_shape
from engine.tflite.interpreter import interpreter_of, quantized

PASS_BYTES = 1 << 30
"""Activations held at once by all threads; larger networks are run several times over."""
STAGE = "Measuring layer errors"
_TODO = "Measure another variant."
UNMEASURABLE = "Leave this analysis out: the operators of this model cannot be taken one by one."


@dataclass(slots=True)
class PairSums:
    """What was seen of a pair.

    Attributes:
        pair: The operators.
        output: Which of their outputs.
        values: The float output on the integer output's grid.
        accumulated: Errors as the network runs.
        movement: How far the outputs move from those of the first picture, as the network runs.
        own: Errors of the operator alone; None where it cannot be.
        inputs: The network's input on the grid that this operator reads it with; None for
            operators that do not read it.
        input_tensor: The integer tensor that this operator reads it from; -1 without.
    """

    pair: Pair
    output: int
    values: Values
    accumulated: Errors
    movement: Movement
    own: Errors | None
    inputs: Values | None
    input_tensor: int

    @property
    def tensors(self) -> tuple[int, int]:
        """The float tensor and the integer one."""
        return self.pair.exact.outputs[self.output], self.pair.integer.outputs[self.output]

    def merge(self, other: PairSums) -> None:
        """Take in what another thread saw."""
        self.values.merge(other.values)
        self.accumulated.merge(other.accumulated)
        self.movement.merge(other.movement)
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
        pictures = batches()
        first = next(pictures)
        source = _Shared(chain([first], pictures))
        benches = [_Bench(sides, pairs) for _ in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(bench.take, source, first) for bench in benches]:
                done.result()
        whole, *others = benches
        for bench in others:
            for sums, more in zip(whole.sums, bench.sums, strict=True):
                sums.merge(more)
        found += whole.sums
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
    """Pairs that are measured together: outputs, whole, before and alone, and what is fed."""
    passes: list[list[Pair]] = [[]]
    held = 0
    for pair in sides.pairs:
        values = sum(prod(shape) for shape in pair.exact.shapes)
        read = sum(prod(sides.exact.shape(tensor)) for tensor in pair.exact.inputs.values())
        size = (4 + 2) * (3 * values + read)
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
        self._name, self._graph = name, graph
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
            # NaN on both sides is the same answer; that it is NaN is told with the figures.
            if not np.array_equal(plain, kept, equal_nan=plain.dtype.kind == "f"):
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
        graph = self._graph
        require_shape(graph.name(tensor), array.shape, graph.shape(tensor), STAGE, UNMEASURABLE)
        return array


class _Alone:
    """A thread's lone operators of both files."""

    def __init__(self, sides: Sides, pairs: Sequence[Pair], start: int, room: FloatArray) -> None:
        self._integer, self._start, self._room = sides.integer, start, room
        integers = lone_integers(sides.integer, pairs, len(sides.integer_file))
        floats = lone_floats(sides.exact, pairs, len(sides.exact_file))
        self._fed = {key: (place, floats.fed[key]) for key, place in integers.fed.items()}
        self._integers = interpreter_of(integers.model, 1, STAGE, _TODO)
        self._floats = interpreter_of(floats.model, 1, STAGE, _TODO)

    def feed(self, batch: FloatArray, exact: _Kept) -> dict[Source, np.ndarray]:
        """Bring float values to the grids of what reads them.

        Returns:
            The integers, by what they stand for; valid until `run`.
        """
        laid = {}
        for (tensor, whole), (place, real) in self._fed.items():
            values = batch if tensor == self._start else exact.values(tensor)
            integers = self._integers.tensor(place)()
            floats = self._floats.tensor(real)()
            grid = self._integer.grid(whole)
            if grid is None:
                np.copyto(integers, values.reshape(integers.shape))
                np.copyto(floats, values.reshape(floats.shape))
                continue
            on_grid(values, grid, self._room, integers)
            np.subtract(integers, grid.zero_point, out=floats, dtype=np.float32)
            floats *= np.float32(grid.scale)
            laid[tensor, whole] = integers
        return laid

    def run(self) -> None:
        """Run the operators; nobody may hold what `feed` gave."""
        self._integers.invoke()
        self._floats.invoke()

    def values(self, tensors: tuple[int, int]) -> tuple[FloatArray, np.ndarray]:
        """What the float operator gave and what the integer one."""
        return self._floats.tensor(tensors[0])(), self._integers.tensor(tensors[1])()


class _Bench:
    """One thread's models and sums."""

    def __init__(self, sides: Sides, pairs: tuple[Pair, ...]) -> None:
        (self._start,) = [int(index) for index in sides.exact.objects.subgraphs[0].inputs]
        self._batch = sides.exact.batch
        self._integer = sides.integer
        made = (index for operator in sides.exact.operators for index in operator.outputs)
        known = frozenset(i for i in made if sides.exact.dtype(i) == "float32") | {self._start}
        fed = [pair for pair in pairs if feedable(sides.integer, pair, known)]
        self.sums = [
            sums
            for pair in pairs
            for sums in self._sums_of(sides, pair, alone=any(pair is one for one in fed))
        ]
        read = {tensor for pair in fed for tensor in pair.read.values()}
        wanted = {sums.tensors[0] for sums in self.sums} | read - {self._start}
        sizes = [prod(sides.exact.shape(tensor)) for tensor in {self._start, *wanted}]
        self._room = np.empty(max(sizes), dtype=np.float32)
        self._alone = _Alone(sides, fed, self._start, self._room) if fed else None
        self._exact = _Kept("float32", sides.exact, sides.exact_file, sorted(wanted))
        self._whole = _Kept(
            "the variant",
            sides.integer,
            sides.integer_file,
            sorted({sums.tensors[1] for sums in self.sums}),
        )

    def _sums_of(self, sides: Sides, pair: Pair, *, alone: bool) -> Iterator[PairSums]:
        start = sides.exact.shape(self._start)
        read = [pair.integer.inputs[at] for at, index in pair.read.items() if index == self._start]
        for output, tensor in enumerate(pair.integer.outputs):
            grid, shape = sides.integer.grid(tensor), pair.exact.shapes[output]
            input_grid = sides.integer.grid(read[0]) if read else None
            yield PairSums(
                pair=pair,
                output=output,
                values=Values(shape, grid),
                accumulated=Errors(shape, grid, self._batch),
                movement=Movement(grid),
                own=Errors(shape, grid, self._batch) if alone else None,
                inputs=Values(start, input_grid) if input_grid is not None else None,
                input_tensor=read[0] if read else -1,
            )

    def take(self, source: _Shared, first: FloatArray) -> None:
        """Measure pictures until there are no more; movement is that from the first one."""
        try:
            # Values that are not finite end in an error when all pictures are seen.
            with np.errstate(invalid="ignore", over="ignore"):
                self._begin(np.repeat(first, self._batch, axis=0))
                for picture in source:
                    self._look_at(np.repeat(picture, self._batch, axis=0))
        finally:
            source.end()

    def _begin(self, batch: FloatArray) -> None:
        self._exact.run(batch)
        self._whole.run(batch)
        for sums in self.sums:
            one, other = sums.tensors
            sums.movement.begin(self._exact.values(one), self._whole.values(other))

    def _look_at(self, batch: FloatArray) -> None:
        self._exact.run(batch)
        self._whole.run(batch)
        laid = self._alone.feed(batch, self._exact) if self._alone is not None else {}
        for sums in self.sums:
            values = self._exact.values(sums.tensors[0])
            sums.values.add(values, self._laid(sums.tensors, values, laid))
            if sums.inputs is not None:
                tensors = self._start, sums.input_tensor
                sums.inputs.add(batch, self._laid(tensors, batch, laid))
            whole = self._whole.values(sums.tensors[1])
            sums.accumulated.add(values, whole, self._room)
            sums.movement.add(values, whole, self._room)
        laid.clear()
        if self._alone is not None:
            self._alone.run()
            for sums in self.sums:
                if sums.own is not None:
                    sums.own.add(*self._alone.values(sums.tensors), self._room)

    def _laid(
        self, tensors: Source, values: FloatArray, laid: dict[Source, np.ndarray]
    ) -> np.ndarray | None:
        """Float values on the grid of their integer tensor; None for a float one."""
        grid = self._integer.grid(tensors[1])
        if grid is None or tensors in laid:
            return laid.get(tensors)
        integers = np.empty(values.size, dtype=self._integer.dtype(tensors[1]))
        on_grid(values, grid, self._room, integers)
        return integers
