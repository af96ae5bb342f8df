"""LSTM, GRU and RNN, unrolled.

The stock handlers ask for Keras cells that are gone. The input size is fixed, so the number of
steps is known: ours write every step with operators that integer kernels have, each result in a
range of its own. The product with the inputs is one FULLY_CONNECTED over the whole sequence; a step
has one more, with the state before, whose weights are stored once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.conversion.lowering.layout import (
    constant,
    integers,
    permute,
    reshape_tensor,
    unknown,
    view,
)
from engine.conversion.lowering.linear import fully_connected
from engine.conversion.lowering.node import Lowering, Node, store_weight

Activation = Callable[[Any], Any]
State = tuple[Any, ...]
"""The hidden state, then an LSTM's cell state, each of shape (batch, hidden); None for zeros."""
Step = Callable[[Any, State], State]
"""From the products with the inputs, shape (batch, gates * hidden), and a state to the next."""
_LENGTHS, _STATES, _PEEPHOLES = 4, 5, 7
_DEFAULT_ACTIVATIONS = {
    "RNN": ["Tanh"],
    "GRU": ["Sigmoid", "Tanh"],
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
}
_GATE_ACTIVATIONS = 2
# Alpha and beta of the activations that have them; where ONNX has no such operator, or the runtime
# another threshold, as ONNX Runtime.
_DEFAULT_FACTORS = {
    "affine": (0.0, 0.0),
    "elu": (1.0,),
    "hardsigmoid": (0.2, 0.5),
    "leakyrelu": (0.01,),
    "scaledtanh": (0.0, 0.0),
    "thresholdedrelu": (0.0,),
}


@dataclass(frozen=True, slots=True)
class _Direction:
    """What one direction of a recurrent operator computes with.

    Attributes:
        weights: Of the inputs, shape (inputs, gates * hidden).
        recurrent: Of the hidden state, shape (hidden, gates * hidden).
        bias: Of the product with the inputs, and of that with the hidden state where they add up,
            shape (gates * hidden,).
        late_bias: Of the product with the hidden state that a GRU's reset gate comes behind, shape
            (hidden,); None where the gate comes before the product.
        peepholes: Of an LSTM's cell state for the gates i, o and f, each of shape (hidden,) or
            None.
        activations: In ONNX's order; those of gates clip their argument first.
        coupled: Whether an LSTM forgets as much as it takes in.
    """

    weights: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    late_bias: np.ndarray | None
    peepholes: list[np.ndarray | None]
    activations: list[Activation]
    coupled: bool


def rnn(direction: _Direction) -> Step:
    """Build the step of a plain recurrent layer."""
    product = _product(direction.recurrent)
    (activation,) = direction.activations

    def step(inputs: Any, state: State) -> State:
        return (activation(_plus(inputs, product(state[0]))),)

    return step


def gru(direction: _Direction) -> Step:
    """Build the step of gated recurrent units."""
    import tensorflow as tf

    gate, new = direction.activations
    hidden = len(direction.recurrent)
    gates = _product(direction.recurrent[:, : 2 * hidden])
    product = _product(direction.recurrent[:, 2 * hidden :], direction.late_bias)

    def step(inputs: Any, state: State) -> State:
        (before,) = state
        given, candidate = tf.split(inputs, [2 * hidden, hidden], -1)
        update, reset = tf.split(gate(_plus(given, gates(before))), 2, -1)
        if direction.late_bias is not None:
            candidate = candidate + reset * product(before)
        elif before is not None:
            candidate = candidate + product(reset * before)
        candidate = new(candidate)
        if before is None:
            return (candidate - update * candidate,)
        return (candidate + update * (before - candidate),)

    return step


