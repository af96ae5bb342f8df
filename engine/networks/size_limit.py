"""The largest model that a TFLite file can hold."""

from __future__ import annotations

from engine.errors import ModelError

LARGEST_FILE_BYTES = 2**31 - 1
"""FlatBuffers, TFLite's format, counts in signed 32-bit offsets; protobuf, ONNX's, does too."""


def demand_fits(name: str, parameters: int) -> None:
    """Refuse a model whose float32 file cannot exist, before any work on it.

    Args:
        name: What to call it.
        parameters: Number of its parameters, of 4 bytes each.

    Raises:
        ModelError: It is too large.
    """
    size = 4 * parameters
    if size > LARGEST_FILE_BYTES:
        raise ModelError(
            f"Choosing {name}",
            got=f"{parameters / 1e6:.0f} million parameters, {size / 1e9:.2f} GB in float32",
            expected=f"at most {LARGEST_FILE_BYTES / 1e9:.2f} GB, as much as a TFLite file holds",
            todo="Choose a smaller model. Variants of fewer bits are made from the float32 file "
            "and checked against it, so they cannot be made either.",
        )
