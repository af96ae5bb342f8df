"""Groups of ONNX operators that stand for one operator, as patterns of onnxscript's rewriter.

HardSwish, LayerNormalization and Gelu entered ONNX in operator sets 14, 17 and 20, so exporters to
older ones write their parts. They are put in a domain of ours, which `engine.conversion.lowering`
registers handlers for.
"""

from __future__ import annotations

import math
import traceback
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engine.conversion.softmax_masks import limit_softmax_masks

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

DOMAIN_OF_OURS: Final = "quantization_lab"
_ROOT_OF_TWO = math.sqrt(2)
_TANH_FACTOR = math.sqrt(2 / math.pi)
_TANH_CUBIC = 0.044715
# Exporters round these constants to float32, and some to four digits.
_TOLERANCE = 1e-4


def fuse(model: ir.Model) -> None:
    """Put one operator in the place of each group that stands for it, in place."""
    from onnxscript.optimizer import basic_constant_propagation

    # Records the shapes of constants, which rules that are applied would do.
    basic_constant_propagation(model.graph)
    parts: list[Any] = [model.graph, *model.functions.values()]
    operators = {node.op_type for part in parts for node in part.all_nodes()}
    for rules in _rules(_MARKS & operators):
        rules.apply_to_model(model)


# Each group has one of them. Many networks have none, and a rule is tried at every node.
_MARKS: Final = frozenset({"Erf", "Tanh", "HardSigmoid", "ReduceMean"})


@cache
def _rules(marks: frozenset[str]) -> tuple[Any, ...]:
    """Make the rules for groups that have one of some operators."""
    from onnxscript.rewriter.pattern import RewriteRule, RewriteRuleSet

    rules: list[Any] = []
    as_written: list[Any] = []
    if "Erf" in marks:
        rules += [RewriteRule(parts, _gelu) for parts in _gelus()]
    if "Tanh" in marks:
        rules += [RewriteRule(_gelu_by_tanh, _approximate_gelu)]
        as_written += [RewriteRule(_gelu_of_torch, _approximate_gelu)]
    if "HardSigmoid" in marks:
        rules += [RewriteRule(_hard_swish, _one_hard_swish, _is_hard_swish)]
    if "ReduceMean" in marks:
        rules += [RewriteRule(parts, _layer_norm, _is_layer_norm) for parts in _layer_norms()]
    sets = [RewriteRuleSet(rules, commute=True)] if rules else []
    return (*sets, RewriteRuleSet(as_written)) if as_written else tuple(sets)


def _near(value: float) -> Any:
    from onnxscript.rewriter.pattern import Constant

    return Constant(value, rel_tol=_TOLERANCE)


def _gelus() -> list[Any]:
    def divide(op: Any, x: Any) -> Any:
        return op.Add(op.Erf(op.Div(x, _near(_ROOT_OF_TWO))), _near(1.0))

    def multiply(op: Any, x: Any) -> Any:
        return op.Add(op.Erf(op.Mul(x, _near(1 / _ROOT_OF_TWO))), _near(1.0))

    return [order for inner in (divide, multiply) for order in _orders_of_gelu(inner)]


def _orders_of_gelu(inner: Any) -> list[Any]:
    def half_last(op: Any, x: Any) -> Any:
        return op.Mul(op.Mul(x, inner(op, x)), _near(0.5))

    def half_first(op: Any, x: Any) -> Any:
        return op.Mul(op.Mul(x, _near(0.5)), inner(op, x))

    def half_inside(op: Any, x: Any) -> Any:
        return op.Mul(x, op.Mul(inner(op, x), _near(0.5)))

    return [half_last, half_first, half_inside]


def _gelu(op: Any, x: Any, **_: Any) -> Any:
    return op.Gelu(x, _domain=DOMAIN_OF_OURS)


