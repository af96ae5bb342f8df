"""Ranges of activations: collected once from the float32 model, read by every integer recipe.

TensorFlow's converter makes a float32 TFLite model, runs it through its own calibrator and
quantizes it with the ranges found. That calibrator runs plain kernels and is asked again for every
recipe (twice for int16x8). Here LiteRT runs the same float32 model, with every activation as an
output, so XNNPACK stays on and no value is overwritten before it is read.

The latter is also a difference: TensorFlow's calibrator reads an operator's inputs after it ran,
when an ADD may have written its sum over one of them, and so takes the range of the sum into that
input's range. Where nothing is overwritten, both find the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isfinite, prod
from types import MappingProxyType
from typing import Any

from engine.core.errors import ConversionError
from engine.core.system import usable_cores
from engine.core.types import FloatArray
from engine.quantization.range_methods import Histograms
from engine.quantization.recipes import RangeMethod
from engine.tflite.graph import Graph, expose, pack_model, parse_model
from engine.tflite.interpreter import load_interpreter, split_passes

Batches = Callable[[], Iterator[FloatArray]]
Observe = Callable[[str, FloatArray], None]
PASS_BYTES = 1 << 30
"""Activations held at once; a network with more of them is run several times over the pictures."""
_STAGE = "Collecting the ranges of activations"
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class ActivationRanges:
    """Ranges of the activations of a float32 model.

    Attributes:
        bounds: Lowest and highest real value by name of the tensor, as `activations` names them.
    """

    bounds: Mapping[str, tuple[float, float]]


class MinMax:
    """Observes activations and keeps the smallest and the largest value of each."""

    def __init__(self) -> None:
        self._bounds: dict[str, tuple[float, float]] = {}

    def __call__(self, name: str, values: FloatArray) -> None:
        """Take the values of one tensor for one batch into account.

        Raises:
            ConversionError: There is a value that is not finite.
        """
        if values.size == 0:
            return
        low, high = float(values.min()), float(values.max())
        if not (isfinite(low) and isfinite(high)):
            raise ConversionError(
                _STAGE,
                got=f"values of {low} to {high} in the tensor {name}",
                expected="finite activations for every calibration picture",
                todo="Check the weights and the preprocessing; the float32 model overflows.",
            )
        before = self._bounds.get(name, (low, high))
        self._bounds[name] = min(before[0], low), max(before[1], high)

    def ranges(self) -> ActivationRanges:
        """Give the ranges seen so far."""
        return ActivationRanges(MappingProxyType(dict(self._bounds)))


class CollectedRanges:
    """Ranges of one conversion's float32 models, each model looked at when first asked for.

    Args:
        batches: Gives the calibration pictures, batch by batch in the model's own layout.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._whole: dict[bytes, ActivationRanges] = {}
        self._histograms: dict[bytes, Histograms] = {}
        self.unsupported: str | None = None

    def of(
        self, model: bytes, method: RangeMethod = "min_max", levels: int = 256
    ) -> ActivationRanges | None:
        """Find the ranges of a float32 TFLite model.

        Args:
            model: The file's content.
            method: How ranges follow from the values seen. Outputs of the model keep all of
                theirs: the largest logit is the answer.
            levels: Integers that a range is cut into.

        Returns:
            Its ranges; None where this cannot find them, and `unsupported` says why.

        Raises:
            ConversionError: LiteRT refuses the model, or an activation is not finite.
        """
        objects = parse_model(model)
        self.unsupported = _why_unsupported(objects)
        if self.unsupported is not None:
            return None
        digest = hashlib.sha256(model).digest()
        if digest not in self._whole:
            seen = MinMax()
            observe_activations(model, self._batches, seen)
            self._whole[digest] = seen.ranges()
        whole = self._whole[digest]
        if method == "min_max":
            return whole
        if digest not in self._histograms:
            histograms = Histograms(whole.bounds)
            observe_activations(model, self._batches, histograms)
            self._histograms[digest] = histograms
        bounds = self._histograms[digest].bounds(method, levels)
        ends = {int(index) for index in objects.subgraphs[0].outputs}
        outputs = [name for name, index in activations(objects).items() if index in ends]
        bounds |= {name: whole.bounds[name] for name in outputs}
        return ActivationRanges(MappingProxyType(bounds))


def observe_activations(
    model: bytes, batches: Batches, observe: Observe, *, pass_bytes: int = PASS_BYTES
) -> None:
    """Run a float32 model on pictures and show every activation to an observer.

    Args:
        model: A TFLite file of one graph of built-in operators.
        batches: Gives the inputs, batch by batch in the model's own layout.
        observe: Gets a tensor's name and its values for one batch.
        pass_bytes: Activations to hold at once; each pass over the pictures takes as many
            tensors as that allows, and at least one.

    Raises:
        ConversionError: LiteRT refuses the model.
    """
    objects = parse_model(model)
    graph = objects.subgraphs[0]
    tensors = activations(objects)
    (start,) = [int(index) for index in graph.inputs]
    (input_name,) = [name for name, index in tensors.items() if index == start]
    del tensors[input_name]
    sizes = {name: _FLOAT_BYTES * prod(graph.tensors[i].shape) for name, i in tensors.items()}
    for number, names in enumerate(split_passes(sizes, pass_bytes)):
        outputs = {name: tensors[name] for name in names}
        expose(objects, list(outputs.values()))
        content = pack_model(objects, len(model))
        interpreter = load_interpreter(
            content, usable_cores(), _STAGE, "Leave the integer variants out."
        )
        for batch in _one_ahead(batches()):
            if number == 0:
                observe(input_name, batch)
            interpreter.set_tensor(start, batch)
            interpreter.invoke()
            for name, index in outputs.items():
                # A copy: LiteRT refuses to run while anybody looks into its memory, and a profiler
                # that samples this frame does (Dask's workers have one).
                observe(name, interpreter.get_tensor(index))


