"""A person's ONNX file as the product reads it: checked, whole, in float32, of ONNX's operators."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.errors import EngineError, ModelError, first_line
from engine.core.file_types import demand_onnx
from engine.core.formats import list_some
from engine.core.limits import demand_fits
from engine.networks.onnx_contents import (
    demand_repeatable,
    demand_weights,
    nodes_of,
    put_data_inside,
)
from engine.networks.onnx_parts import OnnxParts, no_model, open_parts
from engine.networks.onnx_precision import (
    compute_in_float32,
    find_precisions,
    precision_note,
    rounding_tolerance,
    with_float32_edges,
)
from engine.networks.onnx_quantized import holds_quantized, take_float_graph
from engine.networks.onnx_tidying import operator_set, schema, tidy_model

if TYPE_CHECKING:
    import onnx

_FIRST_THAT_RUNS = 7
"""ONNX Runtime lacks most operators of older operator sets."""


@dataclass(frozen=True, slots=True)
class OnnxReading:
    """What was read of an ONNX file.

    Attributes:
        model: The model; it holds all of its weights and computes in float32.
        given: The model as the file computes it, with float32 edges; None where that is ``model``,
            and where ONNX Runtime does not run it.
        tolerance: Largest relative difference between the model's logits and those of the file, or
            of the network that it was exported from; None where any is right.
        notes: What a reader of the run has to know of it, one sentence each.
    """

    model: onnx.ModelProto
    given: onnx.ModelProto | None
    tolerance: float | None
    notes: tuple[str, ...] = ()


def read_onnx(path: Path) -> onnx.ModelProto:
    """Read the model of an ONNX file; see `onnx_reading`."""
    return onnx_reading(path).model


def onnx_reading(path: Path) -> OnnxReading:
    """Load and check an ONNX file with the data beside it, or a zip of both.

    Raises:
        ModelError: The file is absent, damaged, too large, without its data or weights, quantized
            to integers throughout, of operators or an operator set that ONNX does not have, was
            exported in training mode, or draws random numbers.
    """
    stage = f"Reading {path.name}"
    demand_onnx(path)
    with open_parts(path) as parts:
        given = _parse(parts, stage)
        put_data_inside(given, parts, stage)
    given.ClearField("training_info")
    try:
        return _check_and_widen(given, stage, path.name)
    except EngineError:
        raise
    except Exception as error:  # what broken tensors, strings and shapes provoke
        raise _invalid(stage, error) from error


def _check_and_widen(given: onnx.ModelProto, stage: str, name: str) -> OnnxReading:
    given = tidy_model(given, stage)
    _check_operator_set(given, stage)
    demand_own_operators(given, stage)
    demand_weights(given, stage)
    _check(given, stage)
    if operator_set(given) < _FIRST_THAT_RUNS and not _runs(given):
        raise _other_operator_set(given, _FIRST_THAT_RUNS, stage)
    demand_repeatable(given, stage)
    demand_fits(name, parameters_of(given))
    quantized = holds_quantized(given)
    if not (quantized or find_precisions(given, stage)):
        return OnnxReading(given, None, rounding_tolerance(frozenset()))
    model = type(given)()
    model.CopyFrom(given)
    notes = [take_float_graph(model)] if quantized else []
    precisions = find_precisions(model, stage)
    if precisions:
        notes.append(precision_note(precisions))
        compute_in_float32(model)
    _check(model, stage)
    tolerance = None if quantized else rounding_tolerance(precisions)
    given = with_float32_edges(given)
    if _runs(given):
        return OnnxReading(model, given, tolerance, tuple(notes))
    notes.append("ONNX Runtime does not run the file as it is: nothing was compared with it.")
    return OnnxReading(model, None, tolerance, tuple(notes))


def _runs(model: onnx.ModelProto) -> bool:
    """Tell whether ONNX Runtime has all operators of a model in its types; it lacks bfloat16's."""
    from engine.networks.runners.onnx import OnnxRunner

    try:
        with OnnxRunner(model.SerializeToString()):
            return True
    except ModelError:
        return False


def _parse(parts: OnnxParts, stage: str) -> onnx.ModelProto:
    import onnx

    with parts.model() as file:
        content = file.read()
    try:
        model = onnx.load_model_from_string(content)
        if not model.graph.node:
            raise ValueError("it holds no operators")
    except Exception as error:  # protobuf raises its own kinds
        raise no_model(stage, error) from error
    return model


def _check_operator_set(model: onnx.ModelProto, stage: str) -> None:
    import onnx

    if not 1 <= operator_set(model) <= onnx.defs.onnx_opset_version():
        raise _other_operator_set(model, 1, stage)


def _other_operator_set(model: onnx.ModelProto, lowest: int, stage: str) -> ModelError:
    import onnx

    highest = onnx.defs.onnx_opset_version()
    return ModelError(
        stage,
        got=f"operator set {operator_set(model)}",
        expected=f"{lowest} to {highest}",
        todo=f"Export it for operator set {highest} or lower; in PyTorch: "
        "torch.onnx.export(..., opset_version=...). Of an old file, "
        "onnx.version_converter.convert_version(model, 13) may make a newer one.",
    )


