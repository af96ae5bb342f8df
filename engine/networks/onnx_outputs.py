"""Choose the output of an ONNX file that holds the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import ModelError, OptionError

if TYPE_CHECKING:
    import onnx

_SHAPE_ONLY = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
_INDICES = {"ArgMax", "ArgMin", "NonMaxSuppression", "NonZero", "TopK"}


def choose_output(
    model: onnx.ModelProto, values: Mapping[str, object], batch: int, named: str | None, file: str
) -> str:
    """Choose the only output that can hold logits, or the one that the person names.

    Logits are floating-point numbers with at most one axis longer than 1 beside the batch, so
    feature maps, segmentation maps, class numbers and TopK's values are none.

    Args:
        model: The model.
        values: What each output of the model gave for ``batch`` pictures.
        batch: Pictures that were fed.
        named: Name of an output; None takes the only one that can be.
        file: What to call the file in messages.

    Returns:
        The name of the output.

    Raises:
        OptionError: There is no output of that name, or several can hold logits.
        ModelError: The named output, or every output, holds something else.
    """
    stage = f"Choosing the output of {file}"
    reasons = {name: _why_not(model, name, value, batch) for name, value in values.items()}
    described = {name: describe_output(name, value) for name, value in values.items()}
    if named is not None and named not in values:
        raise OptionError(
            stage,
            got=repr(named),
            expected=f"one of its outputs: {'; '.join(described.values())}",
            todo="Choose one of these names.",
        )
    asked = list(values) if named is None else [named]
    possible = [name for name in asked if reasons[name] is None]
    if not possible:
        raise ModelError(
            stage,
            got="; ".join(f"{described[name]}: {reasons[name]}" for name in asked),
            expected="one output of floating-point logits, pictures x classes",
            todo="Export the classifier up to its logits, without the operators behind them."
            if len(values) == len(asked)
            else "Name another output, or export the classifier up to its logits.",
        )
    if len(possible) > 1:
        raise OptionError(
            stage,
            got=f"{len(possible)} that can hold logits: "
            + "; ".join(described[name] for name in possible),
            expected="one",
            todo="Name the output that holds the logits (--output NAME; in Python output=NAME).",
        )
    return possible[0]


def describe_output(name: str, value: object) -> str:
    """Give an output's name, type and shape in words, such as ``logits (float32, 1 x 6)``."""
    if not isinstance(value, np.ndarray):
        return f"{name} (no tensor)"
    return f"{name} ({value.dtype}, {' x '.join(map(str, value.shape)) or 'scalar'})"


def _why_not(model: onnx.ModelProto, name: str, value: object, batch: int) -> str | None:
    """Say why an output cannot hold logits; None where it can."""
    if not isinstance(value, np.ndarray):
        return "a sequence or map"
    operator = _producer(model, name)
    if value.dtype.kind != "f":
        origin = f", which {operator} gives" if operator in _INDICES else ""
        return f"numbers of type {value.dtype}{origin}"
    if operator == "TopK":
        return "the largest values alone, which TopK gives"
    if not value.size or value.size % batch:
        return f"no row for each of {batch} pictures"
    beside = value.shape[1:] if value.ndim and value.shape[0] == batch else value.shape
    if sum(size > 1 for size in beside) > 1:
        return "more than one row of numbers a picture"
    return None


def _producer(model: onnx.ModelProto, name: str) -> str | None:
    """Find the operator that computes an output, behind those that change its shape or type."""
    nodes = {output: node for node in model.graph.node for output in node.output}
    while (node := nodes.get(name)) is not None and node.op_type in _SHAPE_ONLY:
        name = node.input[0]
    return None if node is None else str(node.op_type)
