"""Operators that are not ONNX's own: refused with the way to a file that does without them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.core.errors import ModelError
from engine.networks.onnx_contents import nodes_of
from engine.networks.onnx_tidying import operator_set, schema

if TYPE_CHECKING:
    import onnx

_RUNTIME = ("com.microsoft", "com.ms.")
"""Beginnings of ONNX Runtime's own domains."""
_QUANTIZED = re.compile(r"Q[A-Z]|\w*Quant|\w*Integer|\w*NBits|\w*Bnb4")
"""Operators that compute with integers, or store weights as such; QuantizeLinear and
DequantizeLinear are none of them where floats are computed between."""
_AROUND_FLOATS = {"QuantizeLinear", "DequantizeLinear"}
_FUSED = re.compile(r"Fused\w+|Bias\w+|Skip\w+|\w*Gelu|\w*LayerNorm\w*|Simplified\w+")
"""What ONNX Runtime's optimizer writes into ONNX's own domain as well."""


def demand_own_operators(model: onnx.ModelProto, stage: str) -> None:
    """Refuse a model with operators that ONNX does not define.

    Args:
        model: Without functions of its own.
        stage: What is being done, for the message.

    Raises:
        ModelError: It was quantized, or written by ONNX Runtime's optimizer, or needs operators of
            someone else.
    """
    version = operator_set(model)
    names = {(node.domain, str(node.op_type)) for node in nodes_of(model)}
    integer = sorted(_full(*name) for name in names if _computes_with_integers(name[1]))
    if integer:
        raise ModelError(
            stage,
            got=f"a file that is quantized already ({_listed(integer)})",
            expected="the float file that it was made from",
            todo="Give that file: the variants are quantized here, from float32.",
        )
    foreign = {name for name in names if not _is_taken(*name, version)}
    newer = {name: since for domain, name in foreign if (since := _defined_since(domain, name))}
    if newer:
        raise ModelError(
            stage,
            got=f"operators that operator set {version} does not have: {_listed(sorted(newer))}",
            expected=f"operator set {max(newer.values())} or a newer one, which have them",
            todo="Export it again for such an operator set (opset_version=...). Where PyTorch's "
            "exporter cannot write the set that it is asked for, it logs that and leaves an older "
            "number in the file.",
        )
    fused = sorted(_full(*name) for name in foreign if _is_written_by_runtime(*name))
    if fused:
        raise ModelError(
            stage,
            got=f"operators that ONNX Runtime's optimizer writes ({_listed(fused)})",
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
            got=f"operators outside ONNX's own set: {_listed(others)}"
            if others
            else f"operators that operator set {version} does not have: {_listed(own)}",
            expected="operators of ONNX alone",
            todo="Export the model without custom operators; where the file holds the preparation "
            "of pictures or what follows the logits (ai.onnx.contrib, ai.onnx.ml), without that.",
        )


def _is_taken(domain: str, name: str, version: int) -> bool:
    # ONNX Runtime's quantizer writes the two into its own domain for types that ONNX lacked.
    around = name in _AROUND_FLOATS and domain.startswith(_RUNTIME)
    return around or (not domain and schema(name, version) is not None)


def _defined_since(domain: str, name: str) -> int | None:
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


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
