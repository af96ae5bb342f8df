from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.core.errors import OptionError
from engine.images.preprocess import (
    InputSize,
    PreprocessSpec,
    default_preprocess,
    demand_plausible,
    input_size_in,
)
from engine.networks.catalog_network import import_torchvision

PLAIN: dict[str, Any] = {"scale": 1.0, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def test_values_by_hand() -> None:
    spec = PreprocessSpec(
        height=1,
        width=1,
        resize="squash",
        scale=0.5,
        mean=(1.0, 2.0, 3.0),
        std=(2.0, 4.0, 8.0),
        channel_order="BGR",
    )
    rgb = np.array([[[10, 20, 30]]], dtype=np.uint8)
    # BGR: 30, 20, 10; halved: 15, 10, 5; (15-1)/2, (10-2)/4, (5-3)/8
    np.testing.assert_allclose(spec.apply(rgb), [[[7.0, 2.0, 0.25]]])
    assert spec.apply(rgb).dtype == np.float32


def test_the_centre_is_cropped() -> None:
    rgb = np.arange(4, dtype=np.uint8)[None, :, None].repeat(2, 0).repeat(3, 2)
    spec = PreprocessSpec(height=2, width=2, resize_size=2, **PLAIN)
    np.testing.assert_array_equal(spec.apply(rgb)[:, :, 0], [[1, 2], [1, 2]])


@pytest.mark.parametrize("size", [(300, 401), (401, 300), (225, 224), (97, 640)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_equals_torchvision(size: tuple[int, int], interpolation: Any) -> None:
    import_torchvision()
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    theirs = ImageClassification(
        crop_size=224, resize_size=232, interpolation=InterpolationMode(interpolation)
    )
    spec = PreprocessSpec(resize_size=232, interpolation=interpolation)
    expected = theirs(Image.fromarray(rgb)).numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(spec.apply(rgb), expected, atol=1e-5)


def test_grey_is_pillows_luma_as_in_torchvision() -> None:
    import_torchvision()
    from torchvision.transforms import Grayscale

    rgb = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    spec = PreprocessSpec(
        height=9,
        width=12,
        resize="squash",
        channel_order="L",
        scale=1.0,
        mean=(0.0,),
        std=(1.0,),
    )
    grey = spec.apply(rgb)
    assert grey.shape == (9, 12, 1)
    np.testing.assert_array_equal(grey[:, :, 0], np.asarray(Grayscale()(Image.fromarray(rgb))))
    by_hand = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [7, 7, 7]]], np.uint8)
    # 255 x .299, .587, .114
    np.testing.assert_array_equal(spec.normalized(by_hand)[0, :, 0], [76, 150, 29, 7])


def test_a_picture_is_visible_as_its_channels_are() -> None:
    red = np.zeros((2, 4, 3), dtype=np.uint8)
    red[:, :, 0] = 255
    spec = PreprocessSpec(height=4, width=4, resize="letterbox", pad_value=9)
    grey = replace(spec, channel_order="L", mean=(0.5,), std=(0.5,))
    assert grey.visible(red)[:, 0].tolist() == [9, 76, 76, 9]
    assert spec.visible(red)[:, 0].tolist() == [[9] * 3, [255, 0, 0], [255, 0, 0], [9] * 3]
    assert replace(spec, channel_order="BGR").visible(red)[1, 0].tolist() == [255, 0, 0]


def test_alpha_is_the_fourth_channel() -> None:
    spec = replace(
        default_preprocess(4), height=1, width=2, resize="squash", mean=(0.0,) * 4, std=(1.0,) * 4
    )
    rgba = np.array([[[255, 0, 51, 255], [0, 0, 0, 102]]], np.uint8)
    np.testing.assert_allclose(spec.apply(rgba), [[[1, 0, 0.2, 1], [0, 0, 0, 0.4]]])


@pytest.mark.parametrize(
    ("columns", "rows", "expected"),
    [
        # Twice as wide as the input: half as high, one row above and one below.
        (16, 4, [[114] * 8, [9] * 8, [9] * 8, [114] * 8]),
        # As high: 3 of 8 columns, 2 free on the left and 3 on the right.
        (3, 4, [[114] * 2 + [9] * 3 + [114] * 3] * 4),
        (8, 4, [[9] * 8] * 4),
        (900, 1, [[114] * 8, [9] * 8, [114] * 8, [114] * 8]),
    ],
)
def test_letterbox_by_hand(columns: int, rows: int, expected: list[list[int]]) -> None:
    spec = PreprocessSpec(height=4, width=8, resize="letterbox", **PLAIN)
    fitted = spec.fitted(np.full((rows, columns, 3), 9, np.uint8))
    np.testing.assert_array_equal(fitted[:, :, 1], expected)
    black = replace(spec, pad_value=0).fitted(np.full((rows, columns, 3), 9, np.uint8))
    np.testing.assert_array_equal(black[:, :, 2], np.where(np.array(expected) == 114, 0, 9))


