"""ONNX's own test cases, and the same cases as older and newer operator sets write them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests

from engine.conversion.operator_sets import older_form, with_functions_inlined
from engine.networks.onnx_contents import nodes_of
from engine.networks.onnx_precision import compute_in_float32
from engine.networks.onnx_tidying import operator_set, schema, signature, tidy_model

SETS = range(7, 25)
STORED = ("pytorch-converted", "pytorch-operator", "simple")
"""Kinds of models that the package holds as files, of operator sets 6 to 12."""
BETWEEN_TENSORS = {
    "Add",
    "And",
    "Attention",
    "Concat",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "MatMul",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "PRelu",
    "Pow",
    "Sub",
    "Sum",
    "Where",
    "Xor",
}
"""Operators whose inputs are of equal standing: all are fed, not the first alone."""
_WIDENED = {"float16", "float64", "bfloat16"}
"""Types that are computed in float32."""
_ROUNDING = {"float16": 2e-3, "bfloat16": 1e-2}
"""Relative differences by which such types round."""
Value = np.ndarray | list[np.ndarray]


@dataclass(frozen=True, slots=True)
class Form:
    """A case as some operator sets write it.

    Attributes:
        case: Its name in the package.
        sets: The operator sets that write it so.
        model: Its inputs are those that are fed; the others are constants, as in real models.
        inputs: By name, tensors or sequences of them.
        expected: One for each output.
        rtol: Relative difference that answers may have.
        atol: Absolute difference that they may have on top.
    """

    case: str
    sets: range
    model: onnx.ModelProto
    inputs: dict[str, Value]
    expected: list[Value]
    rtol: float = 1e-3
    atol: float = 1e-6

    @property
    def name(self) -> str:
        return f"{self.case}@{self.sets[-1]}"


def cases() -> Iterator[Form]:
    """All cases of the package, each in the operator set that it was written for."""
    for case in collect_testcases(""):
        if case.data_sets:
            inputs, outputs = case.data_sets[0]
            names = [value.name for value in case.model.graph.input]
            yield _form(case.name, case.model, dict(zip(names, inputs, strict=False)), outputs)
    for kind in STORED:
        for case in load_model_tests(kind=kind):
            yield from _stored(case.name, Path(case.model_dir))


def _stored(name: str, folder: Path) -> Iterator[Form]:
    model = onnx.load(folder / "model.onnx")
    data = folder / "test_data_set_0"
    if data.exists():
        weights = {tensor.name for tensor in model.graph.initializer}
        names = [value.name for value in model.graph.input if value.name not in weights]
        inputs, outputs = (
            [_loaded(file) for file in sorted(data.glob(f"{kind}_*.pb"))]
            for kind in ("input", "output")
        )
        yield _form(name, model, dict(zip(names, inputs, strict=True)), outputs)


def _loaded(file: Path) -> Any:
    tensor = TensorProto()
    tensor.ParseFromString(file.read_bytes())
    return numpy_helper.to_array(tensor)


def _form(name: str, model: onnx.ModelProto, inputs: dict[str, Any], expected: Any) -> Form:
    version = operator_set(model)
    return Form(name, range(version, version + 1), model, inputs, list(expected))


def fed_form(case: Form, handled: frozenset[str]) -> Form:
    """The case as the product reads it, with its first input fed; the others are constants.

    Between tensors of equal standing, all are fed.
    """
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    inputs = {name: _widened(value) for name, value in case.inputs.items()}
    if graph.node[0].op_type not in BETWEEN_TENSORS:
        for name, value in list(inputs.items())[1:]:
            if not isinstance(value, list):
                graph.initializer.append(numpy_helper.from_array(value, name))
                del inputs[name]
    compute_in_float32(model)
    kinds = {kind_of(value) for value in flat([*case.inputs.values(), *case.expected])}
    model = tidy_model(model, case.case)
    if not {node.op_type for node in nodes_of(model)} <= handled:
        model = with_functions_inlined(onnx.shape_inference.infer_shapes(model), handled)
    read = {value.name for value in model.graph.input}
    return replace(
        case,
        model=model,
        inputs={name: value for name, value in inputs.items() if name in read},
        expected=[_widened(value) for value in case.expected],
        rtol=max([case.rtol, *(_ROUNDING[kind] for kind in kinds & _ROUNDING.keys())]),
    )


def flat(values: Iterable[Any]) -> list[Any]:
    """The tensors among tensors and sequences of them."""
    return [
        tensor
        for value in values
        for tensor in (flat(value) if isinstance(value, list | tuple) else [value])
    ]


def _widened(value: Any) -> Value:
    if isinstance(value, list):
        return [_widened(part) for part in value]
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    return array.astype(np.float32) if kind_of(array) in _WIDENED else array


def kind_of(value: Any) -> str:
    """The type of a tensor's numbers, as NumPy and ml_dtypes call it."""
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    return str(array.dtype)


