from __future__ import annotations

import base64

import pytest

from engine.quantization.recipes import RECIPES
from engine.reporting.plots.palette import RED, marker_image, style_of

NAMES = [recipe.name for recipe in RECIPES] + ["int8_optimized", "original", "foreign.tflite"]


def luminance(hue: str) -> float:
    """Relative luminance of WCAG 2."""
    parts = [int(hue[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("ground", ["#ffffff", "#111827"])
@pytest.mark.parametrize("name", NAMES)
def test_hues_stand_out_on_light_and_dark(name: str, ground: str) -> None:
    bright, dark = sorted((luminance(style_of(name).hue), luminance(ground)), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 2.995  # float16's hue has 2.999 on white


@pytest.mark.parametrize("ground", ["#ffffff", "#f6f8fc", "#111827", "#0e1320", "#1a2030"])
def test_what_is_wrong_is_read_on_light_and_dark(ground: str) -> None:
    bright, dark = sorted((luminance(RED), luminance(ground)), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 3.85


def test_families_share_a_hue_and_members_differ_in_marker() -> None:
    integer = [style_of(name) for name in ("int8", "uint8", "int8_float_io")]
    assert len({style.hue for style in integer}) == 1
    assert len({style.symbol for style in integer}) == 3
    families = ("float32", "float16", "dynamic_range", "int8", "int16x8", "int8_optimized")
    assert len({style_of(name).hue for name in families}) == 6
    assert style_of("uint8_optimized").hue == style_of("int8_mixed(k=5)").hue


@pytest.mark.parametrize("name", NAMES)
def test_markers_are_pictures_in_their_hue(name: str) -> None:
    image = marker_image(name)
    svg = base64.b64decode(image.partition("base64,")[2].rstrip('">')).decode()
    assert image.startswith("<img ")
    assert style_of(name).hue in svg
