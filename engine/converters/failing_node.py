"""Which node of an ONNX graph onnx-tf failed on."""

from __future__ import annotations

import traceback
from typing import Any


def failing_node(error: BaseException) -> str | None:
    """Find the node that onnx-tf was translating when an error was raised.

    onnx-tf's errors rarely say it, but the frames that the error passed hold the node.

    Args:
        error: What was raised; its causes are looked at too.

    Returns:
        The operator and the node's name, or None where no node was being translated.
    """
    found: str | None = None
    seen: BaseException | None = error
    while seen is not None and found is None:
        for frame, _ in traceback.walk_tb(seen.__traceback__):
            node: Any = frame.f_locals.get("node")
            if type(node).__name__ == "OnnxNode":
                found = f"{node.op_type} ('{node.name}')" if node.name else str(node.op_type)
        seen = seen.__cause__ or seen.__context__
    return found
