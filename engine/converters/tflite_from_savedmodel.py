"""SavedModel to TFLite, by recipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.converters.recipes import EdgeType, Recipe
from engine.errors import ConversionError, OperatorError
from engine.types import FloatArray

Batches = Callable[[], Iterator[FloatArray]]


def tflite_from_savedmodel(
    folder: Path, recipe: Recipe, *, batches: Batches | None = None, allow_flex: bool = False
) -> bytes:
    """Convert a SavedModel with TensorFlow's converter.

    Args:
        folder: The SavedModel.
        recipe: A recipe with float32 edges; `with_edges` makes the others from its result.
        batches: Gives the representative dataset, batch by batch in the model's own layout;
            needed by calibrated recipes.
        allow_flex: Whether operators outside TFLite's built-in set may stay (SELECT_TF).

    Returns:
        The TFLite file.

    Raises:
        OperatorError: Operators outside the built-in set are needed and not allowed.
        ConversionError: The converter fails otherwise.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    builtins = tf.lite.OpsSet.TFLITE_BUILTINS
    if recipe.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if recipe.activations == "int8":
        builtins = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
    elif recipe.activations == "int16":
        builtins = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    if recipe.calibrated:
        if batches is None:
            raise ValueError(f"{recipe.name} needs a representative dataset")
        converter.representative_dataset = lambda: ([batch] for batch in batches())
    converter.target_spec.supported_ops = [builtins] + (
        [tf.lite.OpsSet.SELECT_TF_OPS] if allow_flex else []
    )
    try:
        model: bytes = converter.convert()
    except Exception as error:  # the converter and the calibrator share no base class
        raise _mapped(error, recipe.name) from error
    return model


def with_edges(model: bytes, edges: EdgeType) -> bytes:
    """Change the input and output type of a full integer model with float32 edges.

    The quantization of everything inside stays as it is, so variants that differ only in their
    edges share one calibration.

    Args:
        model: The TFLite file.
        edges: Type of input and output.

    Returns:
        The changed TFLite file.

    Raises:
        ConversionError: The model's input or output is not quantized inside.
    """
    import tensorflow as tf
    from tensorflow.lite.python.util import modify_model_io_type

    if edges == "float32":
        return model
    dtype = tf.dtypes.as_dtype(edges)
    try:
        changed: bytes = modify_model_io_type(model, dtype, dtype)
    except (ValueError, RuntimeError) as error:
        raise ConversionError(
            f"Giving the model {edges} input and output",
            got=str(error).splitlines()[0],
            expected="a model that is quantized from input to output",
            todo="Leave this variant out; int8_float_io works on models with float edges.",
        ) from error
    return changed


def _mapped(error: Exception, variant: str) -> Exception:
    reason = str(error)
    lists = re.findall(r"(?:TF Select|Custom|Flex) ops: ([^\n]*)", reason)
    if lists:
        operators = ", ".join(sorted({name for found in lists for name in found.split(", ")}))
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
