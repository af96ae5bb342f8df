"""ONNX to TensorFlow SavedModel, with onnx-tf."""

from __future__ import annotations

import gc
import re
import sys
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from engine.conversion.lowering import count_reads, operators_with_handlers, register_handlers
from engine.conversion.lowering.node import take_stored
from engine.conversion.onnx_patterns import clean_graph
from engine.conversion.operator_sets import with_functions_inlined
from engine.core.errors import ConversionError, OperatorError
from engine.core.types import Layout, LoweringName
from engine.networks.onnx_contents import nodes_in
from engine.networks.onnx_io import with_float_pixels
from engine.networks.onnx_tidying import rename_value

if TYPE_CHECKING:
    import onnx

_STAGE = "ONNX to SavedModel"
_NOT_IN_SCOPES = re.compile(r"[^A-Za-z0-9_.\\/>-]")
# Axes of the other layout, in the order of the one named.
_TURNS: dict[Layout, tuple[int, ...]] = {"NCHW": (0, 3, 1, 2), "NHWC": (0, 2, 3, 1)}


def savedmodel_from_onnx(
    model: onnx.ModelProto,
    folder: Path,
    *,
    layout: Layout,
    input_layout: Layout,
    lowering: LoweringName,
) -> None:
    """Convert a model with a static input, and save it with one serving signature.

    The signature is traced from onnx-tf's module directly; onnx-tf's own ``export_graph`` gives
    the same graph and takes longer.

    Args:
        model: One float32 picture input with fixed dimensions; its first output is the logits. Its
            nodes and input may be renamed.
        folder: Where to write the SavedModel.
        layout: Order of the dimensions of the model's input.
        input_layout: Order of the dimensions of the SavedModel's input.
        lowering: Whose handlers turn ONNX operators into TensorFlow's.

    Raises:
        OperatorError: onnx-tf has no handler for an operator.
        ConversionError: onnx-tf or TensorFlow fails on it.
    """
    import tensorflow as tf

    backend: Any = import_onnx_tf()
    register_handlers(lowering)
    model = with_functions_inlined(with_float_pixels(model), operators_with_handlers())
    if lowering == "nhwc":
        model = clean_graph(model)
    rename_for_tensorflow(model.graph)
    count_reads(model.graph)
    try:
        # Integers of types that TensorFlow lacks are indices; onnx-tf refuses them without this.
        representation = backend.prepare(model, logging_level="ERROR", auto_cast=True)
        (input_name,) = representation.inputs
        output_name = representation.outputs[0]
        module = representation.tf_module
        shape = representation.signatures[input_name].shape.as_list()
        turn = None if layout == input_layout else _TURNS[layout]
        if turn is not None:
            shape = [shape[axis] for axis in _TURNS[input_layout]]
        spec = tf.TensorSpec(shape, tf.float32, name="input")
        # onnx-tf reads this to keep Python values out of the traced graph.
        module.is_export = True
        call: Any = vars(type(module))["__call__"].python_function

        def serve(picture: Any) -> dict[str, Any]:
            if turn is not None:
                picture = tf.transpose(picture, turn)
            return {"logits": call(module, **{input_name: picture})[output_name]}

        # AutoGraph rewrites all of onnx-tf's code, which takes most of the time; only handlers
        # that branch on a tensor need it.
        take_stored()
        try:
            traced = tf.compat.v1.wrap_function(serve, [spec])
        except tf.errors.OperatorNotAllowedInGraphError:
            take_stored()
            traced = tf.compat.v1.wrap_function(tf.autograph.to_graph(serve), [spec])
        root = tf.Module()
        root.weights = [*take_stored(), *module.variables]
        # tf.function traces twice; what it traces here is no more than a call.
        root.serve = tf.function(lambda input: traced(input), [spec], autograph=False)
        tf.saved_model.save(root, str(folder), signatures={"serving_default": root.serve})
    except Exception as error:  # onnx-tf passes on whatever its handlers raise
        raise _as_engine_error(error) from error


def rename_for_tensorflow(graph: onnx.GraphProto) -> None:
    """Rename what TensorFlow or onnx-tf cannot call by its name.

    onnx-tf makes scopes of the names of nodes, and passes the input by its name to a function whose
    first parameter is ``self``.
    """
    for node in nodes_in(graph.node):
        node.name = _NOT_IN_SCOPES.sub("_", node.name)
    for value in graph.input:
        if value.name == "self":
            rename_value(graph.node, "self", "self/picture")
            value.name = "self/picture"


def _as_engine_error(error: Exception) -> Exception:
    reason = str(error).strip()
    missing = re.search(r"(\w+)(?: version \d+)? is not implemented", reason)
    if missing:
        return OperatorError(
            _STAGE,
            got=f"the operator {missing[1]}, which onnx-tf cannot translate",
            expected="operators that onnx-tf translates",
            todo="Export the model with a lower operator set (--opset), or without it.",
        )
    first = reason.splitlines()[0] if re.search(r"\w", reason) else type(error).__name__
    node = failing_node(error)
    return ConversionError(
        _STAGE,
        got=f"a failure at the operator {node} ({first[:300]})"
        if node is not None
        else f"a failure of onnx-tf ({first[:300]})",
        expected="a TensorFlow graph",
        todo="Write that part of the network with other operators, or try another operator set "
        "(--opset); the log of the run has the whole message.",
    )


def failing_node(error: BaseException) -> str | None:
    """Find the node that onnx-tf was translating when an error was raised.

    onnx-tf's errors rarely say it, but the frames that the error passed hold the node.

    Returns:
        The operator and the node's name, or None where no node was being translated.
    """
    name: str | None = None
    seen: BaseException | None = error
    while seen is not None and name is None:
        for frame, _ in traceback.walk_tb(seen.__traceback__):
            node: Any = frame.f_locals.get("node")
            if type(node).__name__ == "OnnxNode":
                name = f"{node.op_type} ('{node.name}')" if node.name else str(node.op_type)
        seen = seen.__cause__ or seen.__context__
    return name


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
    # TensorFlow's converter collects garbage at every call; over all these modules it takes .2 s.
    gc.freeze()
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