def _check(model: onnx.ModelProto, stage: str) -> None:
    import onnx

    # The checker wants types and shapes, which some exporters leave to inference.
    typeless = [value for value in model.graph.output if not value.HasField("type")]
    for value in typeless:
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    shapeless = [
        value.type.tensor_type
        for value in (*model.graph.input, *model.graph.output)
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")
    ]
    for kind in shapeless:
        kind.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # ValidationError, or what broken strings and shapes provoke
        raise _invalid(stage, error) from error
    for kind in shapeless:
        kind.ClearField("shape")
    for value in typeless:
        value.ClearField("type")


def _invalid(stage: str, error: Exception) -> ModelError:
    return ModelError(
        stage,
        got=f"a model that onnx.checker refuses ({first_line(error)})",
        expected="a valid ONNX model",
        todo="Export it again.",
    )


def parameters_of(model: onnx.ModelProto) -> int:
    """Count the numbers in the initializers of a model."""
    return sum(math.prod(tensor.dims) for tensor in model.graph.initializer)


_RUNTIME = ("com.microsoft", "com.ms.")
"""Beginnings of ONNX Runtime's own domains."""
_QUANTIZED = re.compile(r"Q[A-Z]|\w*Quant|\w*Integer|\w*NBits|\w*Bnb4")
"""Operators that compute with integers, or store weights as such; QuantizeLinear and
DequantizeLinear are none of them where floats are computed between."""
_AROUND_FLOATS = {"QuantizeLinear", "DequantizeLinear"}
_FUSED = re.compile(r"Fused\w+|Bias\w+|Skip\w+|\w*Gelu|\w*LayerNorm\w*|Simplified\w+")
"""What ONNX Runtime's optimizer writes into ONNX's own domain as well."""


def demand_own_operators(model: onnx.ModelProto, stage: str) -> None:
    """Refuse a model with operators that ONNX does not define; it has no functions of its own."""
    version = operator_set(model)
    names = {(node.domain, str(node.op_type)) for node in nodes_of(model)}
    integer = sorted(_full(*name) for name in names if _computes_with_integers(name[1]))
    if integer:
        raise ModelError(
            stage,
            got=f"a file that is quantized already ({list_some(integer, 8)})",
            expected="the float file that it was made from",
            todo="Give that file: the variants are quantized here, from float32.",
        )
    foreign = {name for name in names if not _is_taken(*name, version)}
    newer = {name: since for domain, name in foreign if (since := _first_version(domain, name))}
    if newer:
        raise ModelError(
            stage,
            got=f"operators that operator set {version} does not have: "
            f"{list_some(sorted(newer), 8)}",
            expected=f"operator set {max(newer.values())} or a newer one, which have them",
            todo="Export it again for such an operator set (opset_version=...). Where PyTorch's "
            "exporter cannot write the set that it is asked for, it logs that and leaves an older "
            "number in the file.",
        )
    fused = sorted(_full(*name) for name in foreign if _is_written_by_runtime(*name))
    if fused:
        raise ModelError(
            stage,
            got=f"operators that ONNX Runtime's optimizer writes ({list_some(fused, 8)})",
            expected="operators of ONNX alone",
            todo="Give the file from before that optimizer: the one that was given to ONNX "
            "Runtime. Where it saves the model (optimized_model_filepath), set "
            "graph_optimization_level to ORT_ENABLE_BASIC, which stays within ONNX.",
        )
    if foreign:
        own = sorted(name for domain, name in foreign if not domain)
        others = sorted(_full(*name) for name in foreign if name[0])
        raise ModelError(
            stage,
            got=f"operators outside ONNX's own set: {list_some(others, 8)}"
            if others
            else f"operators that operator set {version} does not have: {list_some(own, 8)}",
            expected="operators of ONNX alone",
            todo="Export the model without custom operators; where the file holds the preparation "
            "of pictures or what follows the logits (ai.onnx.contrib, ai.onnx.ml), without that.",
        )


def _is_taken(domain: str, name: str, version: int) -> bool:
    # ONNX Runtime's quantizer writes the two into its own domain for types that ONNX lacked.
    around = name in _AROUND_FLOATS and domain.startswith(_RUNTIME)
    return around or (not domain and schema(name, version) is not None)


def _first_version(domain: str, name: str) -> int | None:
    """Find the operator set from which on ONNX has an operator; None where it never has."""
    from onnx import defs

    # ONNX Runtime's optimizer writes this one into files of any operator set.
    if domain or name == "LayerNormalization":
        return None
    versions = range(1, defs.onnx_opset_version() + 1)
    return next((version for version in versions if schema(name, version) is not None), None)


def _computes_with_integers(name: str) -> bool:
    # QONNX and OpenVINO have quantizers of their own.
    return name not in _AROUND_FLOATS and _QUANTIZED.match(name) is not None


def _is_written_by_runtime(domain: str, name: str) -> bool:
    return domain.startswith(_RUNTIME) or (not domain and _FUSED.fullmatch(name) is not None)


def _full(domain: str, name: str) -> str:
    return f"{domain}.{name}" if domain else name
