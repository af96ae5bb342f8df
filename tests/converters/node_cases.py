"""ONNX's own node tests through our lowering to a TFLite file that is run.

Run as a script, in a process of its own: it prints one JSON object, case by case ``ok`` or what
went wrong. Cases of types or ranks that the lowering leaves to onnx-tf are not listed.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import numpy as np
import onnx

BETWEEN_TENSORS = {
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Max",
    "Min",
    "Mean",
    "Sum",
    "PRelu",
    "Concat",
    "MatMul",
}


def run(model: onnx.ModelProto, inputs: list[np.ndarray]) -> np.ndarray:
    """Convert a one-node model to TFLite and run it."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    from engine.converters.onnx_tf_import import import_onnx_tf

    backend: Any = import_onnx_tf()
    module = backend.prepare(model, logging_level="ERROR").tf_module
    module.is_export = True
    call = vars(type(module))["__call__"].python_function
    names = [value.name for value in model.graph.input]
    (output,) = (value.name for value in model.graph.output)
    specs = [tf.TensorSpec(x.shape, x.dtype) for x in inputs]

    @tf.function(input_signature=specs, autograph=False)
    def serve(*values: Any) -> Any:
        return call(module, **dict(zip(names, values, strict=True)))[output]

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [serve.get_concrete_function()], module
    )
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    details = sorted(interpreter.get_input_details(), key=lambda detail: detail["name"])
    for detail, value in zip(details, inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def outcome(model: onnx.ModelProto, inputs: list[np.ndarray], expected: np.ndarray) -> str:
    """Run a case with its first input fed; the others are constants, as they are in real models.

    Between tensors of equal standing, all are fed.
    """
    alike = len(inputs) > 1 and model.graph.node[0].op_type in BETWEEN_TENSORS
    if not alike:
        for value, array in list(zip(model.graph.input, inputs, strict=True))[1:]:
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
            model.graph.input.remove(value)
        inputs = inputs[:1]
    try:
        found = run(model, inputs)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    except Exception as error:  # what went wrong is the result
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return "ok"


def main(operators: list[str]) -> None:
    """Run the cases of some operators."""
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    from engine.converters.lowering import LOWERINGS, register_handlers
    from engine.converters.onnx_tf_import import import_onnx_tf

    import_onnx_tf()
    register_handlers("nhwc")
    results = {}
    for case in collect_testcases(""):
        operator = case.model.graph.node[0].op_type
        if operator not in (operators or LOWERINGS) or len(case.model.graph.node) > 1:
            continue
        inputs, outputs = case.data_sets[0]
        if any(isinstance(value, list) for value in [*inputs, *outputs]):
            continue  # a sequence of tensors is no input or output of a TFLite file
        arrays = [np.asarray(x) for x in inputs]
        if arrays[0].dtype != np.float32 or len(outputs) > 1:
            continue
        results[case.name] = outcome(case.model, arrays, outputs[0])
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
