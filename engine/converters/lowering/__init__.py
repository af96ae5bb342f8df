"""Handlers of our own for onnx-tf, registered through onnx-tf's own mechanism.

onnx-tf finds its handlers among the subclasses of `BackendHandler`, the last of an operator
winning. Ours are subclasses of the stock handlers: where a lowering of ours gives None, the stock
handler does the work. One file a family of operators; each says what the stock handler does and
why ours differs.

The layout is carried as pairs of transposes: every lowering of ours turns its input to NHWC,
computes there, and turns the result back to NCHW. The turns between two of them cancel in the
TFLite converter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from engine.converters.lowering import convolution, elementwise, padding, pooling
from engine.types import LoweringName

Lowering = Callable[[Any, dict[str, Any]], Any]

_FAMILIES: dict[str, Lowering] = (
    convolution.LOWERINGS | pooling.LOWERINGS | padding.LOWERINGS | elementwise.LOWERINGS
)
# Without these two even the stock graph cannot be quantized; see their docstrings.
_REPAIRS = {"Pad": padding.repaired_pad, "MaxPool": pooling.max_pool}


@cache
def register_handlers(name: LoweringName) -> tuple[type, ...]:
    """Put our handlers in the place of onnx-tf's; call after `import_onnx_tf`, once a process.

    Args:
        name: ``nhwc`` registers all of them, ``stock`` only the repairs without which onnx-tf's
            own graphs cannot be quantized.

    Returns:
        The classes registered; onnx-tf holds them weakly, this function's cache keeps them.
    """
    from onnx_tf.handlers.backend_handler import BackendHandler

    stock = {handler.ONNX_OP: handler for handler in BackendHandler.__subclasses__()}
    lowerings = _FAMILIES if name == "nhwc" else _REPAIRS
    return tuple(_handler(stock[op], lower, BackendHandler) for op, lower in lowerings.items())


def _handler(stock: Any, lower: Lowering, base: Any) -> type:
    def handle(cls: Any, /, node: Any, **kwargs: Any) -> Any:
        result = lower(node, kwargs["tensor_dict"])
        return stock.handle.__func__(cls, node, **kwargs) if result is None else [result]

    return type(f"{stock.__name__}InNhwc", (stock, base), {"handle": classmethod(handle)})
