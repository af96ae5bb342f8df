from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.comparison import metrics as metrics_module
from engine.conversion.tflite_from_savedmodel import with_edges
from engine.core import parity
from engine.core.types import Progress
from engine.quantization.optimizer import layer, optimize
from engine.quantization.optimizer.optimize import Optimized, head_of, optimize_model
from engine.tflite.graph import Graph
from engine.tflite.interpreter import Activations
from tests.helpers.tiny_pair import Conv, Writer, conv, float_file, integer_file, pictures

RNG_SEED, INSIDE, OUT = 0, 6, 4
# Not the same in every channel, since what is added to all of them changes no answer.
SHIFT, NO_SHIFT = np.array([0.4, -0.4, 0.2, -0.2]), np.zeros(OUT)


def answers(model: bytes, inputs: list[np.ndarray]) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    found = []
    for picture in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return np.stack(found)


def tiny(**kind: Any) -> tuple[bytes, bytes, list[np.ndarray]]:
    rng = np.random.default_rng(RNG_SEED)
    made = conv(rng, OUT, INSIDE, shift=kind.pop("shift", NO_SHIFT))
    inputs = pictures(rng, 24, INSIDE)
    activation = kind.get("activation", 0)
    return float_file(made, activation), integer_file(made, **kind), inputs


def run(floating: bytes, quantized: bytes, inputs: list[np.ndarray]) -> Optimized:
    return optimize_model(floating, quantized, lambda: iter(inputs), lambda _: None)


def rms(floating: bytes, other: bytes, inputs: list[np.ndarray]) -> float:
    wrong = answers(other, inputs) - answers(floating, inputs)
    return float(np.sqrt(np.mean(np.square(wrong, dtype=np.float64))))


def test_a_planted_shift_of_the_bias_is_closed() -> None:
    floating, quantized, inputs = tiny(out_step=0.1, out_zero=0, shift=SHIFT)
    found = run(floating, quantized, inputs)
    shift = (answers(found.float_io, inputs) - answers(floating, inputs)).mean(axis=(0, 1, 2, 3))
    np.testing.assert_allclose(shift, 0, atol=2e-3)
    (record,) = found.layers
    assert "bias" in record.done
    assert record.before is not None
    assert record.after is not None
    assert record.before > 0.3, "the rms of the shifts is 0.316"
    assert record.after < record.before / 4


def test_a_range_far_too_wide_is_narrowed() -> None:
    floating, quantized, inputs = tiny(out_step=0.8, out_zero=5)
    found = run(floating, quantized, inputs)
    assert found.layers[0].done[-1] == "range"
    assert rms(floating, found.float_io, inputs) < rms(floating, quantized, inputs) / 4


def test_the_range_of_a_relu6_stays() -> None:
    floating, quantized, inputs = tiny(out_step=6 / 255, out_zero=-128, activation=3)
    found = run(floating, quantized, inputs)
    graph = Graph(found.float_io)
    grid = graph.grid(graph.operators[1].output)
    assert grid is not None
    assert grid.scale == pytest.approx(6 / 255)
    assert rms(floating, found.float_io, inputs) <= rms(floating, quantized, inputs)


def test_int16_activations_keep_their_range_and_get_better_weights() -> None:
    floating, quantized, inputs = tiny(out_step=1 / 2048, out_zero=0, dtype="int16", shift=SHIFT)
    found = run(floating, quantized, inputs)
    assert found.layers[0].done == ("gptq", "bias")
    assert rms(floating, found.float_io, inputs) < rms(floating, quantized, inputs) / 4
    before, after = Graph(quantized), Graph(found.float_io)
    _, weights, bias = after.operators[1].inputs
    assert after.grid(after.operators[1].output) == before.grid(before.operators[1].output)
    assert after.dtype(bias) == "int64"
    assert after.dtype(weights) == "int8"


