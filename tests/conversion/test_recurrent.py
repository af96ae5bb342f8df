"""LSTM, GRU and RNN unrolled, held against ONNX Runtime through to files that are run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import ConversionError
from engine.tflite.artifact import artifact_of
from tests.helpers.integer_models import (
    answers_of,
    assert_answers,
    expected_answers,
    parse_network,
    with_all_read,
)

pytestmark = pytest.mark.slow
HIDDEN = 5
GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def weights(batch: int, inputs: int) -> dict[str, np.ndarray]:
    """Weights of all kinds, of one direction and, behind a 2, of two."""
    generator = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return generator.normal(0, 0.5, shape).astype(np.float32)

    drawn = {}
    for end, directions in (("", 1), ("2", 2)):
        for kind, gates in GATES.items():
            rows = gates * HIDDEN
            drawn[f"{kind}_w{end}"] = draw(directions, rows, inputs)
            drawn[f"{kind}_r{end}"] = draw(directions, rows, HIDDEN)
            drawn[f"{kind}_b{end}"] = draw(directions, 2 * rows)
        drawn[f"hidden{end}"] = draw(directions, batch, HIDDEN)
        drawn[f"cell{end}"] = draw(directions, batch, HIDDEN)
        drawn[f"peep{end}"] = draw(directions, 3 * HIDDEN)
    return drawn


SIZE = f"hidden_size = {HIDDEN}"
BOTH = f'{SIZE}, direction = "bidirectional"'
BACK = f'{SIZE}, direction = "reverse"'


def test_every_attribute(tmp_path: Path) -> None:
    model = parse_network(
        "x = Reshape(picture, to_steps)\nrows = Slice(x, one, two)\n"
        "now_h = Slice(rows, zero, width, last_axis)\n"
        + with_all_read(f"""
          a, a_h = RNN<{SIZE}, activations = ["Relu"]>(x, rnn_w, rnn_r)
          b, b_h = RNN<{BOTH}, activations = ["HardSigmoid", "Elu"], activation_alpha = [0.3, 0.7],
            activation_beta = [0.4]>(x, rnn_w2, rnn_r2, rnn_b2, uneven, hidden2)
          c, c_h = GRU<{BACK}, linear_before_reset = 1>(x, gru_w, gru_r, gru_b)
          d, d_h = GRU<{BOTH}, clip = 0.4>(x, gru_w2, gru_r2, gru_b2, short, hidden2)
          e, e_h = GRU<{BACK}, linear_before_reset = 1>(x, gru_w, gru_r, gru_b, uneven, now_h)
          f, f_h, f_c = LSTM<{SIZE}>(x, lstm_w, lstm_r, lstm_b, , hidden)
          g, g_h, g_c = LSTM<{BOTH}, clip = 0.4>
            (x, lstm_w2, lstm_r2, lstm_b2, uneven, hidden2, cell2, peep2)
          i, i_h, i_c = LSTM<{BACK}, input_forget = 1,
            activations = ["Sigmoid", "Softsign", "ScaledTanh"], activation_alpha = [0.6],
            activation_beta = [0.7]>(x, lstm_w, lstm_r, lstm_b, , , cell)
          j, j_h = GRU<{BOTH}, activations = ["Affine", "ThresholdedRelu", "HardSigmoid",
            "ScaledTanh"]>(x, gru_w2, gru_r2, gru_b2, , hidden2)
        """),
        weights(batch=2, inputs=9)
        | {
            "to_steps": np.array([8, 2, 9]),
            "uneven": np.array([5, 8], np.int32),
            "short": np.array([3, 3], np.int32),
            "zero": np.array([0]),
            "one": np.array([1]),
            "two": np.array([2]),
            "width": np.array([HIDDEN]),
            "last_axis": np.array([2]),
        },
        opset=14,
    )
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected_answers(model), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_integers_keep_the_answers(kind: str, tmp_path: Path) -> None:
    name = kind.lower()
    reset = ", linear_before_reset = 1" if kind == "GRU" else ""
    model = parse_network(
        f"""
          x = Reshape(picture, to_steps)
          y = {kind}<{BOTH}{reset}>(x, {name}_w2, {name}_r2, {name}_b2)
          logits = Flatten<axis = 0>(y)
        """,
        weights(batch=1, inputs=18) | {"to_steps": np.array([8, 1, 18])},
    )
    assert_answers(model, tmp_path, int8=30, int16x8=40)


def test_steps_that_nobody_reads_are_not_computed(tmp_path: Path) -> None:
    # As PyTorch writes lstm(x)[0][:, -1]: of the second direction one step is read.
    model = parse_network(
        f"""
          x = Reshape(picture, to_steps)
          y = LSTM<{BOTH}>(x, lstm_w2, lstm_r2, lstm_b2)
          beside = Transpose<perm = [0, 2, 1, 3]>(y)
          sequence = Reshape(beside, joined)
          batch_first = Transpose<perm = [1, 0, 2]>(sequence)
          logits = Gather<axis = 1>(batch_first, last)
        """,
        weights(batch=1, inputs=18)
        | {
            "to_steps": np.array([8, 1, 18]),
            "joined": np.array([0, 0, -1]),
            "last": np.array(-1),
        },
    )
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected_answers(model), rtol=1e-5, atol=1e-6
    )
    file = tmp_path / "float32.tflite"
    operators = Counter(artifact_of(file, variant="float32", layout="NHWC").operators)
    # Both products with the inputs, and seven with the hidden state of the first direction.
    assert operators["FULLY_CONNECTED"] == 2 + 7
    assert operators["TRANSPOSE"] == 1  # of the picture


def test_batch_first(tmp_path: Path) -> None:
    # ONNX Runtime has no such layout: the same with the batch second gives what is expected.
    body = """
      steps = Reshape(picture, to_steps)
      {x}
      y, y_h, y_c = LSTM<{attributes}>(x, lstm_w2, lstm_r2, lstm_b2, , {states})
      flat_y = Flatten<axis = 0>({y})
      flat_h = Flatten<axis = 0>({y_h})
      flat_c = Flatten<axis = 0>({y_c})
      logits = Concat<axis = 1>(flat_y, flat_h, flat_c)
    """
    numbers = weights(batch=2, inputs=9) | {"to_steps": np.array([2, 8, 9])}
    first = parse_network(
        body.format(
            x="x = Identity(steps)",
            attributes=f"{BOTH}, layout = 1",
            states="hidden2, cell2",
            y="y",
            y_h="y_h",
            y_c="y_c",
        ),
        numbers | {name: numbers[name].transpose(1, 0, 2) for name in ("hidden2", "cell2")},
        opset=14,
    )
    second = parse_network(
        body.format(
            x="x = Transpose<perm = [1, 0, 2]>(steps)",
            attributes=BOTH,
            states="hidden2, cell2",
            y="turned",
            y_h="turned_h",
            y_c="turned_c",
        ).replace(
            "flat_y =",
            "turned = Transpose<perm = [2, 0, 1, 3]>(y)\n"
            "turned_h = Transpose<perm = [1, 0, 2]>(y_h)\n"
            "turned_c = Transpose<perm = [1, 0, 2]>(y_c)\nflat_y =",
        ),
        numbers,
        opset=14,
    )
    np.testing.assert_allclose(
        answers_of(first, "float32", tmp_path), expected_answers(second), rtol=1e-5, atol=1e-6
    )


def test_lengths_that_are_computed_are_refused(tmp_path: Path) -> None:
    model = parse_network(
        f"""
          x = Reshape(picture, to_steps)
          largest = ReduceMax<keepdims = 0>(picture)
          numbers = Expand(largest, one)
          lengths = Cast<to = 6>(numbers)
          y, y_h = GRU<{SIZE}>(x, gru_w, gru_r, gru_b, lengths)
          logits = Flatten<axis = 0>(y_h)
        """,
        weights(batch=1, inputs=18) | {"to_steps": np.array([8, 1, 18]), "one": np.array([1])},
    )
    with pytest.raises(ConversionError, match=r"GRU.*sequence_lens is known at run time alone"):
        answers_of(model, "float32", tmp_path)
