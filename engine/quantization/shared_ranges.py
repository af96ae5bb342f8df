"""One range for tensors that are only put together.

Integer kernels concatenate and slice without computing, so all that meets in a concatenation must
have one scale. Where the parts come with ranges of their own, the quantizer rounds each to its own
grid and then again to the common one, by an operator a part (187 of them in DenseNet-121). A part
that is read by nothing else gains nothing from its own range: it gets the common one at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

from engine.quantization.activation_ranges import ActivationRanges, activations

WIDEST = 2.0
"""A common range this many times as wide as that of a concatenation would cost it a bit."""


def with_shared_ranges(model: bytes, ranges: ActivationRanges) -> ActivationRanges:
    """Give tensors that are only sliced and concatenated the range of all that they meet.

    Args:
        model: The float32 TFLite file.
        ranges: Of its activations.

    Returns:
        The ranges, those of such tensors widened. Groups whose common range is more than `WIDEST`
        times that of one of their concatenations keep their own.
    """
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    names = {index: name for name, index in activations(parsed).items()}
    moved, joined = _groups(parsed, names.keys())
    bounds = dict(ranges.bounds)
    for group in joined:
        low = min(bounds[names[index]][0] for index in group)
        high = max(bounds[names[index]][1] for index in group)
        widths = [bounds[names[i]][1] - bounds[names[i]][0] for i in group & moved]
        if high - low <= WIDEST * min(widths, default=0.0):
            bounds |= dict.fromkeys((names[index] for index in group), (low, high))
    return ActivationRanges(MappingProxyType(bounds))


def _groups(parsed: Any, known: Iterable[int]) -> tuple[set[int], list[set[int]]]:
    """Results of concatenations, and the groups of tensors that need one scale."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.BuiltinOperator
    slices = {kinds.STRIDED_SLICE, kinds.SLICE, kinds.SPLIT, kinds.SPLIT_V}
    graph = parsed.subgraphs[0]
    codes = [code.builtinCode for code in parsed.operatorCodes]
    activation = set(known)
    readers: dict[int, list[int]] = defaultdict(list)
    for operator in graph.operators:
        for index in operator.inputs:
            readers[int(index)].append(codes[operator.opcodeIndex])
    for index in graph.outputs:
        readers[int(index)].append(-1)
    group_of = {index: {index} for index in activation}
    results = set()
    for operator in graph.operators:
        kind = codes[operator.opcodeIndex]
        if kind not in slices | {kinds.CONCATENATION}:
            continue
        made = [int(index) for index in operator.outputs if int(index) in activation]
        read = [int(index) for index in operator.inputs if int(index) in activation]
        alone = [i for i in read if set(readers[i]) <= slices | {kinds.CONCATENATION}]
        for index in [*made[1:], *alone]:
            if made:
                _join(group_of, made[0], index)
        if kind == kinds.CONCATENATION:
            results.update(made)
    groups = {id(group): group for group in group_of.values() if group & results}
    return results, list(groups.values())


def _join(group_of: dict[int, set[int]], one: int, other: int) -> None:
    together = group_of[one] | group_of[other]
    for index in together:
        group_of[index] = together
