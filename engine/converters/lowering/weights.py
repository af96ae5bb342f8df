"""Weights as variables of the SavedModel.

A constant in a graph is copied with the graph, several times before it is saved: the 346 MB of a
vision transformer became 8.7 GB. A variable is one buffer, which the converter reads once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_SMALL = 1024
_kept: list[Any] = []


def stored(value: np.ndarray) -> Any:
    """Give TensorFlow a weight.

    Args:
        value: Any shape, float32.

    Returns:
        A variable of that value, noted for `take_stored`; a small value as it is.
    """
    import tensorflow as tf

    if value.size <= _SMALL:
        return value
    with tf.init_scope():
        name = f"weight_{len(_kept)}"
        variable = tf.Variable(np.ascontiguousarray(value), trainable=False, name=name)
    _kept.append(variable)
    return variable


def take_stored() -> list[Any]:
    """The variables made since this was last called; whoever saves the graph has to hold them."""
    taken = list(_kept)
    _kept.clear()
    return taken
