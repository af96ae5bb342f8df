"""Activations in the form that the TFLite converter knows as one operator.

HardSigmoid: the stock handler clips a scaled sum, ours writes a RELU6, which fuses into the
addition. HardSwish: the stock handler multiplies in another order than the one the converter knows
as HARD_SWISH. Gelu is in ONNX only from operator set 20 on; `onnx_patterns` puts it in place of the
five operators that exporters write.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.conversion.lowering.elementwise import unary
from engine.conversion.lowering.layout import transposed, view
from engine.conversion.lowering.node import Lowering, Node

_SIXTH = np.float32(1 / 6)
_ERF_P = 0.3275911
_ERF_TERMS = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


def hard_sigmoid(node: Node) -> list[Any] | None:
    """Lower clip(x / 6 + 1 / 2, 0, 1), the form that networks use."""
    import tensorflow as tf

    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    if not np.isclose(alpha, 1 / 6) or beta != 0.5:
        return unary(node)
    source, order = view(node.inputs[0])
    return [transposed(tf.nn.relu6(source + np.float32(3)) * _SIXTH, order)]


def hard_swish(node: Node) -> list[Any] | None:
    """Lower x · clip(x / 6 + 1 / 2, 0, 1)."""
    import tensorflow as tf

    source, order = view(node.inputs[0])
    return [transposed(source * tf.nn.relu6(source + np.float32(3)) * _SIXTH, order)]


def gelu(node: Node) -> list[Any] | None:
    """Lower x · Φ(x), with Φ exact or by its tanh approximation."""
    import tensorflow as tf

    source, order = view(node.inputs[0])
    approximate = node.attributes.get("approximate", "none") == "tanh"
    return [transposed(tf.nn.gelu(source, approximate), order)]


def erf(node: Node) -> list[Any] | None:
    """Lower the error function, which TFLite lacks, by an approximation to 1.5e-7.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, formula 7.1.26.
    """
    import tensorflow as tf

    source, order = view(node.inputs[0])
    if source.dtype != tf.float32:
        return None
    size = tf.abs(source)
    t = np.float32(1) / (np.float32(1) + np.float32(_ERF_P) * size)
    series = np.float32(_ERF_TERMS[-1])
    for term in _ERF_TERMS[-2::-1]:
        series = series * t + np.float32(term)
    y = tf.sign(source) * (np.float32(1) - series * t * tf.exp(-size * size))
    return [transposed(y, order)]


LOWERINGS: dict[str, Lowering] = {
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Gelu": gelu,
    "Erf": erf,
}
