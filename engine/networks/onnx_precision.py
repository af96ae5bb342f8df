"""Compute in float32 what an ONNX file computes in float16, bfloat16 or double."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import ModelError
from engine.core.formats import list_some
from engine.networks.onnx_contents import nodes_of, tensors_of
from engine.networks.onnx_parts import ONNX_SUFFIX, locations_in
from engine.networks.onnx_tidying import graphs_of, rename_value

if TYPE_CHECKING:
    import onnx

_FLOAT, _FLOAT16, _DOUBLE, _BFLOAT16 = 1, 10, 11, 16
_WORDS = {_FLOAT16: "float16", _DOUBLE: "double", _BFLOAT16: "bfloat16"}
"""Types that float32 takes the place of, by TensorProto.DataType."""
_EIGHT_BITS = {17, 18, 19, 20, 23, 24, 27, 28}
"""Floats of 8 bits or fewer."""
_TYPE_ATTRIBUTES = {
    "dtype",
    "output_datatype",
    "output_dtype",
    "precision",
    "softmax_precision",
    "stash_type",
    "to",
}
"""Attributes whose number is a TensorProto.DataType."""
_ROUNDING = {_FLOAT: 2**-16, _FLOAT16: 2**-10, _BFLOAT16: 2**-7, _DOUBLE: 2**-16}
"""Distance of neighbours near 1; for float32, and for double, whose place it takes, a share of the
tolerance of other stages."""
_ROUNDINGS = 64
"""How often rounding may add up between a picture and its logits."""


def find_precisions(model: onnx.ModelProto, stage: str) -> frozenset[int]:
    """Find the types other than float32 in which a model computes.

    Returns:
        Some of float16, bfloat16 and double, as TensorProto.DataType.
    """
    used = {tensor.data_type for tensor in tensors_of(model)}
    used |= {int(attribute.i) for attribute in _type_attributes(model)}
    used |= {int(kind.tensor_type.elem_type) for kind in _types(model)}
    if used & _EIGHT_BITS:
        raise ModelError(
            stage,
            got="a file that is quantized already (floats of 8 bits or fewer)",
            expected="the float file that it was made from",
            todo="Give that file: the variants are quantized here, from float32.",
        )
    return frozenset(used & _WORDS.keys())


def precision_note(precisions: frozenset[int]) -> str:
    """Say that a file's own types were not used."""
    words = " and ".join(sorted(_WORDS[kind] for kind in precisions))
    return f"The file computes in {words}; here it is computed in float32."


def rounding_tolerance(precisions: frozenset[int]) -> float:
    """Compute the largest relative difference by which a file's types may move its logits."""
    return _ROUNDINGS * max(_ROUNDING[kind] for kind in {_FLOAT, *precisions})


def compute_in_float32(model: onnx.ModelProto) -> None:
    """Put float32 in the place of float16, bfloat16 and double: weights, casts, edges."""
    for tensor in tensors_of(model):
        if tensor.data_type in _WORDS:
            _widen(tensor)
    for attribute in _type_attributes(model):
        if attribute.i in _WORDS:
            attribute.i = _FLOAT
    for kind in _types(model):
        if kind.tensor_type.elem_type in _WORDS:
            kind.tensor_type.elem_type = _FLOAT


def _widen(tensor: onnx.TensorProto) -> None:
    from onnx import numpy_helper

    values = numpy_helper.to_array(tensor).astype(np.float64)
    limits = np.finfo(np.float32)
    # A double beyond float32, such as a mask's lowest number, stays finite, and one too small for
    # it, such as what a divisor is kept above, does not become 0.
    finite = np.where(np.isfinite(values), np.clip(values, limits.min, limits.max), values)
    tiny = (finite != 0) & (np.abs(finite) < limits.tiny)
    finite = np.where(tiny, np.copysign(limits.tiny, finite), finite)
    with np.errstate(invalid="ignore"):  # of a signalling NaN, which stays one
        tensor.CopyFrom(numpy_helper.from_array(finite.astype(np.float32), tensor.name))


