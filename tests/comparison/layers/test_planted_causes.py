"""Diseases planted in a small network are named first, with the right cause."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.comparison.layers.analysis import layer_errors, still_operators
from engine.comparison.layers.range_causes import Case, wrong_fixed_scale
from engine.comparison.layers.records import LayerErrors
from engine.reporting.text.layers import layers_headline
from engine.tflite.graph import Operator
from engine.tflite.grid import Grid
from tests.helpers.tiny_quantized import Tiny, healthy


def first(found: LayerErrors) -> tuple[str, str]:
    """Name and cause of the row that stands first."""
    row = next(found.rows())
    return row["name"], row["cause_name"]


def scaled_channel(network: Tiny, layer: int, channel: int, factor: float, undo: bool) -> Tiny:
    """Scale a channel of a layer, and the next layer's weights for it the other way if asked."""
    weights = [array.copy() for array in network.weights]
    biases = [array.copy() for array in network.biases]
    weights[layer - 1][channel] *= factor
    biases[layer - 1][channel] *= factor
    if undo:
        weights[layer][:, channel] /= factor
    return replace(network, weights=tuple(weights), biases=tuple(biases))


def test_a_network_without_a_fault_has_no_cause() -> None:
    found = healthy().errors()
    assert [row["cause"] for row in found.rows()] == [None] * 4
    assert all(layer.own is not None and layer.own.sqnr_db > 35 for layer in found.layers)


@pytest.mark.parametrize("undo", [True, False])
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_a_channel_scaled_200_times(layer: int, undo: bool) -> None:
    found = scaled_channel(healthy(), layer, 5, 200.0, undo).errors()
    assert first(found) == (f"t{layer}", "outlier_channel")
    sentence = next(found.rows())["cause"]
    assert "one channel out of 16" in sentence
    assert "channel 5 reaches" in sentence


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_a_range_cut_to_a_tenth(layer: int) -> None:
    network = healthy()
    values = network.activations()[layer]
    cut = float(values.min()) / 10, float(values.max()) / 10
    found = replace(network, ranges={layer: cut}).errors()
    assert first(found) == (f"t{layer}", "saturated_range")
    if layer < 4:
        after = found.layers[layer]
        assert after.cause is not None
        assert after.cause.cause == "input_range"


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
@pytest.mark.parametrize("steps", [3.0, -3.0])
def test_a_bias_shifted_by_three_steps(layer: int, steps: float) -> None:
    network = healthy()
    found = replace(network, shifts={layer: steps}).errors()
    assert first(found) == (f"t{layer}", "mean_shift")
    own = found.layers[layer - 1].own
    assert own is not None
    assert own.mean_shift == pytest.approx(steps * network.grid(layer)[0], rel=0.05)
    assert ("too high" if steps > 0 else "too low") in next(found.rows())["cause"]


def test_a_range_far_wider_than_the_values() -> None:
    found = replace(healthy(), ranges={2: (-40.0, 40.0)}).errors()
    assert first(found) == ("t2", "range_too_wide")


def test_one_scale_for_weights_of_channels_that_differ_200_times() -> None:
    # The bias of the small channels is scaled, too, so that the activations differ as much.
    network = replace(scaled_channel(healthy(), 2, 5, 200.0, True), per_tensor=frozenset({2}))
    layer = network.errors().layers[1]
    assert {finding.cause for finding in layer.findings} >= {
        "per_tensor_weights",
        "outlier_channel",
    }
    assert layer.weights is not None
    assert layer.weights.scales == 1
    assert layer.weights.spread > 100


@pytest.mark.parametrize("calibrated", [(0.0, 255.0), (0.0, 1.0), (-1.0, 0.3)])
def test_wrong_normalisation_in_calibration(calibrated: tuple[float, float]) -> None:
    found = replace(healthy(), ranges={0: calibrated}).errors()
    assert first(found) == ("t1", "wrong_normalisation")


def test_pictures_that_the_calibration_did_not_cover() -> None:
    network = healthy(pictures=64)
    covered = network.activations()[2]
    glare = network.pictures.copy()
    glare[0, 0, 0] *= 4
    ranges = {2: (float(covered.min()), float(covered.max()))}
    found = replace(network, pictures=glare, ranges=ranges).errors()
    assert found.layers[1].cause is not None
    assert found.layers[1].cause.cause == "calibration_does_not_cover"
    assert found.layers[1].clipped is not None
    assert 0 < found.layers[1].clipped < 0.001


def test_a_range_that_was_chosen_to_clip_is_no_fault_of_the_calibration() -> None:
    network = healthy(pictures=64)
    covered = network.activations()[2]
    glare = network.pictures.copy()
    glare[0, 0, 0] *= 4
    network = replace(
        network, pictures=glare, ranges={2: (float(covered.min()), float(covered.max()))}
    )
    found = layer_errors(
        network.float_file(),
        network.int8_file(),
        lambda: (picture[None].astype(np.float32) for picture in network.pictures),
        run="tiny",
        variant="int8_optimized",
        pictures=len(network.pictures),
        chosen_by=lambda index: "The optimizer" if index == 1 else None,
    )
    cause = found.layers[1].cause
    assert cause is not None
    assert cause.cause == "range_clips_on_purpose"
    assert cause.sentence.startswith("The optimizer chose a range that ends at")
    assert "calibration" not in cause.sentence + cause.remedy


