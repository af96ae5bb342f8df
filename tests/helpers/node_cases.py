"""ONNX's own test cases, and forms written by hand, through our lowering to TFLite files.

Run as a script, in a process of its own: it prints one JSON object, the outcomes of all forms and
the cases that were not run. Many forms share a file, since most of the time goes to making one.
"""

from __future__ import annotations

import gc
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from engine.networks.onnx_contents import nodes_of
from engine.networks.onnx_tidying import operator_set
from tests.conversion import left_out
from tests.conversion.node_forms import Form, cases, fed_form, flat, forms_of, kind_of
from tests.conversion.written_forms import written_forms

BATCH = 64
"""Forms that share a TFLite file."""
SMALL = 128
"""Numbers of an eager tensor that TensorFlow writes into a graph as a constant."""
OF_TFLITE = {"float32", "int32", "int64", "bool"}
"""Types with kernels for nearly everything. Forms of others share files with each other alone."""
READ = OF_TFLITE | {"float16", "bfloat16", "float64"}
"""Types of first inputs and of results."""


class Converter:
    """Makes and runs TFLite files of many small graphs, which may be of many operator sets."""

    def __init__(self) -> None:
        from engine.conversion.lowering import register_handlers
        from engine.conversion.savedmodel_from_onnx import import_onnx_tf

        self._backend: Any = import_onnx_tf()
        register_handlers("nhwc")
        backend = self._backend.TensorflowBackend
        # onnx-tf looks through all handlers for each graph.
        find = backend._get_handlers
        found = lru_cache(1)(lambda key: find([onnx.helper.make_opsetid(*pair) for pair in key]))
        backend._get_handlers = lambda opset: found(tuple((o.domain, o.version) for o in opset))

    def outcomes(self, forms: Sequence[Form]) -> dict[str, str]:
        """Say of each form ``ok`` or what went wrong; where a file fails, halves are tried."""
        errors: dict[str, str] = {}
        try:
            content = self._file(forms, errors)
            answers = _run(content, _tensors(forms)) if content is not None else {}
        except Exception as error:  # what went wrong is the result
            if len(forms) == 1:
                return {forms[0].name: _words(error)}
            half = len(forms) // 2
            return self.outcomes(forms[:half]) | self.outcomes(forms[half:])
        for number, form in enumerate(forms):
            if form.name not in errors:
                try:
                    _compare(form, [answers[name] for name in _names("y", number, form.expected)])
                except (AssertionError, KeyError) as error:
                    errors[form.name] = _words(error)
        return {form.name: errors.get(form.name, "ok") for form in forms}

    def _file(self, forms: Sequence[Form], errors: dict[str, str]) -> bytes | None:
        """Make a file of the forms that can be lowered, if any; note the errors of others."""
        import tensorflow as tf
        from tensorflow.lite.python.convert import convert_saved_model
        from tensorflow.lite.python.lite import TFLiteSavedModelConverterV2

        from engine.conversion.lowering.node import take_stored

        specs = {
            name: tf.TensorSpec(value.shape, value.dtype, name)
            for name, value in _tensors(forms).items()
        }

        def serve(*values: Any) -> dict[str, Any]:
            tensors, results = dict(zip(specs, values, strict=True)), dict[str, Any]()
            for number, form in enumerate(forms):
                try:
                    found = self._lowered(form, [tensors[n] for n in _fed(number, form)])
                except Exception as error:  # handlers raise whatever they like
                    errors[form.name] = _words(error)
                else:
                    results |= zip(_names("y", number, found), found, strict=True)
            return results

        traced = tf.compat.v1.wrap_function(serve, list(specs.values()))
        weights = take_stored()
        if not traced.structured_outputs:
            return None
        with TemporaryDirectory() as folder:
            if weights:
                _save_with_weights(traced, specs, weights, folder)
            else:
                _save(traced, list(specs), folder)
            # `convert` reads the file into Python and back several times around this call, to
            # count and to find equal constants; that took half of the time.
            converter = TFLiteSavedModelConverterV2(folder, {"serve"}, ["serving_default"])
            content: bytes = convert_saved_model(
                **converter._get_base_converter_args(), enable_tflite_resource_variables=True
            )
        return content

    def _lowered(self, form: Form, tensors: list[Any]) -> list[Any]:
        import tensorflow as tf

        from engine.conversion.lowering import count_reads
        from engine.conversion.savedmodel_from_onnx import rename_for_tensorflow

        rename_for_tensorflow(form.model.graph)
        count_reads(form.model.graph)
        with tf.init_scope():  # the product prepares a model before it traces
            representation = self._backend.prepare(
                form.model, logging_level="ERROR", auto_cast=True
            )
        module = representation.tf_module
        module.initializer_dict = {
            name: value if value.shape.num_elements() <= SMALL else tf.constant(value.numpy())
            for name, value in module.initializer_dict.items()
        }
        fed = iter(tensors)
        given = {
            name: tuple(next(fed) for _ in value) if isinstance(value, list) else next(fed)
            for name, value in form.inputs.items()
        }
        results = vars(type(module))["__call__"].python_function(module, **given)
        return [tf.identity(x) for x in flat(results[name] for name in representation.outputs)]


