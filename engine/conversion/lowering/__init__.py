"""Handlers of our own for onnx-tf, registered through onnx-tf's own mechanism.

onnx-tf finds its handlers among the subclasses of `BackendHandler`, the last of an operator
winning. Ours are subclasses of the stock handlers: where a lowering of ours gives None, the stock
handler does the work. One file a family of operators; each says what the stock handlers do and why
ours differ. How the layout is carried from one to the next is in `layout`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.conversion.lowering import (
    arithmetic,
    convolution,
    elementwise,
    indexing,
    linear,
    pooling,
    recurrent,
    reduction,
    resizing,
    sampling,
    shape,
)
from engine.conversion.lowering import windows as padding
from engine.conversion.lowering.layout import constant
from engine.conversion.lowering.node import Lowering, Node
from engine.conversion.onnx_patterns import DOMAIN_OF_OURS
from engine.conversion.operator_sets import older_form
from engine.core.types import LoweringName

if TYPE_CHECKING:
    import onnx

LOWERINGS: dict[str, Lowering] = (
    elementwise.LOWERINGS
    | arithmetic.LOWERINGS
    | convolution.LOWERINGS
    | indexing.LOWERINGS
    | linear.LOWERINGS
    | padding.LOWERINGS
    | pooling.LOWERINGS
    | recurrent.LOWERINGS
    | reduction.LOWERINGS
    | resizing.LOWERINGS
    | sampling.LOWERINGS
    | shape.LOWERINGS
)
# Without these two even the stock graph cannot be quantized; see their docstrings.
_REPAIRS: dict[str, Lowering] = {"Pad": padding.repair_pad, "MaxPool": pooling.max_pool}
_reads: Counter[str] = Counter()


def count_reads(graph: onnx.GraphProto) -> None:
    """Note how often each value of the graph that is lowered next is read."""
    _reads.clear()
    _reads.update(_names_read(graph))


def _names_read(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (value.name for value in graph.output)
    for node in graph.node:
        yield from filter(None, node.input)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _names_read(attribute.g)


@cache
def register_handlers(name: LoweringName) -> tuple[type, ...]:
    """Put our handlers in the place of onnx-tf's; call after `import_onnx_tf`, once a process.

    Args:
        name: With ``nhwc`` our lowering comes first. With ``stock`` onnx-tf's own does, but for
            the repairs without which its graphs cannot be quantized; ours serves where it has
            none.

    Returns:
        The classes registered; onnx-tf holds them weakly, this function's cache keeps them.
    """
    from onnx_tf.handlers.backend_handler import BackendHandler

    stock = _stock_handlers()
    first = LOWERINGS if name == "nhwc" else _REPAIRS
    handlers = [
        _handler(op, stock.get(op), first.get(op, _stock_first(op)), BackendHandler)
        for op in sorted(operators_with_handlers())
    ]
    if name == "nhwc":
        handlers += [
            _handler(op, None, LOWERINGS[op], BackendHandler, DOMAIN_OF_OURS)
            for op in ("Gelu", "HardSwish", "LayerNormalization")
        ]
    return tuple(handlers)


@cache
def _stock_handlers() -> dict[str, Any]:
    from onnx_tf.handlers.backend_handler import BackendHandler

    # Those of onnx-tf for recurrent layers ask for Keras cells that are gone, and fail before they
    # are called where two nodes are of one name.
    return {
        handler.ONNX_OP: handler
        for handler in BackendHandler.__subclasses__()
        if handler.ONNX_OP not in recurrent.LOWERINGS
    }


def operators_with_handlers() -> frozenset[str]:
    """List the operators that onnx-tf or we have a handler for; call after `import_onnx_tf`."""
    return frozenset(_stock_handlers()) | frozenset(LOWERINGS)


def _stock_first(op: str) -> Lowering:
    """Leave a node to onnx-tf where it has a form for it."""

    def lower(node: Node) -> list[Any] | None:
        ours = LOWERINGS.get(op) if node.stock_form is None else None
        return None if ours is None else ours(node)

    return lower


def _handler(op: str, stock: Any, lower: Lowering, base: Any, domain: str = "") -> type:
    forms = [] if stock is None else stock.get_versions()

    def handle(cls: Any, /, node: Any, **kwargs: Any) -> Any:
        tensors = kwargs["tensor_dict"]

        def run_stock(inputs: Sequence[Any]) -> list[Any]:
            if form is None:
                raise NotImplementedError(f"{op} is not implemented in this form.")
            names = [
                f"{node.name}/{position}" if x is not None else ""
                for position, x in enumerate(inputs)
            ]
            given = {name: x for name, x in zip(names, inputs, strict=True) if name}
            before, node.inputs = node.inputs, names
            cls.SINCE_VERSION = form
            try:
                outputs = stock.handle.__func__(
                    cls, node, **kwargs | {"tensor_dict": tensors | given}
                )
                return list(outputs)
            finally:
                node.inputs, cls.SINCE_VERSION = before, seen.since

        attributes = {
            key: value.decode() if isinstance(value, bytes) else value
            for key, value in node.attrs.items()
        }
        form = None
        if stock is not None:
            form = older_form(
                op,
                cls.SINCE_VERSION,
                forms,
                attributes=attributes,
                inputs=node.inputs,
                outputs=node.outputs,
            )
        seen = Node(
            kind=op,
            since=cls.SINCE_VERSION,
            stock_form=form,
            inputs=tuple(tensors[name] if name else None for name in node.inputs),
            attributes=attributes,
            outputs=sum(map(bool, node.outputs)),
            read=max((n for n, name in enumerate(node.outputs, 1) if _reads[name]), default=1),
            alone=bool(node.inputs) and _reads[node.inputs[0]] == 1,
            stock=run_stock,
        )

        def handle_node(given: Node) -> list[Any]:
            lowered = lower(given)
            return run_stock(given.inputs) if lowered is None else lowered

        return _fold(handle_node, seen) or handle_node(seen)

    bases = (base,) if stock is None else (stock, base)
    members = {"handle": classmethod(handle), "ONNX_OP": op, "DOMAIN": domain}
    return type(f"{op}InNhwc", bases, members)


def _fold(handle: Callable[[Node], list[Any]], node: Node) -> list[Any] | None:
    """Compute a node of constants alone while the graph is made, as constants.

    onnxslim folds most of them, but infers no shapes behind a sequence of tensors.
    """
    import tensorflow as tf

    # The graphs inside these read other values, too.
    if node.kind in {"If", "Loop", "Scan"}:
        return None
    values: list[Any] = []
    for x in node.inputs:
        value = constant(x) if x is not None and tf.is_tensor(x) else None
        if value is None and x is not None:
            return None
        values.append(value)
    if all(value is None for value in values):
        return None
    with tf.init_scope():
        inputs = tuple(None if value is None else tf.constant(value) for value in values)
        results = tf.nest.map_structure(np.asarray, handle(replace(node, inputs=inputs)))
    constants: list[Any] = tf.nest.map_structure(tf.constant, results)
    return constants