def lstm(direction: _Direction) -> Step:
    """Build the step of long short-term memory."""
    import tensorflow as tf

    gate, new, out = direction.activations
    product = _product(direction.recurrent)
    of_input, of_output, of_forget = direction.peepholes

    def step(inputs: Any, state: State) -> State:
        hidden, cell = state
        into, output, forget, candidate = tf.split(_plus(inputs, product(hidden)), 4, -1)
        into = gate(_plus(into, _times(cell, of_input)))
        following = into * new(candidate)
        if cell is not None:
            if direction.coupled:
                kept_share = 1 - into
            else:
                kept_share = gate(_plus(forget, _times(cell, of_forget)))
            following = kept_share * cell + following
        output = gate(_plus(output, _times(following, of_output)))
        return output * out(following), following

    return step


def _plus(x: Any, y: Any) -> Any:
    return x if y is None else x + y


def _times(x: Any, y: Any) -> Any:
    return None if x is None or y is None else x * y


def _product(weights: np.ndarray, bias: np.ndarray | None = None) -> Activation:
    """Build the product of a state with weights; that of zeros is the bias."""
    import tensorflow as tf

    shared = tf.convert_to_tensor(store_weight(weights))

    def multiply(state: Any) -> Any:
        if state is None:
            return bias
        y = tf.matmul(state, shared)
        return y if bias is None else tf.nn.bias_add(y, bias)

    return multiply


def _unroll(states: int, build: Callable[[_Direction], Step]) -> Lowering:
    """Lower a recurrent operator of so many states, whose step ``build`` gives."""

    def lower(node: Node) -> list[Any]:
        x, batch_first = node.inputs[0], bool(node.attributes.get("layout"))
        if batch_first:
            x = permute(x, (1, 0, 2))
        length, batch, _ = x.shape.as_list()
        lengths = integers(node.input(_LENGTHS)) or [length] * batch
        shown = np.arange(length)[:, None, None] < np.array(lengths)[:, None]
        sequences, finals = [], []
        for number, direction in enumerate(_directions(node)):
            initial = tuple(
                _initial(node.input(_STATES + state), number, batch_first)
                for state in range(states)
            )
            inputs = _steps(fully_connected(x, direction.weights, direction.bias))
            times = list(range(length))
            if number == 1 or node.attributes.get("direction") == "reverse":
                times.reverse()
            outputs, final = _run(build(direction), inputs, initial, shown, times)
            sequences.append(outputs)
            finals.append(final)
        return _in_order_of_onnx(sequences, finals, batch_first)

    return lower


def _directions(node: Node) -> Iterator[_Direction]:
    for position, name in ((3, "B"), (_LENGTHS, "sequence_lens"), (_PEEPHOLES, "P")):
        if unknown(node, position):
            raise ValueError(f"its input {name} is known at run time alone")
    weights, recurrent = constant(node.inputs[1]), constant(node.inputs[2])
    if weights is None or recurrent is None:
        raise ValueError("its weights are known at run time alone")
    count, wide, hidden = recurrent.shape
    bias, peepholes = constant(node.input(3)), constant(node.input(_PEEPHOLES))
    activations = list(_activations(node, count))
    each = len(activations) // count
    for position in range(count):
        of_inputs, of_state = np.zeros((2, wide), np.float32)
        if bias is not None:
            of_inputs, of_state = np.split(bias[position], 2)
        late = None
        if node.attributes.get("linear_before_reset"):
            late = of_state[-hidden:]
            of_state = np.concatenate([of_state[:-hidden], np.zeros_like(late)])
        yield _Direction(
            weights=weights[position].T,
            recurrent=recurrent[position].T,
            bias=of_inputs + of_state,
            late_bias=late,
            peepholes=[None] * 3 if peepholes is None else [*np.split(peepholes[position], 3)],
            activations=activations[position * each : (position + 1) * each],
            coupled=bool(node.attributes.get("input_forget")),
        )


def _activations(node: Node, directions: int) -> Iterator[Activation]:
    usual = _DEFAULT_ACTIVATIONS[node.kind]
    factors = [iter(node.attributes.get(f"activation_{name}", ())) for name in ("alpha", "beta")]
    for number, name in enumerate(node.attributes.get("activations", usual * directions)):
        kind = (name.decode() if isinstance(name, bytes) else name).lower()
        defaults = _DEFAULT_FACTORS.get(kind, ())
        # The last of an LSTM takes the cell state, which ONNX Runtime does not clip.
        of_gate = number % len(usual) < _GATE_ACTIVATIONS
        yield _activation(
            kind,
            [next(given, default) for given, default in zip(factors, defaults, strict=False)],
            node.attributes.get("clip") if of_gate else None,
        )