def with_float32_edges(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give a model of other types a float32 input and float32 outputs, in place."""
    from onnx import helper

    graph = model.graph
    casts = []
    for values, into in ((graph.input, True), (graph.output, False)):
        for value in values:
            kind = value.type.tensor_type.elem_type
            if kind not in _WORDS:
                continue
            inner = f"{value.name}/{_WORDS[kind]}"
            rename_value(graph.node, value.name, inner)
            source, target = (value.name, inner) if into else (inner, value.name)
            casts.append(
                (into, helper.make_node("Cast", [source], [target], to=kind if into else _FLOAT))
            )
            value.type.tensor_type.elem_type = _FLOAT
    nodes = [
        *(cast for into, cast in casts if into),
        *graph.node,
        *(cast for into, cast in casts if not into),
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _type_attributes(model: onnx.ModelProto) -> list[onnx.AttributeProto]:
    return [
        attribute
        for node in nodes_of(model)
        for attribute in node.attribute
        if attribute.name in _TYPE_ATTRIBUTES and attribute.type == attribute.INT
    ]


def _types(model: onnx.ModelProto) -> list[onnx.TypeProto]:
    """List the types of values, and of what sequences and optional values hold."""
    waiting = [
        value.type
        for graph in graphs_of(model)
        for value in (*graph.input, *graph.output, *graph.value_info)
    ]
    waiting += [attribute.tp for node in nodes_of(model) for attribute in node.attribute]
    types = []
    while waiting:
        kind = waiting.pop()
        if kind.HasField("tensor_type"):
            types.append(kind)
        elif kind.HasField("sequence_type"):
            waiting.append(kind.sequence_type.elem_type)
        elif kind.HasField("optional_type"):
            waiting.append(kind.optional_type.elem_type)
    return types


_STAGE = "Reading the dropped files"
_MODEL = "model.onnx"
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""Time of entries, so that the same files make the same zip."""


def is_model(name: str) -> bool:
    """Tell by its name whether a file is a model, or a zip, and no data of one."""
    return name.lower().endswith((ONNX_SUFFIX, ".zip"))


def pack_onnx(files: Sequence[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Pack an ONNX model and its data into a zip, under the names that the model asks for.

    Args:
        files: Names, as a browser gives them, and contents.

    Returns:
        Name and content: of the zip, or of the only file, which is then not looked into.

    Raises:
        ModelError: It is not one model with the data that it asks for.
    """
    models = [file for file in files if file[0].lower().endswith(ONNX_SUFFIX)]
    data = [file for file in files if file not in models]
    if len(files) == 1 and is_model(files[0][0]):
        return files[0]
    if len(models) != 1:
        raise ModelError(
            _STAGE,
            got=f"{len(models)} ONNX files among {list_some([repr(name) for name, _ in files])}",
            expected="one ONNX file, with its data where it has some",
            todo="Drop one model's .onnx file together with the data that was written beside it, "
            "or one zip of both.",
        )
    name, content = models[0]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        # A browser may give the model any name.
        for entry, packed_bytes in [(_MODEL, content), *_name_data(name, content, data)]:
            archive.writestr(zipfile.ZipInfo(entry, _EARLIEST), packed_bytes)
    return f"{PurePosixPath(name).stem}.zip", packed.getvalue()


def _name_data(name: str, content: bytes, data: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Give data files the names by which the model asks for them.

    A browser drops their folders and may number a file that was downloaded twice, so a single
    file that is left is the single one that is missing.
    """
    wanted = locations_in(io.BytesIO(content), len(content), f"Reading {name}")
    by_name = dict(data)
    different = len(set(data)) > len(by_name)
    named = {
        location: by_name.pop(base)
        for location in sorted(wanted)
        if (base := PurePosixPath(location).name) in by_name
    }
    missing = sorted(wanted.keys() - named)
    if len(missing) == len(by_name) == 1:
        named[missing.pop()] = by_name.popitem()[1]
    if missing or by_name or different:
        raise ModelError(
            f"Reading {name}",
            got=f"the data {list_some([repr(file) for file, _ in data])}",
            expected=list_some([repr(file) for file in sorted(wanted)])
            if wanted
            else "no data, since the model holds it all",
            todo="Drop the model with the files that were written beside it, and no others.",
        )
    return list(named.items())
