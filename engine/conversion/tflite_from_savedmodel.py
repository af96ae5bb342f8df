"""SavedModel to TFLite, by recipe."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.errors import ConversionError, EngineError, OperatorError, first_line
from engine.quantization.activation_ranges import ActivationRanges, Batches, with_ranges
from engine.quantization.recipes import EdgeType, Recipe
from engine.tflite.edits import with_divisors_above_zero
from engine.tflite.graph import pack_model, parse_model

_NO_INT16 = "Quantization to 16x8-bit not yet supported"
_FARTHEST = 1e30
RangesOf = Callable[[bytes], ActivationRanges | None]


def tflite_from_savedmodel(
    folder: Path,
    recipe: Recipe,
    *,
    batches: Batches | None = None,
    ranges_of: RangesOf = lambda _: None,
    allow_flex: bool = False,
) -> bytes:
    """Convert a SavedModel with TensorFlow's converter.

    Args:
        folder: The SavedModel.
        recipe: A recipe with float32 edges; `with_edges` makes the others from its result.
        batches: Gives the representative dataset, batch by batch in the model's own layout;
            needed by calibrated recipes.
        ranges_of: Gives the ranges of a float32 TFLite model; where it has none, TensorFlow's own
            calibrator runs over the batches.
        allow_flex: Whether operators outside TFLite's built-in set may stay (SELECT_TF).

    Returns:
        The TFLite file.

    Raises:
        OperatorError: Operators outside the built-in set are needed and not allowed.
        ConversionError: The converter fails otherwise.
    """
    import tensorflow as tf

    converter = _converter_of(folder)
    # A mask of the lowest float in the place of minus infinity would make shares of what is NaN.
    converter.canonicalizing_inf_as_min_max_float = False
    builtins = tf.lite.OpsSet.TFLITE_BUILTINS
    if recipe.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if recipe.activations == "int8":
        builtins = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
    elif recipe.activations == "int16":
        builtins = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    if recipe.weight_granularity == "per-tensor":
        converter._experimental_disable_per_channel = True
    if recipe.calibrated:
        if batches is None:
            raise ValueError(f"{recipe.name} needs a representative dataset")
        converter.representative_dataset = lambda: ([batch] for batch in batches())
        _take_ranges(converter, ranges_of)
    converter.target_spec.supported_ops = [builtins] + (
        [tf.lite.OpsSet.SELECT_TF_OPS] if allow_flex else []
    )
    try:
        model: bytes = _convert(converter)
    except EngineError:
        raise
    except Exception as error:  # the converter and the calibrator share no base class
        raise _as_engine_error(error, recipe.name) from error
    return with_divisors_above_zero(model) if recipe.activations == "int8" else model


@cache
def _converter_class() -> Any:
    """Derive TensorFlow's converter of a SavedModel so that Python never loads the SavedModel.

    `tf.lite.TFLiteConverter.from_saved_model` loads it to read the names of its signatures, and
    `convert` loads it twice more: as a graph, of which it reads only the nodes, and for the lines
    of code that they come from, which it then passes to nobody. What converts is not written in
    Python, and reads the folder itself. Files are the same to the byte.
    """
    from tensorflow.lite.python import lite
    from tensorflow.python.saved_model.loader_impl import SavedModelLoader

    class Converter(lite.TFLiteSavedModelConverterV2):  # type: ignore[misc]  # it has no types
        # It writes the metadata of a conversion into the file, too.
        @lite._export_metrics  # type: ignore[untyped-decorator]
        def convert(self) -> bytes:
            contents = SavedModelLoader(self.saved_model_dir)
            tagged = contents.get_meta_graph_def_from_tags(self._saved_model_tags)
            model: bytes = self._convert_from_saved_model(tagged.graph_def)
            return model

    return Converter


def _converter_of(folder: Path) -> Any:
    import tensorflow as tf
    from tensorflow.lite.python import lite

    # Where the metadata get the format of the original model from.
    lite.TFLiteConverterBase._set_original_model_type(
        lite.conversion_metadata_fb.ModelType.TF_SAVED_MODEL
    )
    signatures = [tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
    return _converter_class()(str(folder), {tf.saved_model.SERVING}, signatures)


def _convert(converter: Any) -> bytes:
    """Convert; operators that TensorFlow has no int16 form of stay in float32, and the log says so.

    They are let stay only where there are such: what else they would change is not known.
    """
    import tensorflow as tf

    try:
        return bytes(converter.convert())
    except RuntimeError as error:
        if _NO_INT16 not in str(error):
            raise
        print(f"{first_line(error)} Such operators stay in float32.")
    converter.target_spec.supported_ops.append(tf.lite.OpsSet.TFLITE_BUILTINS)
    return bytes(converter.convert())


def _take_ranges(converter: Any, ranges_of: RangesOf) -> None:
    """Let a converter quantize with given ranges in place of those of its own calibrator.

    `_quantize` is where TensorFlow's converter turns the float32 model that it made into an
    integer one; all before and after stays the converter's. The two quantizers, and which recipe
    gets which, are as there.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.python.optimize import calibrator

    theirs = converter._quantize

    def quantize(
        model: bytes,
        input_type: tf.DType,
        output_type: tf.DType,
        activations_type: tf.DType,
        bias_type: tf.DType,
        allow_float: bool,
        variables: bool,
        debug_options: Any,
    ) -> Any:
        objects = parse_model(model)
        _refuse_far_constants(objects)
        ranges = ranges_of(model)
        if activations_type == tf.int16 and _give_own_biases(objects):
            model = pack_model(objects, len(model))
        types = (input_type, output_type, activations_type, bias_type)
        if ranges is None:
            return theirs(model, *types, allow_float, variables, debug_options)
        calibrated = with_ranges(model, ranges)
        if activations_type != tf.int16:
            return mlir_quantize(
                calibrated,
                disable_per_channel=converter._experimental_disable_per_channel,
                input_data_type=input_type,
                output_data_type=output_type,
                enable_variable_quantization=variables,
                debug_options_str=debug_options.SerializeToString(),
            )
        source, target, inside, bias = (np.dtype(t.as_numpy_dtype).num for t in types)
        # A calibrator that was fed nothing keeps the ranges of the file.
        fed_nothing = calibrator.Calibrator(calibrated)._calibrator
        return fed_nothing.QuantizeModel(source, target, allow_float, inside, bias, False, False)

    converter._quantize = quantize