def test_a_layer_that_nothing_improves_is_left_as_it_was() -> None:
    # Weights, bias and range all lie on their grids, and so does every sum: there is no error.
    weights = np.eye(INSIDE, dtype=np.float32)
    exact = Conv(
        weights, np.zeros(INSIDE), weights * 127, np.full(INSIDE, 1 / 127), np.zeros(INSIDE)
    )
    inputs = pictures(np.random.default_rng(1), 24, INSIDE)
    floating = float_file(exact)
    quantized = integer_file(exact, out_step=1 / 16, out_zero=0)
    found = run(floating, quantized, inputs)
    (record,) = found.layers
    assert record.done == ()
    assert record.left == "nothing tried came closer"
    assert record.before == record.after == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(answers(found.float_io, inputs), answers(quantized, inputs))


def test_a_layer_with_one_scale_for_all_channels_is_left_as_it_was() -> None:
    made = conv(np.random.default_rng(4), INSIDE, INSIDE)
    step = made.steps.max(keepdims=True)
    per_tensor = Conv(
        made.weights,
        made.bias,
        np.rint(made.weights / step),
        step,
        np.rint(made.bias / (step / 16)),
    )
    quantized = integer_file(per_tensor, out_step=0.1, out_zero=0)
    inputs = pictures(np.random.default_rng(1), 24, INSIDE)
    found = run(float_file(made), quantized, inputs)
    assert found.layers[0].left == "its weights have one scale for all channels"
    np.testing.assert_array_equal(answers(found.float_io, inputs), answers(quantized, inputs))


def test_too_few_samples_are_rounded_plainly() -> None:
    floating, quantized, inputs = tiny(out_step=0.1, out_zero=0, shift=SHIFT)
    found = run(floating, quantized, inputs[:8])
    assert "gptq" not in found.layers[0].done
    before, after = Graph(quantized), Graph(found.float_io)
    held = before.operators[1].inputs[1]
    np.testing.assert_array_equal(before.constant(held), after.constant(held))


def test_progress_names_every_operator() -> None:
    floating, quantized, inputs = tiny(out_step=0.1, out_zero=0)
    seen: list[Progress] = []
    optimize_model(floating, quantized, lambda: iter(inputs), seen.append)
    assert [(p.stage, p.done, p.total) for p in seen] == [
        ("Optimizing QUANTIZE", 0, 3),
        ("Optimizing CONV_2D", 1, 3),
        ("Optimizing DEQUANTIZE", 2, 3),
    ]


def test_an_operator_of_no_counterpart_is_said_to_be_left() -> None:
    rng = np.random.default_rng(RNG_SEED)
    quantized = integer_file(conv(rng, INSIDE, INSIDE), out_step=0.1, out_zero=0)
    inputs = pictures(rng, 24, INSIDE)
    w = Writer()
    x = w.tensor("x", (1, 16, 16, INSIDE), "float32")
    y = w.tensor("y", (1, 16, 16, INSIDE), "float32")
    w.operator("ADD", [x, x], y)
    found = run(w.file([x], [y]), quantized, inputs)
    assert found.layers[0].left == "no operator of the float model"
    np.testing.assert_array_equal(answers(found.float_io, inputs), answers(quantized, inputs))


def test_a_model_that_gains_too_little_is_given_back_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    floating, quantized, inputs = tiny(out_step=0.1, out_zero=0, shift=SHIFT)
    # A bias search gone wrong, which each layer's own judge lets pass.
    monkeypatch.setattr(layer, "correct_bias", lambda sums, bias, *_: bias + range(len(bias)))
    monkeypatch.setattr(layer.Layer, "error", lambda *_: next(falling))
    falling = iter(np.linspace(1.0, 0.1, 10))
    found = run(floating, quantized, inputs)
    assert found.float_io == found.integer_head == quantized
    assert found.layers[0].done == ()
    assert found.layers[0].left == "the model as a whole gained too little by the changes"


