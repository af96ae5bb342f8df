"""Sources in C++ of a kit for a microcontroller: the model, its operators, the golden set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from engine.core.errors import OptionError
from engine.deployment.documents import render

ARENA_MARGIN = 10
"""Percent of the arena that TFLite Micro used here, on top of it."""
_KIBIBYTE = 1024
_BYTES_A_LINE = 20
_C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t"}
_EXCEPTIONS = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
"""Functions of MicroMutableOpResolver that do not follow from the schema's name of the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroModel:
    """A variant as TFLite Micro runs it.

    Attributes:
        variant: Its name.
        content: The TFLite file.
        operators: Opcodes of the file, each once.
        arena: Bytes of the arena that TFLite Micro used here.
        pictures: Names of the pictures of the golden set.
        inputs: What each was fed, shape (pictures, ...), integers.
        outputs: What TFLite Micro answered, shape (pictures, ...), integers.
        tolerance: How far an output may be from it, in steps.
    """

    variant: str
    content: bytes
    operators: tuple[str, ...]
    arena: int
    pictures: tuple[str, ...]
    inputs: np.ndarray
    outputs: np.ndarray
    tolerance: int

    @property
    def arena_with_margin(self) -> int:
        """The arena to reserve: with `ARENA_MARGIN`, in whole KiB."""
        return -(-self.arena * (100 + ARENA_MARGIN) // (100 * _KIBIBYTE)) * _KIBIBYTE


def resolver_function(opcode: str) -> str:
    """Name the function of MicroMutableOpResolver that adds an operator.

    Args:
        opcode: The schema's name, such as ``DEPTHWISE_CONV_2D``.

    Returns:
        For instance ``AddDepthwiseConv2D``; see ``micro_mutable_op_resolver.h`` of TFLite Micro.

    Raises:
        OptionError: The operator is none of the schema's.
    """
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    if not hasattr(BuiltinOperator, opcode) or opcode == "CUSTOM":
        raise OptionError(
            "Writing the list of operators",
            got=f"the custom operator {opcode}",
            expected="operators of TFLite alone",
            todo="Choose another variant.",
        )
    if opcode in _EXCEPTIONS:
        return f"Add{_EXCEPTIONS[opcode]}"
    words = (word if word[0].isdigit() else word.capitalize() for word in opcode.split("_"))
    return f"Add{''.join(words)}"


def write_sources(model: MicroModel) -> dict[str, str]:
    """Write the sources, by their names in the kit."""
    values = {
        "m": model,
        "functions": [resolver_function(opcode) for opcode in sorted(model.operators)],
        "margin": ARENA_MARGIN,
        "input_type": _C_TYPES[model.inputs.dtype.name],
        "output_type": _C_TYPES[model.outputs.dtype.name],
        "input_size": model.inputs[0].size,
        "output_size": model.outputs[0].size,
        "model_rows": _rows(np.frombuffer(model.content, np.uint8)),
        "inputs": [_rows(values) for values in model.inputs],
        "outputs": [_rows(values) for values in model.outputs],
    }
    names = ("model.h", "model.cc", "golden.h", "golden.cc", "main.cc")
    return {name: render(f"micro/{name}", values) for name in names}


def _rows(values: np.ndarray) -> Iterable[str]:
    """Write integers as lines of an initializer."""
    flat = values.reshape(-1)
    for start in range(0, flat.size, _BYTES_A_LINE):
        yield ",".join(map(str, flat[start : start + _BYTES_A_LINE].tolist())) + ","
