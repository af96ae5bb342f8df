"""One operator looked at: a trial in float32, and its feature maps."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import OptionError
from engine.images.pictures import pictures_in
from engine.runs.run import WORK
from engine.tasks.inspect_operator import (
    OperatorRequest,
    activation_of,
    differing_maps,
    run_feature_maps,
    run_float_trial,
)
from engine.tflite.graph import Graph
from tests.helpers.tiny_pair import SIDE, conv, float_file, integer_file, pictures
from tests.helpers.tiny_run import STEP, tiny_run


def request_of(folder: Path, photos: Path, index: int = 0) -> OperatorRequest:
    run = tiny_run(folder / "tiny")
    (run.folder / WORK).mkdir()
    shutil.copyfile(run.file("float32"), run.folder / WORK / "float32.tflite")
    shown = pictures_in(photos)[:2]
    return OperatorRequest(run=str(run.folder), variant="int8", index=index, pictures=shown)


@pytest.mark.slow
def test_a_trial_measures_both_files(own_store: Path, tmp_path: Path, photos: Path) -> None:
    request = request_of(tmp_path, photos)
    trial = run_float_trial(request, lambda _: None)
    # Its only operator hands its input on: the rounding of the picture is left in float32, too.
    assert trial.operators == 1
    assert trial.pictures == trial.before.same_answers == len(request.pictures)
    assert 0 < trial.before.rms < STEP
    assert trial.after.rms == pytest.approx(trial.before.rms)
    assert min(trial.before.bytes, trial.after.bytes) > 0
    assert min(trial.before.median_ms, trial.after.median_ms) > 0


def test_an_operator_without_a_counterpart_is_refused(
    own_store: Path, tmp_path: Path, photos: Path
) -> None:
    with pytest.raises(OptionError, match="operator 9 of int8"):
        run_float_trial(request_of(tmp_path, photos, 9), lambda _: None)


def test_logits_have_no_maps(own_store: Path, tmp_path: Path, photos: Path) -> None:
    request = request_of(tmp_path, photos)
    one = OperatorRequest(run=request.run, variant="int8", index=0, pictures=request.pictures[:1])
    maps = run_feature_maps(one, lambda _: None)
    assert maps.maps == ()
    assert maps.scale == (0.0, 0.0)


def test_the_channels_that_differ_most_come_first() -> None:
    exact = np.zeros((1, 2, 2, 3), np.float32)
    variant = exact.copy()
    variant[0, :, :, 1] = [[1, -1], [1, -1]]
    variant[0, 0, 0, 2] = 4
    maps = differing_maps(exact, variant, most=2)
    assert [(m.channel, m.difference) for m in maps.maps] == [(2, 2.0), (1, 1.0)]
    assert maps.maps[1].variant == (1, -1, 1, -1)
    assert maps.channels == 3
    assert maps.scale == (-1.0, 4.0)


def test_activations_are_real_values() -> None:
    rng = np.random.default_rng(3)
    layer = conv(rng, 4, 3)
    (x,) = pictures(rng, 1, 3)
    exact = Graph(float_file(layer))
    whole = Graph(integer_file(layer, out_step=1 / 8, out_zero=0))
    y = activation_of(exact, exact.operators[0].output, x)
    z = activation_of(whole, whole.operators[1].output, x)
    np.testing.assert_allclose(y, x @ layer.weights.T + layer.bias, atol=1e-4)
    assert z.shape == y.shape == (1, SIDE, SIDE, 4)
    np.testing.assert_array_equal(z * 8, np.rint(z * 8))
