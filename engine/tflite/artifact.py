"""Records of TFLite files: operators, inputs, outputs, granularity."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.core.types import Fault, Layout
from engine.tflite.graph import CHANNEL_AXIS, EDGES, Graph

# CONV_3D is counted here alone: neither the optimizer nor the comparison of layers takes it apart.
_WEIGHTED = {*CHANNEL_AXIS, "CONV_3D"}


def artifact_of(file: Path, *, variant: str, layout: Layout) -> Artifact:
    """Describe a TFLite file.

    Args:
        file: The file, inside the run folder.
        variant: Name of the recipe that made it.
        layout: Order of the picture input's dimensions.
    """
    data = file.read_bytes()
    graph = Graph(data)
    return Artifact(
        variant=variant,
        file=file.name,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        operators=_count(op.opcode for op in graph.operators),
        inputs=tuple(_info(graph, index) for index in graph.inputs),
        outputs=tuple(_info(graph, index) for index in graph.outputs),
        layout=layout,
        weight_granularity=_granularity(graph),
        float_operators=_count_float_operators(graph),
    )


def _count(opcodes: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(opcodes).items()))


def _count_float_operators(graph: Graph) -> dict[str, int]:
    results = [
        (op.opcode, {graph.dtype(index) for index in op.outputs})
        for op in graph.operators
        if op.opcode not in EDGES
    ]
    if not any(dtypes & {"int8", "int16"} for _, dtypes in results):
        return {}
    return _count(opcode for opcode, dtypes in results if "float32" in dtypes)


def _info(graph: Graph, index: int) -> TensorInfo:
    tensor, scales = graph.tensors[index], graph.scales(index)
    signature = tensor.shapeSignature
    quantized = len(scales) == 1
    return TensorInfo(
        name=graph.name(index),
        shape=graph.shape(index) if signature is None else tuple(int(size) for size in signature),
        dtype=graph.dtype(index),
        scale=float(scales[0]) if quantized else None,
        zero_point=int(tensor.quantization.zeroPoint[0]) if quantized else None,
    )


def _granularity(graph: Graph) -> Granularity:
    weights = (op.inputs[1] for op in graph.operators if op.opcode in _WEIGHTED and op.inputs[1:])
    most = max((len(graph.scales(tensor)) for tensor in weights), default=0)
    return "none" if most == 0 else "per-tensor" if most == 1 else "per-channel"


def computes_in_integers(card: Artifact) -> bool:
    """Whether a file's activations are integers, of some operators at least.

    Float16 and dynamic-range files hold integers or halves as weights alone: they have float
    edges, and nothing that quantizes on the way.
    """
    edges = (*card.inputs, *card.outputs)
    return "QUANTIZE" in card.operators or any("int" in edge.dtype for edge in edges)


def has_integer_edges(card: Artifact) -> bool:
    """Whether a file's inputs and outputs are integers."""
    return all("int" in edge.dtype for edge in (*card.inputs, *card.outputs))


def has_integers_alone(card: Artifact) -> bool:
    """Whether a file's edges are integers and no operator of it computes in floats."""
    return has_integer_edges(card) and not card.float_operators


Granularity = Literal["per-channel", "per-tensor", "none"]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a model file.

    Attributes:
        name: As the file calls it.
        shape: Dimensions; -1 where the file leaves one open.
        dtype: numpy's name of the element type, for instance ``int8``.
        scale: Real value of one quantization step; None for float tensors.
        zero_point: The integer that stands for 0.0; None for float tensors.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    @property
    def batch(self) -> int:
        """Pictures that a call takes: the first dimension, 1 where the file leaves it open."""
        return max(1, *self.shape[:1])


@dataclass(frozen=True, slots=True)
class Artifact:
    """One TFLite file of a run.

    Attributes:
        variant: Name of the recipe that made it.
        file: Path relative to the run folder.
        bytes: File size.
        sha256: Hex digest of the file.
        operators: How often each TFLite operator occurs.
        inputs: Input tensors.
        outputs: Output tensors.
        layout: Order of the picture input's dimensions.
        weight_granularity: Whether convolution weights have one scale a channel or one a tensor.
        float_operators: How often each operator computes in float32 in a file that otherwise
            computes in integers.
        fault: What made its answers useless on the pictures that the conversion was checked on:
            ``same_answer`` for every picture, or ``not_finite``; None where nothing did.
        depends_on_batch: Whether an external file answers by the other pictures of a call.
    """

    variant: str
    file: str
    bytes: int
    sha256: str
    operators: Mapping[str, int]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    layout: Layout
    weight_granularity: Granularity
    float_operators: Mapping[str, int] = field(default_factory=dict)
    fault: Fault | None = None
    depends_on_batch: bool = False

    @property
    def select_tf(self) -> tuple[str, ...]:
        """Operators of TensorFlow itself, which LiteRT alone does not run."""
        return tuple(name for name in self.operators if name.startswith("Flex"))