def test_dead_channels() -> None:
    network = healthy()
    weights = [array.copy() for array in network.weights]
    weights[1][:3] = 0.0
    found = replace(network, weights=tuple(weights)).errors()
    layer = found.layers[1]
    assert layer.channels.dead == 3
    assert "dead_channels" in {finding.cause for finding in layer.findings}
    assert layer.findings[-1].severity_db == 0


def test_a_layer_with_the_grid_of_its_input_has_a_range_of_its_own() -> None:
    network = healthy()
    values = network.activations()
    cut = float(values[2].min()) / 10, float(values[2].max()) / 10
    found = replace(network, ranges={1: cut, 2: cut}).errors()
    assert found.layers[1].grid == found.layers[0].grid
    assert found.layers[1].own_grid
    assert found.layers[1].cause is not None
    assert found.layers[1].cause.cause == "saturated_range"


@pytest.mark.parametrize(
    ("op", "dtype", "scale", "wrong"),
    [
        ("SOFTMAX", np.int8, 1 / 256, False),
        ("SOFTMAX", np.int8, 1 / 128, True),
        ("LOGISTIC", np.uint8, 1 / 255, False),
        ("LOGISTIC", np.uint8, 1 / 200, True),
        ("LOGISTIC", np.int16, 1 / 32768, False),
        ("TANH", np.int8, 1 / 128, False),
        ("TANH", np.int8, 1 / 256, True),
        ("CONV_2D", np.int8, 1 / 128, False),
    ],
)
def test_outputs_whose_scale_is_prescribed(op: str, dtype: type, scale: float, wrong: bool) -> None:
    limits = np.iinfo(dtype)
    grid = Grid(scale, 0, int(limits.min), int(limits.max))
    layer = replace(healthy().errors().layers[0], op=op, grid=grid)
    finding = wrong_fixed_scale(Case(layer))
    assert (finding is not None) is wrong


def test_where_the_answers_begin_to_stand_still_comes_first_with_its_cause() -> None:
    found = replace(healthy(), ranges={2: (-4000.0, 4000.0)}).errors()
    assert first(found) == ("t2", "stands_still")
    sentence = next(found.rows())["cause"]
    assert "it moves by 0 % of what float32's does" in sentence
    assert "from here on the answers are the same for every picture" in sentence
    assert "The range is far wider than the values" in sentence
    movement = [layer.movement for layer in found.layers]
    assert movement[0] == pytest.approx(1, abs=0.02)
    assert movement[1:] == [0, 0, 0]
    for layer in found.layers[2:]:
        assert [finding.cause for finding in layer.findings] == ["input_stands_still"]
        assert layer.findings[0].sentence.endswith("since convolution 1")
    assert layers_headline(found) == (
        "int8 answers the same for every picture from convolution 1 on"
    )


def test_weights_with_one_scale_that_make_the_answers_stand_still() -> None:
    network = scaled_channel(healthy(), 2, 5, 1e5, True)
    biases = [array.copy() for array in network.biases]
    biases[1] = np.zeros_like(biases[1])
    weights = [array.copy() for array in network.weights]
    weights[2][:, 5] = 0.0
    network = replace(
        network,
        weights=tuple(weights),
        biases=tuple(biases),
        per_tensor=frozenset({2}),
        ranges={2: (-3.0, 3.0)},
    )
    found = network.errors()
    assert first(found) == ("t2", "stands_still")
    assert "per_tensor_weights" in {finding.cause for finding in found.layers[1].findings}


def test_an_output_that_moves_is_no_collapse_whatever_stands_still_beside_it() -> None:
    def operator(index: int, *inputs: int) -> Operator:
        shape = ((1, 1, 1, 4),)
        read = dict(enumerate(inputs))
        return Operator(index, "MUL", "", inputs, (10 + index,), read, (), {}, shape)

    gate, features, product, end = (
        operator(0, 1),
        operator(1, 2),
        operator(2, 10, 11),
        operator(3, 12),
    )
    maker = {op.outputs[0]: op for op in (gate, features, product, end)}
    assert still_operators(maker, {0: 0.0, 1: 1.0, 2: 0.9, 3: 0.9}) == {}
    assert still_operators(maker, {0: 0.0, 1: 1.0, 2: 0.9, 3: 0.0}) == {3: 3}
    assert still_operators(maker, {0: 1.0, 1: 0.001, 2: 0.0, 3: 0.0}) == {1: 1, 2: 1, 3: 1}
    assert still_operators(maker, {0: 1.0, 1: 0.001, 3: 0.0}) == {1: 1, 3: 1}, "past a gap"
    assert still_operators(maker, {3: None}) == {}