def _gelu_by_tanh(op: Any, x: Any) -> Any:
    cubed = op.Pow(x, _near(3.0))
    inner = op.Mul(op.Add(x, op.Mul(cubed, _near(_TANH_CUBIC))), _near(_TANH_FACTOR))
    return op.Mul(op.Mul(x, _near(0.5)), op.Add(op.Tanh(inner), _near(1.0)))


def _gelu_of_torch(op: Any, x: Any) -> Any:
    """Match the order that torch's exporter writes; trying all orders takes too long."""
    cubed = op.Mul(x, op.Mul(x, x))
    inner = op.Mul(_near(_TANH_FACTOR), op.Add(x, op.Mul(_near(_TANH_CUBIC), cubed)))
    return op.Mul(_near(0.5), op.Mul(x, op.Add(_near(1.0), op.Tanh(inner))))


def _approximate_gelu(op: Any, x: Any, **_: Any) -> Any:
    return op.Gelu(x, approximate="tanh", _domain=DOMAIN_OF_OURS)


def _hard_swish(op: Any, x: Any) -> Any:
    return op.Mul(x, op.HardSigmoid(x, _outputs=["gate"], _allow_other_attributes=True))


def _is_hard_swish(context: Any, gate: Any, **_: Any) -> bool:
    slope, middle = (gate.producer().attributes.get(name) for name in ("alpha", "beta"))
    if slope is None:
        return False
    close = math.isclose(slope.as_float(), 1 / 6, rel_tol=_TOLERANCE)
    return close and (middle is None or middle.as_float() == 0.5)


def _one_hard_swish(op: Any, x: Any, **_: Any) -> Any:
    return op.HardSwish(x, _domain=DOMAIN_OF_OURS)


def _layer_norms() -> list[Any]:
    def square_of(op: Any, centred: Any) -> Any:
        return op.Pow(centred, _near(2.0))

    def multiply(op: Any, centred: Any) -> Any:
        return op.Mul(centred, centred)

    def parts(op: Any, x: Any, epsilon: Any, square: Any) -> tuple[Any, Any]:
        given = {"_allow_other_attributes": True, "_allow_other_inputs": True}
        centred = op.Sub(x, op.ReduceMean(x, _outputs=["mean"], **given))
        variance = op.ReduceMean(square(op, centred), _outputs=["variance"], **given)
        return centred, op.Sqrt(op.Add(variance, epsilon))

    def divide(op: Any, x: Any, epsilon: Any, square: Any) -> Any:
        return op.Div(*parts(op, x, epsilon, square))

    def times_reciprocal(op: Any, x: Any, epsilon: Any, square: Any) -> Any:
        centred, deviation = parts(op, x, epsilon, square)
        return op.Mul(centred, op.Reciprocal(deviation))

    def whole(norm: Any, square: Any) -> Any:
        def pattern(op: Any, x: Any, epsilon: Any, scale: Any, shift: Any) -> Any:
            return op.Add(op.Mul(norm(op, x, epsilon, square), scale), shift)

        return pattern

    return [
        whole(norm, square)
        for norm in (divide, times_reciprocal)
        for square in (square_of, multiply)
    ]


def _is_layer_norm(
    context: Any, x: Any, mean: Any, variance: Any, epsilon: Any, scale: Any, shift: Any, **_: Any
) -> bool:
    axes = _last_axes(mean, x)
    constant = all(value.const_value is not None for value in (epsilon, scale, shift))
    if not constant or epsilon.const_value.size != 1 or not axes or axes != _last_axes(variance, x):
        return False
    return all(value.shape is not None and len(value.shape) <= axes for value in (scale, shift))


def _last_axes(mean: Any, x: Any) -> int:
    """Count the last axes that a mean is over; 0 where it is over others or drops them."""
    node = mean.producer()
    given = node.attributes.get("axes")
    if given is not None:
        axes = list(given.as_ints())
    elif len(node.inputs) > 1 and node.inputs[1].const_value is not None:
        axes = [int(axis) for axis in node.inputs[1].const_value.numpy()]
    else:
        return 0
    keep = node.attributes.get("keepdims")
    if keep is not None and not keep.as_int():
        return 0
    if any(axis >= 0 for axis in axes):
        if x.shape is None:
            return 0
        axes = [axis - len(x.shape) if axis >= 0 else axis for axis in axes]
    return len(axes) if sorted(axes) == list(range(-len(axes), 0)) else 0


