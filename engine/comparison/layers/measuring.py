"""Pictures through a float32 file and an integer one at once, operator by operator.

Four files run side by side: the float32 file and the integer one, each with its activations as
outputs, and the operators of both taken apart (`engine.comparison.layers.isolated`). That the two
whole files still answer as they do without such outputs is checked for every picture, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod

import numpy as np

from engine.comparison.layers.isolated import Source, feedable, lone_floats, lone_integers
from engine.comparison.layers.pairing import Pair
from engine.comparison.layers.statistics import Errors, Movement, Values
from engine.core.errors import ConversionError
from engine.core.system import share_work
from engine.core.types import FloatArray
from engine.tflite.graph import Graph, expose, pack_model, parse_model
from engine.tflite.interpreter import load_interpreter, quantize, require_shape, split_passes

PASS_BYTES = 1 << 30
"""Activations held at once by all threads; larger networks are run several times over."""
STAGE = "Measuring layer errors"
_TODO = "Measure another variant."
UNMEASURABLE = "Leave this analysis out: the operators of this model cannot be taken one by one."


@dataclass(slots=True)
class PairSums:
    """Sums over the pictures for one output of a pair.

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

    def merge(self, sums: PairSums) -> None:
        """Add what another thread saw."""
        self.values.merge(sums.values)
        self.accumulated.merge(sums.accumulated)
        self.movement.merge(sums.movement)
        if self.own is not None and sums.own is not None:
            self.own.merge(sums.own)
        if self.inputs is not None and sums.inputs is not None:
            self.inputs.merge(sums.inputs)


