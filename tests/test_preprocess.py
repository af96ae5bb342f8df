from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.errors import OptionError
from engine.networks.torchvision_import import import_torchvision
from engine.preprocess import PreprocessSpec, demand_plausible

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
