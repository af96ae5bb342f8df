"""One ONNX node as a lowering sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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

    def input(self, place: int) -> Any:
        """The input at a place, None where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None


Lowering = Callable[[Node], list[Any] | None]