def _activation(kind: str, factors: list[float], bound: float | None) -> Activation:
    import tensorflow as tf

    functions: dict[str, Callable[..., Any]] = {
        "affine": lambda x, a, b: a * x + b,
        "elu": lambda x, a: tf.nn.relu(x) + a * tf.nn.elu(tf.minimum(x, 0)),
        "hardsigmoid": lambda x, a, b: tf.clip_by_value(a * x + b, 0, 1),
        "leakyrelu": tf.nn.leaky_relu,
        "relu": tf.nn.relu,
        "scaledtanh": lambda x, a, b: a * tf.tanh(b * x),
        "sigmoid": tf.sigmoid,
        "softplus": tf.nn.softplus,
        "softsign": tf.nn.softsign,
        "tanh": tf.tanh,
        "thresholdedrelu": lambda x, a: tf.where(x > a, x, tf.zeros_like(x)),
    }
    function = functions[kind]
    if not bound:
        return lambda x: function(x, *factors)
    return lambda x: function(tf.clip_by_value(x, -bound, bound), *factors)


def _initial(given: Any, direction: int, batch_first: bool) -> Any:
    """Get the state that a direction begins with, shape (batch, hidden); None for zeros."""
    value = constant(given)
    if given is None or (value is not None and not value.any()):
        return None
    return given[:, direction] if batch_first else given[direction]


def _steps(sequence: Any) -> list[Any]:
    """Split a tensor of shape (length, batch, size) into parts of shape (batch, size)."""
    import tensorflow as tf

    source, order = view(sequence)
    turned = (1, 0) if order[1] > order[2] else (0, 1)
    return [permute(part, turned) for part in tf.unstack(source, axis=order[0])]


def _run(
    step: Step, inputs: list[Any], state: State, shown: np.ndarray, times: list[int]
) -> tuple[list[Any], State]:
    """Do all steps.

    Returns:
        The hidden states, zero beyond the length of a sequence, and the last state.
    """
    import tensorflow as tf

    outputs: list[Any] = [None] * len(inputs)
    for time in times:
        if not shown[time].any():
            continue
        following = step(inputs[time], state)
        outputs[time] = following[0]
        if not shown[time].all():
            outputs[time] = tf.where(shown[time], following[0], 0)
            following = tuple(
                tf.where(shown[time], new, 0 if old is None else old)
                for new, old in zip(following, state, strict=True)
            )
        state = following
    return outputs, state


def _in_order_of_onnx(
    sequences: list[list[Any]], finals: list[State], batch_first: bool
) -> list[Any]:
    import tensorflow as tf

    example = next(y for y in sequences[0] if y is not None)
    zeros = tf.zeros(example.shape)
    batch, hidden = example.shape
    whole = _side_by_side(tf.stack([zeros if y is None else y for y in s]) for s in sequences)
    whole = reshape_tensor(whole, [len(sequences[0]), batch, len(sequences), hidden])
    # No work where the directions of a step come side by side next, as they do in PyTorch.
    results = [permute(whole, (1, 0, 2, 3) if batch_first else (0, 2, 1, 3))]
    for states in zip(*finals, strict=True):
        last = _side_by_side(zeros if state is None else state for state in states)
        last = reshape_tensor(last, [batch, len(finals), hidden])
        results.append(last if batch_first else permute(last, (1, 0, 2)))
    return results


def _side_by_side(parts: Iterable[Any]) -> Any:
    import tensorflow as tf

    first, *others = parts
    return tf.concat([first, *others], -1) if others else first


LOWERINGS: dict[str, Lowering] = {
    "RNN": _unroll(1, rnn),
    "GRU": _unroll(1, gru),
    "LSTM": _unroll(2, lstm),
}
