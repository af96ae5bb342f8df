"""Import onnx-tf 1.10 (2022) on the present-day stack.

onnx-tf asks for three things that are gone. Each gets a stand-in that is registered before
``import onnx_tf``:

``onnx.mapping``
    Tables between ONNX and numpy types, dropped from onnx 1.19. Rebuilt from `onnx.helper`,
    which still knows every entry. onnx-tf also reads it as ``onnx.helper.mapping``.
``tensorflow_addons.seq2seq.hardmax``
    tensorflow-addons installs but does not import under Keras 3. Used by the Hardmax operator
    alone; the stand-in computes it.
``tensorflow_probability.distributions``
    Used by the Bernoulli operator alone, which draws random numbers and has no place in a
    classifier. The stand-in holds nothing, so that operator fails by name.

And it hands weights to TensorFlow as lists of Python numbers, 2.7 GB for a vision transformer of
346 MB; they are given as arrays instead.
"""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType
from typing import Any


@cache
def import_onnx_tf() -> ModuleType:
    """Register the stand-ins and import onnx-tf.

    Returns:
        The module ``onnx_tf.backend``.
    """
    import onnx

    mapping: Any = _onnx_mapping()
    for module in (onnx, onnx.helper):
        vars(module)["mapping"] = mapping
    addons: Any = ModuleType("tensorflow_addons")
    addons.seq2seq = ModuleType("tensorflow_addons.seq2seq")
    addons.seq2seq.hardmax = _hardmax
    probability: Any = ModuleType("tensorflow_probability")
    probability.distributions = ModuleType("tensorflow_probability.distributions")
    for module in (
        mapping,
        addons,
        addons.seq2seq,
        probability,
        probability.distributions,
    ):
        sys.modules[module.__name__] = module
    import onnx_tf.backend
    from onnx_tf.common import logger

    logger.setLevel("ERROR")
    backend: Any = onnx_tf.backend
    backend.TensorflowBackend._onnx_initializer_to_input_dict_items = _tensors_of
    return backend  # type: ignore[no-any-return]  # ModuleType, typed Any to set an attribute


def _tensors_of(initializers: Any, training_mode: bool = False) -> list[tuple[str, Any]]:
    import tensorflow as tf
    from onnx import numpy_helper

    del training_mode  # asked for by the caller; nothing here trains
    return [(value.name, tf.constant(numpy_helper.to_array(value))) for value in initializers]


def _onnx_mapping() -> ModuleType:
    from onnx import TensorProto, helper

    mapping: Any = ModuleType("onnx.mapping")
    types = [number for number in TensorProto.DataType.values() if number]
    mapping.TENSOR_TYPE_TO_NP_TYPE = {
        number: helper.tensor_dtype_to_np_dtype(number) for number in types
    }
    mapping.NP_TYPE_TO_TENSOR_TYPE = {}
    for number, dtype in mapping.TENSOR_TYPE_TO_NP_TYPE.items():
        mapping.NP_TYPE_TO_TENSOR_TYPE.setdefault(dtype, number)
    mapping.TENSOR_TYPE_TO_STORAGE_TENSOR_TYPE = {
        number: helper.tensor_dtype_to_storage_tensor_dtype(number) for number in types
    }
    mapping.STORAGE_TENSOR_TYPE_TO_FIELD = {
        number: helper.tensor_dtype_to_field(number) for number in types
    }
    return mapping  # type: ignore[no-any-return]  # ModuleType, typed Any to set attributes


def _hardmax(logits: Any, name: str | None = None) -> Any:
    import tensorflow as tf

    depth = tf.shape(logits)[-1]
    return tf.one_hot(tf.argmax(logits, axis=-1), depth, dtype=logits.dtype, name=name)