@dataclass(frozen=True, slots=True)
class Sides:
    """The two files and what is to be measured of them.

    Attributes:
        exact: The float32 file.
        integer: The integer file.
        pairs: Operators whose outputs are measured.
    """

    exact: Graph
    integer: Graph
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
    sums: list[PairSums] = []
    sizes = {number: _bytes_of(sides.exact, pair) for number, pair in enumerate(sides.pairs)}
    for numbers in split_passes(sizes, pass_bytes // threads):
        pairs = tuple(sides.pairs[number] for number in numbers)
        pictures = batches()
        first = next(pictures)
        threads_sums = [_ThreadSums(sides, pairs, first) for _ in range(threads)]
        share_work(chain([first], pictures), threads_sums, _ThreadSums.measure)
        whole, *others = threads_sums
        for bench in others:
            for total, more in zip(whole.sums, bench.sums, strict=True):
                total.merge(more)
        sums += whole.sums
    return sums


def measurable(exact: Graph, integer: Graph, pair: Pair) -> bool:
    """Whether a pair's outputs are real values on both sides."""
    return (
        len(pair.exact.outputs) == len(pair.integer.outputs)
        and all(exact.dtype(tensor) == "float32" for tensor in pair.exact.outputs)
        and all(integer.is_real(tensor) for tensor in pair.integer.outputs)
    )


def _bytes_of(exact: Graph, pair: Pair) -> int:
    """Estimate what a pair holds: outputs, whole and alone, and what is fed."""
    values = sum(prod(shape) for shape in pair.exact.shapes)
    read = sum(prod(exact.shape(tensor)) for tensor in pair.exact.activations.values())
    return (4 + 2) * (3 * values + read)


class _Exposed:
    """A file that runs with activations as outputs, beside the file as it is."""

    def __init__(self, name: str, graph: Graph, wanted: Sequence[int]) -> None:
        self._name, self._graph = name, graph
        self._plain = load_interpreter(graph.content, 1, STAGE, _TODO)
        # Parsed again: the graph's objects are shared among threads.
        objects = parse_model(graph.content)
        expose(objects, list(dict.fromkeys([*wanted, *graph.outputs])))
        content = pack_model(objects, len(graph.content))
        self._exposed = load_interpreter(content, 1, STAGE, _TODO)
        (self._input,) = self._plain.get_input_details()

    def run(self, batch: FloatArray) -> None:
        """Run both on a batch, and compare what they answer."""
        integers = quantize(batch, self._input)
        for interpreter in (self._plain, self._exposed):
            interpreter.set_tensor(self._graph.inputs[0], integers)
            interpreter.invoke()
        for index in self._graph.outputs:
            plain, exposed = self._plain.get_tensor(index), self._exposed.get_tensor(index)
            # NaN on both sides is the same answer; the figures say that it is NaN.
            if not np.array_equal(plain, exposed, equal_nan=plain.dtype.kind == "f"):
                raise ConversionError(
                    STAGE,
                    got=f"{np.count_nonzero(plain != exposed)} of {plain.size} outputs of "
                    f"{self._name} that differ as soon as its activations are kept",
                    expected="the very same answers, so that the activations are to be believed",
                    todo="Please report it with the file: LiteRT gives other values for it.",
                )

    def values(self, tensor: int) -> np.ndarray:
        """Look at the values of the last call; valid until the next."""
        array: np.ndarray = self._exposed.tensor(tensor)()
        graph = self._graph
        require_shape(graph.name(tensor), array.shape, graph.shape(tensor), STAGE, UNMEASURABLE)
        return array


class _Alone:
    """A thread's lone operators of both files."""

    def __init__(self, sides: Sides, pairs: Sequence[Pair], start: int, room: FloatArray) -> None:
        self._integer, self._start, self._room = sides.integer, start, room
        integers, floats = lone_integers(sides.integer, pairs), lone_floats(sides.exact, pairs)
        self._fed = {key: (index, floats.fed[key]) for key, index in integers.fed.items()}
        self._integers = load_interpreter(integers.model, 1, STAGE, _TODO)
        self._floats = load_interpreter(floats.model, 1, STAGE, _TODO)

    def feed(self, batch: FloatArray, exact: _Exposed) -> dict[Source, np.ndarray]:
        """Bring float values to the grids of what reads them.

        Returns:
            The integers, by what they stand for; valid until `run`.
        """
        quantized = {}
        for (tensor, whole), (index, real) in self._fed.items():
            values = batch if tensor == self._start else exact.values(tensor)
            integers = self._integers.tensor(index)()
            floats = self._floats.tensor(real)()
            grid = self._integer.grid(whole)
            if grid is None:
                np.copyto(integers, values.reshape(integers.shape))
                np.copyto(floats, values.reshape(floats.shape))
                continue
            grid.quantize(values, integers, self._room)
            grid.dequantize(integers, floats)
            quantized[tensor, whole] = integers
        return quantized

    def run(self) -> None:
        """Run the operators; nobody may hold what `feed` gave."""
        self._integers.invoke()
        self._floats.invoke()

    def values(self, tensors: tuple[int, int]) -> tuple[FloatArray, np.ndarray]:
        """Look at the outputs of the float operator and of the integer one."""
        return self._floats.tensor(tensors[0])(), self._integers.tensor(tensors[1])()


class _ThreadSums:
    """One thread's models and sums."""

    def __init__(self, sides: Sides, pairs: tuple[Pair, ...], first: FloatArray) -> None:
        (self._start,) = sides.exact.inputs
        self._batch = sides.exact.batch
        self._first: FloatArray | None = first
        self._integer = sides.integer
        produced = (index for operator in sides.exact.operators for index in operator.outputs)
        floats = frozenset(i for i in produced if sides.exact.dtype(i) == "float32")
        fed = [pair for pair in pairs if feedable(sides.integer, pair, floats | {self._start})]
        self.sums = [
            sums
            for pair in pairs
            for sums in self._sums_of(sides, pair, alone=any(pair is lone for lone in fed))
        ]
        read = {tensor for pair in fed for tensor in pair.read.values()}
        wanted = {sums.tensors[0] for sums in self.sums} | read - {self._start}
        sizes = [prod(sides.exact.shape(tensor)) for tensor in {self._start, *wanted}]
        self._room = np.empty(max(sizes), dtype=np.float32)
        self._alone = _Alone(sides, fed, self._start, self._room) if fed else None
        self._exact = _Exposed("float32", sides.exact, sorted(wanted))
        integers = sorted({sums.tensors[1] for sums in self.sums})
        self._whole = _Exposed("the variant", sides.integer, integers)

    def _sums_of(self, sides: Sides, pair: Pair, *, alone: bool) -> Iterator[PairSums]:
        start = sides.exact.shape(self._start)
        inputs = pair.integer.activations
        read = [inputs[at] for at, index in pair.read.items() if index == self._start]
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

    def measure(self, picture: FloatArray) -> None:
        """Measure a picture; movement is that from the first one."""
        # Values that are not finite end in an error when all pictures are seen.
        with np.errstate(invalid="ignore", over="ignore"):
            if self._first is not None:
                self._run(self._first)
                self._first = None
                for sums in self.sums:
                    exact, whole = sums.tensors
                    sums.movement.begin(self._exact.values(exact), self._whole.values(whole))
            self._add(self._run(picture))

    def _run(self, picture: FloatArray) -> FloatArray:
        batch = np.repeat(picture, self._batch, axis=0)
        self._exact.run(batch)
        self._whole.run(batch)
        return batch

    def _add(self, batch: FloatArray) -> None:
        quantized = self._alone.feed(batch, self._exact) if self._alone is not None else {}
        for sums in self.sums:
            values = self._exact.values(sums.tensors[0])
            sums.values.add(values, self._quantize(sums.tensors, values, quantized))
            if sums.inputs is not None:
                tensors = self._start, sums.input_tensor
                sums.inputs.add(batch, self._quantize(tensors, batch, quantized))
            whole = self._whole.values(sums.tensors[1])
            sums.accumulated.add(values, whole, self._room)
            sums.movement.add(values, whole, self._room)
        quantized.clear()
        if self._alone is not None:
            self._alone.run()
            for sums in self.sums:
                if sums.own is not None:
                    sums.own.add(*self._alone.values(sums.tensors), self._room)

    def _quantize(
        self, tensors: Source, values: FloatArray, quantized: dict[Source, np.ndarray]
    ) -> np.ndarray | None:
        """Quantize float values to the grid of their integer tensor; None for a float one."""
        grid = self._integer.grid(tensors[1])
        if grid is None or tensors in quantized:
            return quantized.get(tensors)
        integers = np.empty(values.size, dtype=self._integer.dtype(tensors[1]))
        grid.quantize(values, integers, self._room)
        return integers