def head_pair(classes: int = 5) -> tuple[bytes, bytes, list[np.ndarray]]:
    rng = np.random.default_rng(2)
    made = conv(rng, classes, INSIDE)
    inputs = [rng.normal(0, 1, (1, INSIDE)).astype(np.float32) for _ in range(64)]
    f, q = Writer(), Writer()
    x = f.tensor("x", (1, INSIDE), "float32")
    k = f.tensor("k", (classes, INSIDE), "float32", values=made.weights)
    b = f.tensor("b", (classes,), "float32", values=made.bias)
    y = f.tensor("y", (1, classes), "float32")
    f.operator("FULLY_CONNECTED", [x, k, b], y)
    step = 1 / 32
    x = q.tensor("x", (1, INSIDE), "float32")
    i = q.tensor("i", (1, INSIDE), "int8", steps=[step])
    k = q.tensor("k", (classes, INSIDE), "int8", steps=made.steps, values=made.integers)
    bias = np.rint(made.bias / (step * made.steps))
    b = q.tensor("b", (classes,), "int32", steps=step * made.steps, values=bias)
    y = q.tensor("y", (1, classes), "int8", steps=[0.2])
    z = q.tensor("z", (1, classes), "float32")
    q.operator("QUANTIZE", [x], i)
    q.operator("FULLY_CONNECTED", [i, k, b], y)
    q.operator("DEQUANTIZE", [y], z)
    return f.file([0], [3]), q.file([0], [5]), inputs


def test_the_head_gives_float_logits_with_the_same_operators() -> None:
    floating, quantized, inputs = head_pair()
    found = run(floating, quantized, inputs)
    names = [op.opcode for op in Graph(found.float_io).operators]
    assert names == ["QUANTIZE", "DEQUANTIZE", "FULLY_CONNECTED"]
    assert rms(floating, found.float_io, inputs) < rms(floating, found.integer_head, inputs)
    assert len(np.unique(answers(found.float_io, inputs))) > 256


@pytest.mark.slow
def test_the_integer_head_has_a_margin_and_takes_integer_edges() -> None:
    floating, quantized, inputs = head_pair()
    found = run(floating, quantized, inputs)
    graph = Graph(found.integer_head)
    head = head_of(graph)
    assert head is not None
    grid, logits = graph.grid(head.output), answers(floating, inputs)
    assert grid is not None
    span = float(logits.max() - logits.min())
    high, low = ((end - grid.zero_point) * grid.scale for end in (127, -128))
    assert high == pytest.approx(logits.max() + 0.02 * span, abs=grid.scale)
    assert low == pytest.approx(logits.min(), abs=grid.scale)
    pytest.importorskip("tensorflow")
    edged = Graph(with_edges(found.integer_head, "int8"))
    assert [op.opcode for op in edged.operators] == ["FULLY_CONNECTED"]


def test_the_error_of_the_head_before_is_that_of_its_old_range() -> None:
    floating, quantized, inputs = head_pair()
    found = run(floating, quantized, inputs)
    (record,) = found.integer_layers
    assert record.before == pytest.approx(rms(floating, quantized, inputs[7::8]), rel=1e-4)
    assert record.done[-1] == "range"


def test_a_head_of_float_logits_has_no_range_and_their_error() -> None:
    floating, quantized, inputs = head_pair()
    found = run(floating, quantized, inputs)
    (record,), (integer,) = found.layers, found.integer_layers
    assert record.before == integer.before
    assert integer.done[-1] == "range"
    assert record.after == pytest.approx(rms(floating, found.float_io, inputs[7::8]), rel=1e-4)
    assert record.done == (*integer.done[:-1], "float32")
    few = run(floating, quantized, inputs[:8])
    assert few.layers[0].after == pytest.approx(rms(floating, few.float_io, inputs[:8]), rel=1e-4)


def test_a_file_that_falls_back_alone_has_a_record_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    floating, quantized, inputs = head_pair()
    usual = optimize._Pass.errors
    monkeypatch.setattr(
        optimize._Pass,
        "errors",
        lambda walk, model: (
            usual(walk, model) if b"_dequantized" in model else np.array([1.0, 1.0])
        ),
    )
    found = run(floating, quantized, inputs)
    assert found.integer_head == quantized != found.float_io
    assert found.layers[0].done
    (undone,) = found.integer_layers
    assert undone.done == ()
    assert undone.left == "the model as a whole gained too little by the changes"


