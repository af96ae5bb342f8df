"""TensorFlow's converter of a SavedModel, without the detours it takes in Python.

`tf.lite.TFLiteConverter.from_saved_model` loads the SavedModel to read the names of its
signatures, and `convert` loads it twice more: as a graph, of which it reads only the nodes, and for
the lines of code that they come from, which it then passes to nobody. What converts is not written
in Python, and reads the folder itself. Of the file that it makes, `convert` makes objects three
times and writes them twice: to look for a mark, to share equal constants and to add metadata. Here
that is done to the same objects. Files are the same to the byte.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.tflite.graph import pack_model, read_numbers_quickly


def savedmodel_converter(folder: Path) -> Any:
    """Make a ``tf.lite.TFLiteConverter`` of a SavedModel with a serving signature."""
    import tensorflow as tf
    from tensorflow.lite.python import lite

    # Where the metadata get the format of the original model from.
    lite.TFLiteConverterBase._set_original_model_type(
        lite.conversion_metadata_fb.ModelType.TF_SAVED_MODEL
    )
    signatures = [tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
    return _converter_class()(str(folder), {tf.saved_model.SERVING}, signatures)


@cache
def _converter_class() -> Any:
    from tensorflow.lite.python import lite
    from tensorflow.python.saved_model.loader_impl import SavedModelLoader

    class Converter(lite.TFLiteSavedModelConverterV2):  # type: ignore[misc]  # it has no types
        def convert(self) -> bytes:
            contents = SavedModelLoader(self.saved_model_dir)
            tagged = contents.get_meta_graph_def_from_tags(self._saved_model_tags)
            model: bytes = self._convert_from_saved_model(tagged.graph_def)
            return _finish(model, self._metadata)

        def _optimize_tflite_model(self, *given: Any, **named: Any) -> bytes:
            # It shares no constants of a model with buffers behind the file, and asks for nothing
            # else here.
            self._experimental_use_buffer_offset = True
            try:
                return bytes(super()._optimize_tflite_model(*given, **named))
            finally:
                self._experimental_use_buffer_offset = False

    return Converter


def _finish(content: bytes, metadata: Any) -> bytes:
    """Share equal constants and add what TensorFlow writes of a conversion."""
    from tensorflow.lite.python import util
    from tensorflow.lite.tools.flatbuffer_utils import convert_bytearray_to_object

    read_numbers_quickly()
    # Objects of TensorFlow's own schema, which may have other defaults than LiteRT's.
    model = convert_bytearray_to_object(content)
    _share_equal_constants(model)
    metadata.options.modelOptimizationModes.extend(util.get_sparsity_modes(model))
    metadata.environment.modelHash = util.get_model_hash(model)
    return pack_model(util.populate_conversion_metadata(model, metadata), len(content))


def _share_equal_constants(model: Any) -> None:
    """Let tensors with equal constants read one buffer, and empty the others.

    TensorFlow keeps the first in the order of a set, so this has the same set.
    """
    readable = set[int]()
    for graph in model.subgraphs:
        readable.update(graph.tensors[index].buffer for index in _constants_read(graph))
    first: dict[tuple[int, str], int] = {}
    shared: dict[int, int] = {}
    for index in readable:
        data = model.buffers[index].data
        if isinstance(data, np.ndarray) and data.size:
            key = data.size, hashlib.md5(data.data, usedforsecurity=False).hexdigest()
            if first.setdefault(key, index) != index:
                shared[index] = first[key]
    for graph in model.subgraphs:
        for operator in graph.operators:
            for index in _indices(operator.inputs):
                tensor = graph.tensors[index]
                tensor.buffer = shared.get(tensor.buffer, tensor.buffer)
    for index in shared:
        model.buffers[index].data = None


def _constants_read(graph: Any) -> set[int]:
    """Find tensors that operators read, that no operator writes and no caller feeds or sees."""
    read = set[int]()
    for operator in graph.operators:
        changed = _indices(operator.mutatingVariableInputs)
        for position, index in enumerate(_indices(operator.inputs)):
            if not (any(changed[position : position + 1]) or graph.tensors[index].isVariable):
                read.add(index)
    for operator in graph.operators:
        read.difference_update(_indices(operator.outputs), _indices(operator.intermediates))
    read.difference_update(_indices(graph.inputs), _indices(graph.outputs))
    return read


def _indices(vector: Any) -> Any:
    return () if vector is None else vector
