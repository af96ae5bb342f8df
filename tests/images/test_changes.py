"""Changes of a picture: what leaves it as it is, and pixels known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.core.errors import OptionError
from engine.images.changes import (
    CHANGE_KINDS,
    SCALES,
    Change,
    ChangeKind,
    change_pixels,
    key_of_changes,
)

NOISE = np.random.default_rng(1).integers(0, 256, (9, 12, 3), dtype=np.uint8)


def grey(*levels: int) -> np.ndarray:
    """One row of grey pixels."""
    return np.repeat(np.array([levels], dtype=np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("kind", CHANGE_KINDS)
def test_the_unchanged_strength_leaves_every_pixel(kind: ChangeKind) -> None:
    same = change_pixels(NOISE, [Change(kind, SCALES[kind].unchanged)])
    np.testing.assert_array_equal(same, NOISE)


@pytest.mark.parametrize("kind", CHANGE_KINDS)
def test_a_change_is_the_same_every_time_and_keeps_the_shape(kind: ChangeKind) -> None:
    change = Change(kind, SCALES[kind].curve[-1])
    first, second = (change_pixels(NOISE, [change], seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == NOISE.shape
    assert first.dtype == np.uint8
    assert (first != NOISE).any()


@pytest.mark.parametrize("kind", CHANGE_KINDS)
def test_strengths_are_tried_from_the_weakest_and_a_curve_is_among_them(kind: ChangeKind) -> None:
    scale = SCALES[kind]
    distances = [abs(strength - scale.unchanged) for strength in scale.search]
    assert distances == sorted(distances)
    assert distances[0] > 0
    assert set(scale.curve) <= set(scale.search)
    assert set(scale.positions) == {*scale.search, scale.unchanged}
    assert [s for s in scale.positions if s in scale.curve] == list(scale.curve)


def test_brightness_multiplies_and_stops_at_white() -> None:
    changed = change_pixels(grey(0, 100, 200), [Change("brightness", 50)])
    np.testing.assert_array_equal(changed, grey(0, 150, 255))
    changed = change_pixels(grey(0, 100, 200), [Change("brightness", -100)])
    np.testing.assert_array_equal(changed, grey(0, 0, 0))


def test_a_quarter_turn_is_that_of_numpy() -> None:
    square = NOISE[:, :9]
    changed = change_pixels(square, [Change("rotation", 90)])
    np.testing.assert_array_equal(changed, np.rot90(square))


def test_corners_of_a_turned_picture_are_its_own_pixels() -> None:
    changed = change_pixels(np.full((8, 8, 3), 200, np.uint8), [Change("rotation", 30)])
    assert (changed == 200).all()


def test_a_crop_enlarges_the_centre() -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[3:13, 3:13] = 90  # a pixel more than the half that is left
    changed = change_pixels(picture, [Change("crop", 50)])
    assert (changed == 90).all()


def test_blur_and_compression_leave_an_even_picture_even() -> None:
    even = np.full((16, 16, 3), 128, np.uint8)
    for change in (Change("blur", 3), Change("jpeg", 5)):
        np.testing.assert_array_equal(change_pixels(even, [change]), even)


def test_blur_spreads_as_wide_as_its_deviation() -> None:
    picture = np.zeros((65, 65, 3), np.uint8)
    picture[32, :] = 255
    row = change_pixels(picture, [Change("blur", 4)])[:, 32, 0].astype(float)
    distances = np.arange(65) - 32
    deviation = np.sqrt((row * distances**2).sum() / row.sum())
    assert deviation == pytest.approx(4, rel=0.1)


def test_noise_has_its_deviation_and_is_one_pattern_scaled() -> None:
    even = np.full((64, 64, 3), 128, np.uint8)
    weak, strong = (
        change_pixels(even, [Change("noise", levels)], seed=5).astype(float) - 128
        for levels in (10, 20)
    )
    assert weak.std() == pytest.approx(10, rel=0.03)
    assert np.abs(strong - 2 * weak).max() <= 1.5
    assert (change_pixels(even, [Change("noise", 10)], seed=6) - 128 != weak).any()


def test_alpha_moves_with_the_picture_and_is_not_coloured() -> None:
    picture = np.concatenate([NOISE, NOISE[..., :1]], axis=2)
    for kind in ("brightness", "blur", "noise", "jpeg"):
        changed = change_pixels(picture, [Change(kind, SCALES[kind].curve[-1])])
        np.testing.assert_array_equal(changed[..., 3], picture[..., 3])
        alone = change_pixels(NOISE, [Change(kind, SCALES[kind].curve[-1])])
        np.testing.assert_array_equal(changed[..., :3], alone)
    turned = change_pixels(picture[:, :9], [Change("rotation", 90)])
    np.testing.assert_array_equal(turned[..., 3], np.rot90(picture[:, :9, 3]))


def test_several_changes_have_one_order_and_one_name() -> None:
    blur, bright, idle = Change("blur", 1.2), Change("brightness", 40), Change("rotation", 0)
    assert key_of_changes([blur, idle, bright]) == "brightness=40.0,blur=1.2"
    assert key_of_changes([idle]) == ""
    first, second = (change_pixels(NOISE, pair) for pair in ([blur, bright], [bright, blur]))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("kind", "strength"), [("blur", -1), ("jpeg", 0), ("crop", 101), ("noise", float("nan"))]
)
def test_strengths_beyond_the_scale_are_refused(kind: ChangeKind, strength: float) -> None:
    with pytest.raises(OptionError, match="Changing a picture: got"):
        Change(kind, strength)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(OptionError, match="the change 'fog'; expected one of crop"):
        Change("fog", 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "strength", "text"),
    [
        ("blur", 1.2, "1.2 px"),
        ("noise", 10.0, "10 levels"),
        ("brightness", -20.0, "\N{MINUS SIGN}20 %"),
        ("brightness", 20.0, "+20 %"),
        ("brightness", 0.0, "0 %"),
        ("jpeg", 40.0, "40"),
        ("rotation", 15.0, "+15°"),
        ("crop", 70.0, "70 %"),
    ],
)
def test_strengths_are_written_with_their_unit(
    kind: ChangeKind, strength: float, text: str
) -> None:
    assert SCALES[kind].of(strength).replace("\N{NO-BREAK SPACE}", " ") == text