@pytest.mark.parametrize("size", [(300, 401), (401, 300), (97, 640), (640, 97), (200, 201)])
@pytest.mark.parametrize(
    ("height", "width", "side"), [(96, 160, 180), (160, 96, 96), (95, 160, 95)]
)
def test_inputs_that_are_no_square_equal_torchvision(
    size: tuple[int, int], height: int, width: int, side: int
) -> None:
    import_torchvision()
    from torchvision.transforms import CenterCrop, Compose, Resize

    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    theirs = Compose([Resize(side), CenterCrop((height, width))])(Image.fromarray(rgb))
    spec = PreprocessSpec(height=height, width=width, resize_size=side)
    np.testing.assert_array_equal(spec.fitted(rgb), np.asarray(theirs))


def test_every_picture_fills_an_input_that_is_no_square() -> None:
    spec = PreprocessSpec().with_input_size((192, 256))
    assert (spec.height, spec.width, spec.resize_size) == (192, 256, 293)


def test_fitted_pictures_are_kept_apart_by_what_they_depend_on() -> None:
    usual = PreprocessSpec()
    letterbox = replace(usual, resize="letterbox")
    kinds = [usual, letterbox, replace(letterbox, pad_value=0), replace(usual, resize="squash")]
    kinds.append(default_preprocess(4))
    assert len({kind.fitting_key for kind in kinds}) == len(kinds)
    assert default_preprocess(1).fitting_key == usual.fitting_key
    assert usual.fitting_key.startswith("224x224-shorter_side-256-bilinear-")
    assert replace(usual, pad_value=3).fitting_key == usual.fitting_key


@pytest.mark.parametrize(
    ("text", "size"),
    [("224", 224), ("192x256", (192, 256)), ("192 × 256", (192, 256)), ("96X96", 96)],
)
def test_a_size_is_read(text: str, size: InputSize) -> None:
    assert input_size_in(text) == size


@pytest.mark.parametrize("text", ["big", "1x2x3", "x", "10.5", ""])
def test_words_that_are_no_size_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HEIGHTxWIDTH"):
        input_size_in(text)


def test_another_size_keeps_the_share_of_the_picture() -> None:
    spec = PreprocessSpec(resize_size=256).with_input_size(256)
    assert (spec.height, spec.width, spec.resize_size) == (256, 256, 293)


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 0},
        {"width": 5000},
        {"resize": "stretch"},
        {"interpolation": "cubic"},
        {"channel_order": "GRB"},
        {"channel_order": "L"},
        {"channel_order": "RGBA"},
        {"pad_value": 256},
        {"scale": 0.0},
        {"mean": (float("nan"), 0.0, 0.0)},
        {"std": (1.0, 0.0, 1.0)},
        {"resize_size": 100},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="Reading the preprocessing"):
        PreprocessSpec(**wrong)


@pytest.mark.parametrize(
    ("values", "todo"),
    [
        ({"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}, "scale 1 with"),
        ({"mean": (127.5,) * 3}, "scale 1 with"),
        ({"mean": (0.0,) * 3, "std": (255.0,) * 3}, "scale 1 with"),
        ({"scale": 1.0}, "such as 1/255"),
    ],
)
def test_mean_and_std_of_another_scale_are_refused(values: dict[str, Any], todo: str) -> None:
    with pytest.raises(OptionError, match=todo):
        demand_plausible(PreprocessSpec(**values))


@pytest.mark.parametrize(
    "values",
    [
        {},
        PLAIN,
        {"mean": (0.5,) * 3, "std": (0.5,) * 3},
        {"scale": 1 / 127.5, "mean": (1.0,) * 3, "std": (1.0,) * 3},
        {"scale": 1.0, "mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
        {"scale": 1.0, "mean": (103.939, 116.779, 123.68), "std": (1.0,) * 3},
    ],
)
def test_usual_preprocessing_is_accepted(values: dict[str, Any]) -> None:
    demand_plausible(PreprocessSpec(**values))