DATA = Path(os.environ.get("QLAB_DATA", Path(__file__).parents[4] / "shared" / "data"))
MODELS = {
    # The shares of TensorFlow's own rms and KL that the pass has to reach.
    "efficientnet_lite0": (0.50, 0.25),
    "mobilenet_v2": (0.45, 0.20),
}
COUNT = 32


@cache
def real_pair(name: str) -> tuple[bytes, bytes, list[np.ndarray], list[np.ndarray]]:
    import engine
    from engine.images.pictures import pictures_in
    from engine.images.preprocess import PreprocessChoice

    calibration = DATA / "imagenet" / "calibration"
    if not calibration.is_dir():
        pytest.skip(f"no calibration pictures in {DATA}; name their folder in QLAB_DATA")
    options: dict[str, Any] = {}
    if name == "mobilenet_v2":
        options["checkpoint"] = str(DATA / "weights" / "mobilenet_v2_imagenet_from_tf.pth")
        options["preprocess"] = PreprocessChoice(mean=(0.498,) * 3, std=(0.502,) * 3)
    run = engine.convert(
        name,
        variants=["float32", "int8_float_io"],
        calibration=str(calibration),
        calibration_count=COUNT,
        **options,
    )
    spec = run.manifest.preprocess

    def inputs(folder: Path, count: int) -> list[np.ndarray]:
        return [spec.apply(p.decode())[None] for p in pictures_in(folder)[:count]]

    files = [(run.folder / f"{v}.tflite").read_bytes() for v in ("float32", "int8_float_io")]
    seen, unseen = inputs(calibration, COUNT), inputs(DATA / "imagenet" / "evaluation", 64)
    return files[0], files[1], seen, unseen


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_real_models_lose_less_than_half(name: str) -> None:
    floating, quantized, seen, unseen = real_pair(name)
    found = run(floating, quantized, seen)
    reference = answers(floating, unseen)[:, 0]
    figures = {}
    for kind, model in (("theirs", quantized), ("ours", found.float_io)):
        logits = answers(model, unseen)[:, 0]
        kl = float(metrics_module.kl(reference, logits).mean())
        figures[kind] = metrics_module.rms(parity.difference(reference, logits)), kl
    rms_limit, kl_limit = MODELS[name]
    assert figures["ours"][0] < rms_limit * figures["theirs"][0]
    assert figures["ours"][1] < kl_limit * figures["theirs"][1]
    assert len(found.float_io) < 1.01 * len(quantized)
    names = sorted(op.opcode for op in Graph(quantized).operators)
    assert sorted(op.opcode for op in Graph(found.float_io).operators) == names


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_operators_alone_give_what_the_whole_model_gives(name: str) -> None:
    _, quantized, seen, _ = real_pair(name)
    few = seen[:2]
    graph = Graph(quantized)
    alone: dict[int, np.ndarray] = {}
    every = Activations(graph, np.stack(few))
    for op in graph.operators:
        every.run(op)
        alone[op.output] = every[op.output]
    whole = whole_activations(quantized, few)
    elements = wrong = 0
    for tensor, values in whole.items():
        off = np.abs(values.astype(int) - alone[tensor].astype(int))
        assert off.max() <= 1
        elements, wrong = elements + off.size, wrong + int((off > 0).sum())
    assert wrong < 1e-5 * elements


def whole_activations(model: bytes, inputs: list[np.ndarray]) -> dict[int, np.ndarray]:
    """Every int8 activation of the model as it runs as a whole."""
    from ai_edge_litert.interpreter import Interpreter

    graph = Graph(model)
    wanted = [op.output for op in graph.operators if graph.dtype(op.output) == "int8"]
    graph.raw.outputs, graph.model.signatureDefs = wanted, []
    interpreter = Interpreter(model_content=graph.pack(), num_threads=1)
    interpreter.allocate_tensors()
    found: dict[int, list[np.ndarray]] = {tensor: [] for tensor in wanted}
    for picture in inputs:
        interpreter.set_tensor(graph.inputs[0], picture)
        interpreter.invoke()
        for tensor in wanted:
            found[tensor].append(interpreter.get_tensor(tensor))
    return {tensor: np.stack(values) for tensor, values in found.items()}