def with_input_range(
    model: bytes, ranges: ActivationRanges, bounds: tuple[float, float]
) -> ActivationRanges:
    """Give the input of a model another range."""
    objects = parse_model(model)
    (start,) = objects.subgraphs[0].inputs
    (name,) = [name for name, index in activations(objects).items() if index == start]
    return ActivationRanges(MappingProxyType({**ranges.bounds, name: bounds}))


def with_ranges(model: bytes, ranges: ActivationRanges) -> bytes:
    """Write ranges where TensorFlow's quantizers read them.

    Args:
        model: The float32 TFLite file that the ranges are of.
        ranges: A range for every activation.

    Returns:
        The file with a minimum and a maximum at every activation.

    Raises:
        ValueError: An activation has no range. The quantizer would leave it in float32 or guess,
            without a word.
    """
    from ai_edge_litert import schema_py_generated as schema

    objects = parse_model(model)
    for name, index in activations(objects).items():
        if name not in ranges.bounds:
            raise ValueError(f"no range for the activation {name}")
        quantization = schema.QuantizationParametersT()
        low, high = ranges.bounds[name]
        quantization.min, quantization.max = [low], [high]
        objects.subgraphs[0].tensors[index].quantization = quantization
    return pack_model(objects, len(model))


def activations(objects: Any) -> dict[str, int]:
    """Index by name the float32 tensors that hold inputs or results of operators.

    Names that tensors share get the index as a suffix.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph = objects.subgraphs[0]
    results = [int(index) for index in graph.inputs]
    results += [int(index) for operator in graph.operators for index in operator.outputs]
    floats = [i for i in results if graph.tensors[i].type == schema.TensorType.FLOAT32]
    names = {index: graph.tensors[index].name.decode() for index in floats}
    shared = Counter(names.values())
    return {name if shared[name] == 1 else f"{name}#{i}": i for i, name in names.items()}


def _why_unsupported(objects: Any) -> str | None:
    if len(objects.subgraphs) > 1:
        return "the model has control flow in graphs of its own"
    if any(code.customCode for code in objects.operatorCodes):
        return "the model has operators outside TFLite's built-in set"
    graph = objects.subgraphs[0]
    if any(tensor.isVariable for tensor in graph.tensors):
        return "the model keeps a state from call to call"
    if len(graph.inputs) != 1:
        return f"the model has {len(graph.inputs)} inputs"
    return None


def _one_ahead(batches: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """Yield the same batches; the next one is made while the caller works on the last."""
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(next, batches, None)
        while (batch := upcoming.result()) is not None:
            upcoming = pool.submit(next, batches, None)
            yield batch


WIDEST = 2.0
"""A common range this many times as wide as that of a concatenation would cost it a bit."""


def with_shared_ranges(model: bytes, ranges: ActivationRanges) -> ActivationRanges:
    """Give tensors that are only sliced and concatenated the range of all that they meet.

    Returns:
        The ranges, those of such tensors widened. Groups whose common range is more than `WIDEST`
        times that of one of their concatenations keep their own.
    """
    graph = Graph(model)
    names = {index: name for name, index in activations(graph.model).items()}
    concatenated, groups = _group_concatenated(graph, names.keys())
    bounds = dict(ranges.bounds)
    for group in groups:
        low = min(bounds[names[index]][0] for index in group)
        high = max(bounds[names[index]][1] for index in group)
        widths = [bounds[names[i]][1] - bounds[names[i]][0] for i in group & concatenated]
        if high - low <= WIDEST * min(widths, default=0.0):
            bounds |= dict.fromkeys((names[index] for index in group), (low, high))
    return ActivationRanges(MappingProxyType(bounds))


_SLICES = frozenset({"STRIDED_SLICE", "SLICE", "SPLIT", "SPLIT_V"})


def _group_concatenated(
    graph: Graph, activations: Collection[int]
) -> tuple[set[int], list[set[int]]]:
    """Find the results of concatenations, and the groups of tensors that need one scale."""
    movers = _SLICES | {"CONCATENATION"}
    readers: dict[int, set[str]] = defaultdict(set)
    for op in graph.operators:
        for tensor in op.inputs:
            readers[tensor].add(op.opcode)
    for tensor in graph.outputs:
        readers[tensor].add("")
    group_of = {index: {index} for index in activations}
    results: set[int] = set()
    for op in graph.operators:
        if op.opcode not in movers:
            continue
        outputs = [tensor for tensor in op.outputs if tensor in activations]
        alone = [t for t in op.inputs if t in activations and readers[t] <= movers]
        for tensor in [*outputs[1:], *alone]:
            if outputs:
                _join(group_of, outputs[0], tensor)
        if op.opcode == "CONCATENATION":
            results.update(outputs)
    groups = {id(group): group for group in group_of.values() if group & results}
    return results, list(groups.values())


def _join(group_of: dict[int, set[int]], *tensors: int) -> None:
    together = set[int]().union(*(group_of[tensor] for tensor in tensors))
    for tensor in together:
        group_of[tensor] = together