def _give_own_biases(objects: Any) -> bool:
    """Give every product a bias of its own, and tell whether one had another's.

    TensorFlow's int16 quantizer rounds a bias to the scale of the first product that reads it, and
    lets the others of a layer that is used several times read the same integers.
    """
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.BuiltinOperator
    with_bias = {kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D, kinds.FULLY_CONNECTED}
    graph = objects.subgraphs[0]
    before = len(graph.tensors)
    read: set[int] = set()
    for operator in graph.operators:
        if objects.operatorCodes[operator.opcodeIndex].builtinCode not in with_bias:
            continue
        bias = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
        if bias in read:
            tensor = copy(graph.tensors[bias])
            objects.buffers.append(copy(objects.buffers[tensor.buffer]))
            tensor.buffer = len(objects.buffers) - 1
            graph.tensors.append(tensor)
            operator.inputs = [*operator.inputs[:2], len(graph.tensors) - 1]
        elif bias >= 0:
            read.add(bias)
    return len(graph.tensors) > before


def _refuse_far_constants(objects: Any) -> None:
    """Raise an error for a constant at which TensorFlow's quantizer would end the process."""
    from ai_edge_litert import schema_py_generated as schema

    for tensor in objects.subgraphs[0].tensors:
        held = objects.buffers[tensor.buffer].data
        if tensor.type != schema.TensorType.FLOAT32 or held is None or not len(held):
            continue
        farthest = float(np.abs(np.frombuffer(held, np.float32)).max())
        if not farthest <= _FARTHEST:
            raise ConversionError(
                "Quantizing activations",
                got=f"a value of {farthest:g} in the constant {tensor.name.decode()}",
                expected=f"constants between -{_FARTHEST:g} and {_FARTHEST:g}",
                todo="Give a mask a value such as -100, or leave out the variants with integer "
                "activations.",
            )


def with_edges(model: bytes, edges: EdgeType) -> bytes:
    """Change the input and output type of a full integer model with float32 edges.

    The quantization of everything inside stays as it is, so variants that differ only in their
    edges share one calibration.

    Raises:
        ConversionError: The model's input or output is not quantized inside.
    """
    if edges == "float32":
        return model
    import tensorflow as tf
    from tensorflow.lite.python.util import modify_model_io_type

    dtype = tf.dtypes.as_dtype(edges)
    try:
        changed: bytes = modify_model_io_type(model, dtype, dtype)
    except (ValueError, RuntimeError) as error:
        raise ConversionError(
            f"Giving the model {edges} input and output",
            got=first_line(error),
            expected="a model that is quantized from input to output",
            todo="Leave this variant out; int8_float_io works on models with float edges.",
        ) from error
    return changed


def _as_engine_error(error: Exception, variant: str) -> Exception:
    reason = str(error)
    lists = re.findall(r"(?:TF Select|Custom|Flex) ops: ([^\n]*)", reason)
    if lists:
        operators = ", ".join(sorted({name for names in lists for name in names.split(", ")}))
        return OperatorError(
            f"SavedModel to TFLite ({variant})",
            got=f"operators outside TFLite's built-in set: {operators}",
            expected="built-in operators alone",
            todo="Allow them with --allow-flex; the app then has to ship the SELECT_TF runtime.",
        )
    lines: list[Any] = [line for line in reason.strip().splitlines() if line.strip()]
    return ConversionError(
        f"SavedModel to TFLite ({variant})",
        got=f"a failure of TensorFlow's converter ({lines[0][:300] if lines else 'no reason'})",
        expected="a TFLite file",
        todo="Leave this variant out; the log of the run has the whole message.",
    )