def _save(traced: Any, names: Sequence[str], folder: str) -> None:
    """Write a traced graph without variables as a SavedModel that has the graph and its signature.

    What `tf.saved_model.save` writes can be loaded into Python, too: it wraps the graph into one
    function after another, and tracing those took longer than the conversion.
    """
    from tensorflow.core.protobuf.meta_graph_pb2 import TensorInfo
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    def describe(tensor: Any) -> TensorInfo:
        return TensorInfo(
            name=tensor.name,
            dtype=tensor.dtype.as_datatype_enum,
            tensor_shape=tensor.shape.as_proto(),
        )

    contents = SavedModel(saved_model_schema_version=1)
    graph = contents.meta_graphs.add(graph_def=traced.graph.as_graph_def())
    graph.meta_info_def.tags.append("serve")
    signature = graph.signature_def["serving_default"]
    # Small eager tensors that are read are listed behind them.
    for name, tensor in zip(names, traced.inputs[: len(names)], strict=True):
        signature.inputs[name].CopyFrom(describe(tensor))
    for name, tensor in traced.structured_outputs.items():
        signature.outputs[name].CopyFrom(describe(tensor))
    Path(folder, "saved_model.pb").write_bytes(contents.SerializeToString())


def _save_with_weights(traced: Any, specs: dict[str, Any], weights: list[Any], folder: str) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.weights = weights
    module.serve = tf.function(
        lambda **tensors: traced(*(tensors[name] for name in specs)), autograph=False
    )
    tf.saved_model.save(module, folder, signatures=module.serve.get_concrete_function(**specs))


def _names(letter: str, number: int, values: Iterable[Any]) -> list[str]:
    return [f"{letter}{number}_{place}" for place, _ in enumerate(flat(values))]


def _fed(number: int, form: Form) -> list[str]:
    return _names("x", number, form.inputs.values())


def _tensors(forms: Sequence[Form]) -> dict[str, np.ndarray]:
    """What is fed to a file of forms."""
    return {
        name: value
        for number, form in enumerate(forms)
        for name, value in zip(_fed(number, form), flat(form.inputs.values()), strict=True)
    }


def _run(content: bytes, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=content).get_signature_runner("serving_default")
    answers: dict[str, np.ndarray] = run(
        **{name: tensors[name] for name in run.get_input_details()}
    )
    return answers


def _compare(form: Form, answers: list[np.ndarray]) -> None:
    for answer, expected in zip(answers, flat(form.expected), strict=True):
        np.testing.assert_allclose(answer, expected, rtol=form.rtol, atol=form.atol)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _forms(left: Counter[str]) -> Iterator[Form]:
    """All forms; operators and types for which cases are not among them are counted."""
    from engine.conversion.lowering import operators_with_handlers

    handled = operators_with_handlers() | {"Constant"}
    for case in cases():
        form = fed_form(case, handled)
        reasons = {node.op_type for node in nodes_of(form.model)} - handled
        values = [*list(case.inputs.values())[:1], *case.expected]
        reasons |= {kind_of(x) for x in flat(values)} - READ
        left.update(reasons)
        if not reasons:
            yield from forms_of(form)
    yield from written_forms()


def main() -> None:
    """Run all forms."""
    warnings.simplefilter("ignore")
    # Of the very many objects of a graph none can go before its file is made.
    gc.set_threshold(100_000)
    converter, left = Converter(), Counter[str]()
    forms = sorted(_forms(left), key=lambda form: operator_set(form.model))
    outcomes = {}
    for share in _shares(forms):
        outcomes |= converter.outcomes(share)
    sets = {form.name: list(form.sets) for form in forms}
    print(json.dumps({"outcomes": outcomes, "sets": sets, "left": left}))


def _shares(forms: list[Form]) -> Iterator[list[Form]]:
    """Forms that share a file; those that are expected to fail would break it for the others."""
    alone = [form for form in forms if {form.case, form.name} & left_out.FORMS]
    yield from ([form] for form in alone)
    names = {form.name for form in alone}
    for usual in (True, False):
        share = [
            form
            for form in forms
            if form.name not in names and (_types(form) <= OF_TFLITE) == usual
        ]
        yield from (share[start : start + BATCH] for start in range(0, len(share), BATCH))


def _types(form: Form) -> set[str]:
    return {kind_of(value) for value in flat([*form.inputs.values(), *form.expected])}


if __name__ == "__main__":
    main()
