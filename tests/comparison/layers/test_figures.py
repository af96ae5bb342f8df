"""Figures of a small network beside the same computed here, and their rows."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.comparison.layers import measuring
from engine.comparison.layers.model_explorer import FIGURES, node_data_files
from engine.comparison.layers.records import COLUMNS, LayerErrors
from engine.core.errors import ConversionError, OptionError
from engine.reporting import plots
from engine.reporting.text import layers as layer_sentences
from engine.tflite.graph import pack_model, parse_model
from tests.helpers.tiny_pair import nonzero_file
from tests.helpers.tiny_quantized import Tiny, healthy, measured


@pytest.fixture(scope="module")
def network() -> Tiny:
    return healthy()


@pytest.fixture(scope="module")
def found(network: Tiny) -> LayerErrors:
    return network.errors()


def on_grid(network: Tiny, tensor: int, values: np.ndarray) -> np.ndarray:
    scale, zero_point = network.grid(tensor)
    return (np.clip(np.rint(values / scale) + zero_point, -128, 127) - zero_point) * scale


def test_accumulated_and_own_errors_are_those_computed_by_hand(
    network: Tiny, found: LayerErrors
) -> None:
    exact, running = network.activations(), on_grid(network, 0, network.pictures)
    for number, layer in enumerate(found.layers, 1):
        weights, bias = network.weights[number - 1], network.biases[number - 1]
        scales = np.abs(weights).max(axis=1, keepdims=True) / 127
        rounded = np.rint(weights / scales) * scales
        running = on_grid(network, number, running @ rounded.T + bias)
        rms = np.sqrt(np.square(exact[number]).mean())
        error = running - exact[number]
        assert layer.accumulated.error_ratio == pytest.approx(
            np.sqrt(np.square(error).mean()) / rms, rel=0.02
        )
        assert layer.accumulated.mean_shift == pytest.approx(error.mean(), abs=1e-4)
        fed = on_grid(network, number - 1, exact[number - 1])
        own = on_grid(network, number, fed @ rounded.T + bias) - (fed @ weights.T + bias)
        assert layer.own is not None
        assert layer.own.error_ratio == pytest.approx(
            np.sqrt(np.square(own).mean()) / rms, rel=0.02
        )
        assert layer.weights is not None
        noise = np.square(rounded - weights).sum(1) / np.square(weights).sum(1)
        assert layer.weights.worst_channel == noise.argmax()
        assert layer.weights.worst_sqnr_db == pytest.approx(-10 * np.log10(noise.max()), rel=1e-4)
        assert (layer.low, layer.high) == pytest.approx((exact[number].min(), exact[number].max()))


def test_the_histogram_counts_every_value(network: Tiny, found: LayerErrors) -> None:
    for number, layer in enumerate(found.layers, 1):
        count = network.activations()[number].size
        assert sum(layer.histogram) + layer.below + layer.above == count


def test_several_passes_and_threads_find_the_same(network: Tiny, found: LayerErrors) -> None:
    from engine.comparison.layers.analysis import layer_errors

    again = layer_errors(
        network.float_file(),
        network.int8_file(),
        lambda: (picture[None].astype(np.float32) for picture in network.pictures),
        run="tiny",
        variant="int8",
        pictures=8,
        pass_bytes=1,
    )
    for one, other in zip(found.layers, again.layers, strict=True):
        assert other.accumulated.error_ratio == pytest.approx(one.accumulated.error_ratio)
        assert other.histogram == one.histogram


def test_rows_are_json_without_nan_and_have_every_key(found: LayerErrors) -> None:
    rows = json.loads(json.dumps(list(found.rows()), allow_nan=False))
    assert [tuple(row) for row in rows] == [COLUMNS] * 4
    frame = found.to_frame()
    assert list(frame["index"]) == [0, 1, 2, 3]
    assert found.to_dict()["variant"] == "int8"


def test_answers_that_change_when_activations_are_kept_are_an_error(
    network: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if LiteRT ran another file: that of a network with a bias shifted.
    other = replace(network, shifts={2: 3.0}).int8_file()
    integer = network.int8_file()

    def swapped(file: bytes) -> object:
        return parse_model(other if file == integer else file)

    monkeypatch.setattr(measuring, "parse_model", swapped)
    with pytest.raises(ConversionError, match="differ as soon as its activations are kept"):
        network.errors()


def test_values_that_are_not_finite_are_an_error(network: Tiny) -> None:
    pictures = [np.full((1, 4, 4, 3), np.inf, np.float32)]
    with pytest.raises(ConversionError, match="not finite"):
        measured(network.float_file(), network.int8_file(), lambda: iter(pictures), 1)


def test_a_float_file_is_refused(network: Tiny) -> None:
    with pytest.raises(OptionError, match="no activation in integers") as caught:
        measured(network.float_file(), network.float_file(), lambda: iter(()), 1)
    assert "int8" not in caught.value.todo  # It is said of an int8 file, too.


def test_node_data_is_read_back_with_model_explorers_own_types(found: LayerErrors) -> None:
    builder = pytest.importorskip(
        "model_explorer.node_data_builder", reason="ai-edge-model-explorer is not installed"
    )
    import dacite

    files = node_data_files(found, "out/layers.json")
    assert len(files) == len(FIGURES)
    for content in files.values():
        data = dacite.from_dict(
            builder.GraphNodeData, json.loads(content), dacite.Config(strict=True)
        )
        assert json.loads(data.to_json_string())["results"] == json.loads(content)["results"]
    own = json.loads(files["out/layers.json"])["results"]
    assert own == {
        layer.name: {"value": layer.own.sqnr_db} for layer in found.by_loss if layer.own is not None
    }


def test_headlines(network: Tiny, found: LayerErrors) -> None:
    end = f"{found.layers[-1].accumulated.sqnr_db:.1f}\xa0dB"
    plain = layer_sentences.layers_headline(found)
    assert plain.startswith("None of int8's 4 layers stands out")
    assert layer_sentences.output_sentence(found) == f"{end} at the output"
    shifted = replace(network, shifts={2: 3.0}).errors()
    assert layer_sentences.layers_headline(shifted) == "int8 loses most in convolution 1"
    silent = tuple(
        replace(layer, accumulated=replace(layer.accumulated, error_ratio=0.0))
        for layer in found.layers
    )
    headline = layer_sentences.layers_headline(replace(found, layers=silent))
    assert headline.startswith("No difference found")


def test_why_says_rounding_where_no_rule_fires(found: LayerErrors) -> None:
    assert layer_sentences.why(found.layers[0]).startswith("Ordinary rounding, to 256 steps")
    lossless = replace(found.layers[0], own=None)
    assert layer_sentences.why(lossless) == "It adds no error of its own."


def test_where_one_picture_is_lost(network: Tiny) -> None:
    shifted = replace(network, shifts={2: 3.0}).errors()
    culprit = shifted.layers[1]
    assert culprit.own is not None
    said = layer_sentences.where_lost(shifted)
    assert said.startswith(f"On this picture {culprit.title} loses most: ")
    assert f"{culprit.own.sqnr_db:.1f}\xa0dB on its own; " in said
    assert f"{shifted.layers[-1].accumulated.sqnr_db:.1f}\xa0dB at the output. " in said
    assert said.endswith(layer_sentences.why(culprit))


def test_figures_name_their_axes_and_mark_culprits(network: Tiny) -> None:
    shifted = replace(network, shifts={2: 3.0}).errors()
    line = plots.layer_line(shifted, layer_sentences.culprits(shifted))
    assert "dB (higher is closer)" in line.layout.yaxis.title.text
    assert any(note.text == "convolution 1" for note in line.layout.annotations)
    assert len(line.data[1].y) == 4
    bars = plots.layer_histogram(shifted.layers[1], "int8")
    layer = replace(shifted.layers[1], below=1, above=0)
    assert not [
        a for a in plots.layer_histogram(layer, "int8").layout.annotations if "cut" in a.text
    ]
    layer = replace(layer, below=sum(layer.histogram))
    (note,) = plots.layer_histogram(layer, "int8").layout.annotations[-1:]
    assert note.text == "50.0\xa0% clipped below the grid"
    assert (note.y, note.yanchor) == (1, "bottom")
    assert sum(bars.data[0].y) == pytest.approx(1)
    empty = plots.layer_histogram(replace(shifted.layers[1], grid=None), "int8")
    assert len(empty.data) == 0


def test_a_file_packs_its_objects_back(network: Tiny) -> None:
    file = network.int8_file()
    assert parse_model(pack_model(parse_model(file), len(file))).subgraphs[0].outputs is not None


def test_a_picture_fills_the_batch_of_a_model_that_takes_several(
    network: Tiny, found: LayerErrors
) -> None:
    def in_batches(model: bytes) -> bytes:
        objects = parse_model(model)
        for tensor in objects.subgraphs[0].tensors:
            if tensor.name.startswith(b"t"):
                tensor.shape = [8, *tensor.shape[1:]]
        return pack_model(objects, len(model))

    batched = measured(
        in_batches(network.float_file()),
        in_batches(network.int8_file()),
        lambda: (picture[None].astype(np.float32) for picture in network.pictures),
        len(network.pictures),
    )
    assert [layer.shape[0] for layer in batched.layers] == [8] * 4
    for eight, single in zip(batched.layers, found.layers, strict=True):
        assert (eight.low, eight.high) == (single.low, single.high)
        assert eight.accumulated.error_ratio == pytest.approx(single.accumulated.error_ratio)
        assert eight.rms == pytest.approx(single.rms)
        assert eight.macs == single.macs
        assert eight.accumulated.shift_share == pytest.approx(single.accumulated.shift_share)


def test_shapes_that_follow_from_the_picture_are_refused() -> None:
    files = (nonzero_file(integer=False), nonzero_file(integer=True))
    picture = np.array([[0.5, 0.0, 0.25, 1.0]], np.float32)
    with pytest.raises(ConversionError, match=r"follows from the picture in values \(\[3\]"):
        measured(*files, lambda: iter([picture]), 1)


def test_one_value_beyond_the_grid_is_said_in_the_singular(found: LayerErrors) -> None:
    single = replace(found.layers[0], below=0, above=1)
    several = replace(single, below=2)
    assert " 1 value is clipped." in layer_sentences.histogram_caption(single)
    assert " 3 values are clipped." in layer_sentences.histogram_caption(several)
