"""An ONNX node as handlers see it, and weights as variables of the SavedModel.

A constant in a graph is copied with the graph, several times before it is saved: the 346 MB of a
vision transformer became 8.7 GB. A variable is one buffer, which the converter reads once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_SMALL = 1024
_weights: list[Any] = []


def store_weight(value: np.ndarray) -> Any:
    """Give TensorFlow a weight.

    Returns:
        A variable of that value, noted for `take_stored`; a small value as it is.
    """
    import tensorflow as tf

    if value.size <= _SMALL:
        return value
    with tf.init_scope():
        name = f"weight_{len(_weights)}"
        variable = tf.Variable(np.ascontiguousarray(value), trainable=False, name=name)
    _weights.append(variable)
    return variable


def take_stored() -> list[Any]:
    """Give the variables made since the last call; the module that is saved has to hold them."""
    taken = list(_weights)
    _weights.clear()
    return taken


Stock = Callable[[Sequence[Any]], list[Any]]


@dataclass(frozen=True, slots=True)
class Node:
    """An ONNX node with its tensors.

    Attributes:
        kind: The ONNX operator.
        since: Operator set in which this form of the operator was defined.
        stock_form: The form that onnx-tf's own handler reads it by; None where it has none.
        inputs: Tensors in ONNX's order and layout; None for an input that is left out.
        attributes: As the file has them, strings decoded.
        outputs: How many outputs the node names.
        read: How many outputs it has up to the last that is read.
        alone: Whether no other node reads the first input.
        stock: Runs onnx-tf's own handler, on these inputs or on others in their place; raises
            NotImplementedError where it has no form for the node.
    """

    kind: str
    since: int
    stock_form: int | None
    inputs: tuple[Any, ...]
    attributes: dict[str, Any]
    outputs: int
    read: int
    alone: bool
    stock: Stock

    def input(self, position: int) -> Any:
        """Get an input; None where it is left out."""
        return self.inputs[position] if position < len(self.inputs) else None


Lowering = Callable[[Node], list[Any] | None]
