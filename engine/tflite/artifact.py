"""Read a TFLite file's identity card: operators, edges, granularity."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.core.types import (
    Fault,
    Layout,
)

_WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D"}
_BETWEEN_TYPES = {"QUANTIZE", "DEQUANTIZE"}


def artifact_of(file: Path, *, variant: str, layout: Layout) -> Artifact:
    """Describe a TFLite file.

    Args:
        file: The file, inside the run folder.
        variant: Name of the recipe that made it.
        layout: Order of the picture input's dimensions.

    Returns:
        Its identity card.
    """
    from ai_edge_litert import schema_py_generated as schema

    data = file.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    names = {
        number: name
        for name, number in vars(schema.BuiltinOperator).items()
        if not name.startswith("_")
    }
    types = {
        number: name.lower()
        for name, number in vars(schema.TensorType).items()
        if not name.startswith("_")
    }
    graph = model.subgraphs[0]
    operators = [_name(model.operatorCodes[op.opcodeIndex], names) for op in graph.operators]
    return Artifact(
        variant=variant,
        file=file.name,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        operators=dict(sorted(Counter(operators).items())),
        inputs=tuple(_info(graph.tensors[index], types) for index in graph.inputs),
        outputs=tuple(_info(graph.tensors[index], types) for index in graph.outputs),
        layout=layout,
        weight_granularity=_granularity(graph, operators),
        float_operators=_float_operators(graph, operators, types),
    )


def _float_operators(graph: Any, operators: list[str], types: dict[int, str]) -> dict[str, int]:
    made = [
        (name, {types[graph.tensors[index].type] for index in op.outputs})
        for op, name in zip(graph.operators, operators, strict=True)
        if name not in _BETWEEN_TYPES
    ]
    if not any(dtypes & {"int8", "int16"} for _, dtypes in made):
        return {}
    return dict(sorted(Counter(name for name, dtypes in made if "float32" in dtypes).items()))


def _name(code: Any, names: dict[int, str]) -> str:
    # Files from before 2020 fill only the deprecated field.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if names[number] == "CUSTOM" and code.customCode:
        return code.customCode.decode() if isinstance(code.customCode, bytes) else code.customCode
    return names[number]


def _info(tensor: Any, types: dict[int, str]) -> TensorInfo:
    quantization = tensor.quantization
    quantized = quantization is not None and quantization.scale is not None
    quantized = quantized and len(quantization.scale) == 1
    shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    return TensorInfo(
        name=tensor.name.decode() if isinstance(tensor.name, bytes) else str(tensor.name),
        shape=tuple(int(size) for size in shape),
        dtype=types[tensor.type],
        scale=float(quantization.scale[0]) if quantized else None,
        zero_point=int(quantization.zeroPoint[0]) if quantized else None,
    )


def _granularity(graph: Any, operators: list[str]) -> Granularity:
    most = 0
    for op, name in zip(graph.operators, operators, strict=True):
        if name in _WEIGHTED and len(op.inputs) > 1:
            quantization = graph.tensors[op.inputs[1]].quantization
            if quantization is not None and quantization.scale is not None:
                most = max(most, len(quantization.scale))
    return "none" if most == 0 else "per-tensor" if most == 1 else "per-channel"


def computes_in_integers(card: Artifact) -> bool:
    """Whether a file's activations are integers, of some operators at least.

    Float16 and dynamic-range files hold integers or halves as weights alone: they have float
    edges, and nothing that quantizes on the way.
    """
    edges = (*card.inputs, *card.outputs)
    return "QUANTIZE" in card.operators or any("int" in edge.dtype for edge in edges)


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
    """One TFLite file of a run: its identity card.

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
        depends_on_batch: Whether a file from elsewhere answers by the other pictures of a call.
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
