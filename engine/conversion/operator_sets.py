"""Operators of operator sets that came after the handlers.

onnx-tf (2022) knows operator set 15. Most operators of a newer set are the same but for more types,
or for attributes that exporters write at their default; `older_form` says where. Others are
compositions, for which the onnx package has function bodies: `with_functions_inlined`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.networks.onnx_contents import nodes_of
from engine.networks.onnx_tidying import operator_set

if TYPE_CHECKING:
    import onnx

# Forms with the attributes and inputs of the older one, but another meaning.
_NEW_MEANINGS: Mapping[str, int] = {"Softmax": 13, "LogSoftmax": 13, "Hardmax": 13}
# New values of attributes that an older form has as well, but not with this meaning.
_NEW_VALUES: Mapping[str, frozenset[str]] = {
    "Pad": frozenset({"wrap"}),
    "Resize": frozenset({"half_pixel_symmetric"}),
}
# Attributes about types of eight bits and less.
_OF_SMALL_TYPES: Mapping[str, frozenset[str]] = {
    "Cast": frozenset({"saturate", "round_mode"}),
    "CastLike": frozenset({"saturate", "round_mode"}),
}


def older_form(
    kind: str,
    since: int,
    forms: Iterable[int],
    *,
    attributes: Mapping[str, Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> int | None:
    """Choose the form of an operator by which a node can be read.

    Args:
        kind: The operator.
        since: Operator set in which the node's own form was defined.
        forms: Operator sets of the forms to choose from.
        attributes: The node's, strings decoded.
        inputs: Names of the node's inputs, empty where one is left out.
        outputs: Names of the node's outputs.

    Returns:
        The newest of the forms up to the node's own; None where it has other attributes, defaults,
        inputs or outputs than the node uses.
    """
    from onnx import defs

    form = max((form for form in forms if form <= since), default=None)
    if form is None or form == since:
        return form
    new, old = (defs.get_schema(kind, version) for version in (since, form))
    if old.since_version == new.since_version:
        return form
    if form < _NEW_MEANINGS.get(kind, 0) <= since:
        return None
    if len(_trim(inputs)) > old.max_input or len(_trim(outputs)) > old.max_output:
        return None
    for name, attribute in new.attributes.items():
        default = _default(attribute)
        value = attributes.get(name, default)
        if name in old.attributes:
            same = name in attributes or default == _default(old.attributes[name])
            same &= value not in _NEW_VALUES.get(kind, ()) if isinstance(value, str) else True
        else:
            same = value == default or name in _OF_SMALL_TYPES.get(kind, ())
        if not same:
            return None
    return form


def _trim(names: Sequence[str]) -> list[str]:
    """Drop empty names behind the last other."""
    count = max((number for number, name in enumerate(names, 1) if name), default=0)
    return list(names[:count])


def _default(attribute: Any) -> Any:
    from onnx import helper

    if not attribute.default_value.type:
        return None
    value = helper.get_attribute_value(attribute.default_value)
    return value.decode() if isinstance(value, bytes) else value


def with_functions_inlined(model: onnx.ModelProto, handled: frozenset[str]) -> onnx.ModelProto:
    """Put ONNX's own function body in the place of each operator that no handler has.

    Args:
        model: The graph, with the shapes of its values; not changed.
        handled: Operators that stay, function or not.

    Returns:
        The model itself where nothing is to be done.
    """
    from onnx import inliner

    written = _functions() & {node.op_type for node in nodes_of(model)}
    if written <= handled:
        return model
    model = _spell_out(model, written - handled)
    # Bodies hold other functions.
    functions = [("", name) for name in sorted(_functions() - handled)]
    inlined = inliner.inline_selected_functions(model, functions, inline_schema_functions=True)
    for value in [value for value in inlined.graph.value_info if not value.name]:
        inlined.graph.value_info.remove(value)
    return inlined


def _spell_out(model: onnx.ModelProto, functions: frozenset[str]) -> onnx.ModelProto:
    """Copy a graph, with the types and defaults that the inliner does not look up itself."""
    from onnx import TensorProto, defs, helper

    copy = type(model)()
    copy.CopyFrom(model)
    typed = {value.name for value in (*copy.graph.value_info, *copy.graph.input)}
    copy.graph.value_info.extend(
        helper.make_tensor_value_info(value.name, value.data_type, value.dims)
        for value in copy.graph.initializer
        if value.name not in typed
    )
    # Of an input that is left out between others.
    copy.graph.value_info.append(helper.make_tensor_value_info("", TensorProto.FLOAT, None))
    version = operator_set(copy)
    for node in nodes_of(copy):
        if node.op_type in functions:
            given = {attribute.name for attribute in node.attribute}
            for name, attribute in defs.get_schema(node.op_type, version).attributes.items():
                if name not in given and attribute.default_value.type:
                    node.attribute.append(attribute.default_value)
    return copy


@cache
def _functions() -> frozenset[str]:
    """List the operators that ONNX defines by others, in any operator set."""
    from onnx import defs

    # The package's stubs lack the two properties.
    schemas: Any = defs.get_all_schemas_with_history()
    return frozenset(
        schema.name
        for schema in schemas
        if schema.domain == defs.ONNX_DOMAIN
        and (schema.has_function or schema.has_context_dependent_function)
    )
