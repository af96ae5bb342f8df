"""Handlers of our own for onnx-tf, registered through onnx-tf's own mechanism.

One file a family of operators; each says what the stock handler does and why ours differs.
"""

from __future__ import annotations


def register_handlers() -> None:
    """Put our handlers in the place of onnx-tf's; call after `import_onnx_tf`."""
    from engine.converters.lowering import pad

    pad.register()