def _layer_norm(op: Any, x: Any, mean: Any, epsilon: Any, scale: Any, shift: Any, **_: Any) -> Any:
    return op.LayerNormalization(
        x,
        scale,
        shift,
        axis=-_last_axes(mean, x),
        epsilon=float(epsilon.const_value.numpy().reshape(-1)[0]),
        _domain=DOMAIN_OF_OURS,
    )


# Share of the largest answer; orders of summing differ by less.
_LARGEST_CHANGE = 1e-3


def clean_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants with onnxslim, and merge groups of operators that stand for one.

    torch writes a zero padding as a chain of seventeen operators on constants; folded, it becomes a
    part of the convolution behind it. ONNX Runtime answers for one picture before and after; the
    hop ladder checks the rest: the SavedModel is compared with the ONNX file as it was.
    """
    import onnx_ir

    try:
        graph = onnx_ir.from_proto(_fold(_copy(model)))
        limit_softmax_masks(graph)
        if not _answers_alike(onnx_ir.to_proto(graph), model):
            print("Folding constants changed the answers; the graph is lowered as it was.")
            return model
        fuse(graph)
        tidy: onnx.ModelProto = onnx_ir.to_proto(graph)
    except Exception:  # they pass on whatever a graph provokes, and are no must
        traceback.print_exc()
        return model
    return tidy


def _fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold until it brings nothing more: onnxslim gives up in the middle of a deep Swin.

    Inputs are of fixed size, so a graph that still asks for a shape has constants left to fold.
    onnxslim infers wrong shapes behind a Resize that names its axes: onnx's take their place.
    """
    import onnx

    onnxslim: Any = import_onnxslim()
    while True:
        slim: onnx.ModelProto = onnxslim.slim(model)
        asks = any(node.op_type == "Shape" for node in slim.graph.node)
        if not asks or len(slim.graph.node) >= len(model.graph.node):
            break
        model = slim
    del slim.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(slim)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy


def _answers_alike(first: onnx.ModelProto, second: onnx.ModelProto) -> bool:
    """Tell whether two graphs give the same answers to one random picture."""
    answer, expected = (_answer(model) for model in (first, second))
    tolerance = _LARGEST_CHANGE * float(np.abs(expected[np.isfinite(expected)]).max(initial=0))
    return answer.shape == expected.shape and np.allclose(
        answer, expected, rtol=0, atol=tolerance, equal_nan=True
    )


def _answer(model: onnx.ModelProto) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings are about names that no person gave
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (picture,) = session.get_inputs()
    values = np.random.default_rng(0).normal(size=picture.shape).astype(np.float32)
    output = session.get_outputs()[0].name
    return np.asarray(session.run([output], {picture.name: values})[0], np.float64)


@cache
def import_onnxslim() -> ModuleType:
    """Import onnxslim and put the repaired inference in the place of its own.

    Returns:
        The module ``onnxslim``.
    """
    import onnxslim
    from onnxslim.core.shape_inference.registry import SHAPE_HANDLERS
    from onnxslim.core.shape_inference.standard_ops.tensor.slice import SliceHandler

    class SliceOfLists(SliceHandler):  # type: ignore[misc]  # onnxslim has no types
        def infer_shape(self, node: Any, ctx: Any) -> None:
            super().infer_shape(node, ctx)
            shape = ctx.try_get_shape(node, 0)
            if shape is None or len(shape) != 1:
                ctx.sympy_data_.pop(node.output[0], None)

    SHAPE_HANDLERS["Slice"] = SliceOfLists()
    module: ModuleType = onnxslim
    return module
