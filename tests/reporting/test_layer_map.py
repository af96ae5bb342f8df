"""The map of layers: blocks, heights and marks, and the sentences beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.comparison.layers.records import Deviation, Finding, LayerErrors, LossSplit
from engine.reporting import plots
from engine.reporting.layer_map import (
    CAUSES,
    MOST_BLOCKS,
    cause_legend,
    fold_layers,
    shade_blocks,
    title_of,
)
from engine.reporting.text.layers import (
    maps_sentence,
    split_sentence,
    trial_figures,
    trial_headline,
)
from engine.tasks.inspect_operator import FeatureMap, FeatureMaps, FloatTrial, MeasuredFile
from tests.helpers.tiny_quantized import healthy

ERRORS = healthy().errors()


def with_ratios(*ratios: float) -> LayerErrors:
    """The first layers of a network, with local errors that are known."""
    layers = tuple(
        replace(layer, own=Deviation(ratio, 0.0, 0, 0.0, 0.0), findings=())
        for layer, ratio in zip(ERRORS.layers, ratios, strict=False)
    )
    return replace(ERRORS, layers=layers)


def test_a_block_is_as_tall_as_its_error() -> None:
    blocks = fold_layers(with_ratios(0.1, 0.4, 0.2))
    shades = shade_blocks(blocks, "local", {})
    assert [shade.level for shade in shades] == pytest.approx([0.25, 1.0, 0.5])
    assert [shade.mark for shade in shades] == ["3", "1", "2"]
    assert shades[0].value == "20.0\u00a0dB on its own"


def test_a_layer_without_error_has_no_mark() -> None:
    shades = shade_blocks(fold_layers(with_ratios(0.0, 0.4)), "local", {})
    assert [shade.mark for shade in shades] == ["", "1"]


def test_time_and_causes_colour_blocks() -> None:
    errors = with_ratios(0.1, 0.1, 0.1)
    finding = Finding("mean_shift", "It is shifted", "Correct it.", 6.0)
    first, *others = errors.layers
    blocks = fold_layers(replace(errors, layers=(replace(first, findings=(finding,)), *others)))
    times = shade_blocks(blocks, "time", {errors.layers[0].index: 0.2, errors.layers[1].index: 0.1})
    assert [shade.level for shade in times][:2] == [1.0, 0.5]
    causes = shade_blocks(blocks, "cause", {})
    assert [shade.mark for shade in causes] == ["A", "", ""]
    assert causes[0].value == CAUSES["mean_shift"]
    assert cause_legend(blocks) == (("A", "mean_shift", 1),)


def test_a_long_network_is_folded() -> None:
    first = ERRORS.layers[0]
    many = tuple(replace(first, index=i, module=f"features.{i}.conv") for i in range(301))
    blocks = fold_layers(replace(ERRORS, layers=many))
    assert len(blocks) <= MOST_BLOCKS
    assert sum(len(block.layers) for block in blocks) == 301
    assert blocks[0].title == "features, 3 operators"
    assert blocks[0].group == "features.0"


def test_names_fall_back_to_operators() -> None:
    layer = replace(ERRORS.layers[0], index=7, op="CONV_2D")
    assert title_of(layer) == "convolution 7"
    assert title_of(replace(layer, module="stem")) == "stem (convolution 7)"


@pytest.mark.parametrize(
    ("weights", "activations", "sentence"),
    [
        (3.0, 1.0, "Weights cause most of the loss: 90\u00a0%; activations cause 10\u00a0%"),
        (1.0, 3.0, "Activations cause most of the loss: 90\u00a0%; weights cause 10\u00a0%"),
        (1.0, 1.0, "Weights and activations lose about the same: 50\u00a0% and 50\u00a0%"),
        (0.0, 0.0, "Neither weights nor activations lose anything on 8 pictures"),
    ],
)
def test_the_split_is_a_sentence(weights: float, activations: float, sentence: str) -> None:
    split = LossSplit(weights, activations, 8)
    assert split_sentence(split) == sentence
    (bars,) = plots.loss_split(split, "int8").data
    assert list(bars.x) == [weights, activations]


def trial(before: float, after: float) -> FloatTrial:
    first, second = MeasuredFile(5_000_000, before, 3, 4.0), MeasuredFile(5_200_000, after, 4, 5.0)
    return FloatTrial("int8", 2, 1, 4, first, second)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (1.0, 0.5, "takes 50.0\u00a0% of the error away"),
        (1.0, 0.99, "no gain"),
        (1.0, 1.5, "rises by 50.0\u00a0%: leave it in integers"),
        (0.0, 0.0, "no error to take away"),
    ],
)
def test_a_trial_says_what_it_wins(before: float, after: float, words: str) -> None:
    assert words in trial_headline(trial(before, after))


def test_a_trial_lists_error_answers_size_and_latency() -> None:
    figures = trial_figures(trial(1.0, 0.5)).replace("\u00a0", " ")
    assert "same answer on 3 → 4 of 4 pictures" in figures
    assert "5.0 MB → 5.2 MB" in figures
    assert "4.0 ms → 5.0 ms a call" in figures


def test_maps_say_which_channel_differs() -> None:
    shown = FeatureMap(5, 0.68, 1, 2, (0.0, 1.0), (0.0, 2.0))
    assert maps_sentence(FeatureMaps(80, (shown,))).startswith("Channel 5 of 80 differs most")
    assert "no height and width" in maps_sentence(FeatureMaps(80, ()))
    same = replace(shown, difference=0.0)
    assert maps_sentence(FeatureMaps(80, (same,))).startswith("None of the 80 channels differs")
