from __future__ import annotations

import pytest

from engine.converters.recipes import recipe_named
from engine.errors import OptionError
from engine.mixed_precision import MixedCurve, mixed_name
from engine.mixed_sentences import (
    curve_headline,
    kept_sentence,
    monotone_sentence,
    worth_sentence,
)
from engine.types import FloatLayer, Latency, LatencySamples, MixedPoint


def point(layers: int, rms: float, size: int) -> MixedPoint:
    kept = tuple(FloatLayer(f"y{i}", "CONV_2D", i) for i in range(layers))
    return MixedPoint(layers, kept, size, rms, rms**2, 0.99)


def latency(**medians: float) -> Latency:
    entries = tuple(
        LatencySamples(name.replace("k", "k="), (value,) * 3) for name, value in medians.items()
    )
    return Latency("host", 2, 1, "2026-01-01T00:00:00+00:00", entries)


CURVE = MixedCurve("int8_float_io_optimized", (point(0, 0.1, 4_000_000), point(2, 0.05, 6_000_000)))


def test_exactly_one_aim_names_a_recipe() -> None:
    assert mixed_name(layers=3) == "int8_mixed(k=3)"
    assert mixed_name(target_rms=0.08) == "int8_mixed(rms=0.08)"
    assert mixed_name(target_agreement=0.99) == "int8_mixed(agreement=0.99)"
    exact = recipe_named(mixed_name(target_rms=0.123456789))
    assert exact.target_rms == 0.123456789
    assert recipe_named(mixed_name(target_agreement=0.9999999)).target_agreement == 0.9999999
    assert recipe_named(mixed_name(target_rms=1.25e-7)).target_rms == 1.25e-7
    with pytest.raises(OptionError, match="no target"):
        mixed_name()
    with pytest.raises(OptionError, match="Give exactly one"):
        mixed_name(layers=3, target_rms=0.1)
    with pytest.raises(OptionError, match="rms=-1"):
        mixed_name(target_rms=-1)


def test_the_headline_says_what_is_won_and_paid() -> None:
    said = curve_headline(CURVE, CURVE.points[1])
    assert said == "2 of 2 layers in float32 take the error from 0.1 to 0.05, at 1.50 × the size"


def test_a_mix_slower_than_float32_is_not_worth_it() -> None:
    assert worth_sentence(CURVE, CURVE.points[1]) is None
    slow = MixedCurve(CURVE.whole, CURVE.points, latency(float32=5.0, k0=2.0, k2=5.1))
    assert "more than it is worth" in str(worth_sentence(slow, slow.points[1]))
    quick = MixedCurve(CURVE.whole, CURVE.points, latency(float32=5.0, k0=2.0, k2=2.5))
    assert "2.0 × quicker than float32" in str(worth_sentence(quick, quick.points[1]))


def test_a_rise_is_told() -> None:
    assert CURVE.monotone
    assert monotone_sentence(CURVE) is None
    rising = MixedCurve(CURVE.whole, (*CURVE.points, point(4, 0.06, 7_000_000)))
    assert "rises at 4 layers" in str(monotone_sentence(rising))


def test_layers_are_named_for_people() -> None:
    assert kept_sentence(point(0, 0.1, 1)) == "No layer is in float32."
    assert "convolution 0." in kept_sentence(point(1, 0.1, 1))
    assert kept_sentence(point(20, 0.1, 1)).endswith("and 12 more.")


def test_the_point_of_a_file_is_found_by_its_size() -> None:
    assert CURVE.of_size(5_900_000).layers == 2
