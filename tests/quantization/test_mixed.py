from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engine.quantization.mixed import CURVE_POINTS, MixedModels, float_order
from engine.quantization.records import MixedPoint
from engine.quantization.sensitivity import Step
from engine.tflite.graph import pack_model, parse_model
from tests.helpers.tiny_chain import Chain, chain_of, inputs


def batches() -> Iterator[np.ndarray]:
    return iter(inputs(16))


@pytest.fixture(scope="module")
def chain() -> Chain:
    return chain_of((0.01, 0.08, 0.02, 0.01))


@pytest.fixture(scope="module")
def models(chain: Chain) -> MixedModels:
    exact, whole = chain.float_file(), chain.integer_file()
    return MixedModels(exact, whole, float_order(exact, whole, batches, lambda _: None), batches)


def test_the_coarsest_rounding_goes_first(chain: Chain) -> None:
    order = float_order(chain.float_file(), chain.integer_file(), batches, lambda _: None)
    assert set(order[0].layers) == {2, 3}
    assert sorted(layer for step in order for layer in step.layers) == [1, 2, 3, 4]


def test_the_curve_ends_in_float32(models: MixedModels) -> None:
    assert models.most == 4
    points = [models.point(layers) for layers in models.curve_layers()]
    assert points[0].layers == 0
    assert points[-1].layers == 4
    errors = [point.rms for point in points]
    assert errors == sorted(errors, reverse=True)
    assert points[-1].rms < 1e-6
    assert points[-1].agreement == 1
    assert points[-1].kl == pytest.approx(0, abs=1e-9)
    assert len(points[-1].kept) == 4


def test_a_picture_that_fills_a_batch_counts_once(chain: Chain, models: MixedModels) -> None:
    def in_fours(model: bytes) -> bytes:
        objects = parse_model(model)
        for tensor in objects.subgraphs[0].tensors:
            if len(tensor.shape) == 4 and not tensor.name.startswith(b"k"):
                tensor.shape = [4, *tensor.shape[1:]]
        return pack_model(objects, len(model))

    def repeated() -> Iterator[np.ndarray]:
        return (np.repeat(picture, 4, axis=0) for picture in batches())

    exact, whole = in_fours(chain.float_file()), in_fours(chain.integer_file())
    order = float_order(exact, whole, repeated, lambda _: None)
    fours = MixedModels(exact, whole, order, repeated)
    # Or one output would be compared as several classes, not by its side of 0.
    np.testing.assert_array_equal(fours._exact, models._exact)
    for layers in (0, 2, 4):
        four, alone = fours.point(layers), models.point(layers)
        assert (four.kept, four.agreement) == (alone.kept, alone.agreement)
        assert (four.rms, four.kl) == pytest.approx((alone.rms, alone.kl), abs=1e-9)


def test_the_fewest_layers_are_found_between_points(models: MixedModels) -> None:
    none, some = models.point(0), models.point(3)
    last = models.point(4)
    found = models.fewest((none, last), lambda point: point.rms <= some.rms)
    assert found is not None
    assert found.layers == 3
    assert models.fewest((none, last), lambda point: point.rms < 0) is None


def test_no_layer_is_taken_where_the_target_is_reached_without(models: MixedModels) -> None:
    points = models.point(0), models.point(4)
    found = models.fewest(points, lambda point: point.rms <= points[0].rms)
    assert found == points[0]


def test_fewer_layers_are_found_before_a_point_that_rises(
    models: MixedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = dict(enumerate([0.9, 0.8, 0.3, 0.7, 0.6, 0.2]))
    monkeypatch.setattr(
        models, "point", lambda n: MixedPoint(n, (), 0, rms=errors[n], kl=0.0, agreement=1.0)
    )
    points = tuple(map(models.point, (0, 4, 5)))
    found = models.fewest(points, lambda point: point.rms <= 0.3)
    assert found is not None
    assert found.layers == 2


def test_a_long_curve_is_thinned_out(chain: Chain) -> None:
    steps = tuple(Step((layer,), 0.0) for layer in range(1, 200))
    looked_at = MixedModels(chain.float_file(), chain.integer_file(), steps, batches).curve_layers()
    assert looked_at[0] == 0
    assert looked_at[-1] == 199
    assert len(looked_at) <= CURVE_POINTS
    gaps = np.diff(looked_at)
    assert gaps[0] < gaps[-1]


def test_points_say_what_is_in_float32(models: MixedModels) -> None:
    point: MixedPoint = models.point(2)
    assert {(layer.name, layer.op, layer.index) for layer in point.kept} == {
        ("y1", "CONV_2D", 1),
        ("y2", "CONV_2D", 2),
    }
    assert models.point(0).kept == ()