def forms_of(form: Form) -> Iterator[Form]:
    """A case as each operator set writes it, its own set first."""
    model, own = form.model, form.sets[0]
    if len(model.graph.node) > 1:  # a function of ONNX, whose body is of one set
        yield form
        return
    whole = sets_of(model)
    yield replace(form, sets=next((sets for sets in whole if own in sets), form.sets))
    for sets in whole:
        written = None if own in sets else _written_for(sets[-1], form)
        if written is not None:
            yield replace(form, sets=sets, model=written)


def sets_of(model: onnx.ModelProto, first: int = SETS[0], last: int = SETS[-1]) -> list[range]:
    """Split operator sets where an operator of a model has other attributes, inputs or outputs.

    Sets whose operators differ in types alone stay together.
    """
    kinds = {node.op_type for node in nodes_of(model) if not node.domain}
    sets = [number for number in range(first, last + 1) if all(schema(k, number) for k in kinds)]
    starts = [
        number
        for number in sets
        if number - 1 not in sets
        or any(signature(k, number) != signature(k, number - 1) for k in kinds)
    ]
    return [range(*pair) for pair in itertools.pairwise([*starts, last + 1])]


def _written_for(version: int, form: Form) -> onnx.ModelProto | None:
    """The model for another operator set, as it is or by ONNX's converter; None where neither."""
    try:
        if _means_the_same(form.model, version):
            written = _relabelled(form.model, version)
            onnx.checker.check_model(written, full_check=True)
        else:
            written = onnx.version_converter.convert_version(form.model, version)
            onnx.checker.check_model(written, full_check=True)
            written = tidy_model(written, form.name)
            if not _answers_as(written, form):
                return None
    except Exception:  # attributes, inputs or types that the set lacks and the converter leaves
        return None
    return written


def _means_the_same(model: onnx.ModelProto, version: int) -> bool:
    """Whether the only node of a model reads the same in another operator set."""
    (node,) = model.graph.node
    newer, older = (
        schema(node.op_type, number)
        for number in sorted([operator_set(model), version], reverse=True)
    )
    if newer is None or older is None:
        return False
    if version > operator_set(model) and {a.name for a in node.attribute} - {*newer.attributes}:
        return False
    return None is not older_form(
        node.op_type,
        newer.since_version,
        [older.since_version],
        attributes={a.name: helper.get_attribute_value(a) for a in node.attribute},
        inputs=node.input,
        outputs=node.output,
    )


def _relabelled(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """The model as of another operator set, without attributes that this one lacks."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.opset_import[0].version = version
    (node,) = copy.graph.node
    definition = schema(node.op_type, version)
    for attribute in list(node.attribute):
        if attribute.name not in definition.attributes:
            node.attribute.remove(attribute)
    return copy


def _answers_as(model: onnx.ModelProto, form: Form) -> bool:
    """Whether ONNX Runtime gives what is expected: ONNX's converter forgets some differences."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    answers = session.run(None, form.inputs)
    return all(
        np.shape(answer) == np.shape(expected)
        and np.allclose(answer, expected, rtol=form.rtol, atol=form.atol, equal_nan=True)
        for answer, expected in zip(flat(answers), flat(form.expected), strict=True)
    )
