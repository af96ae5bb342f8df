"""Optimized variants and ranges by other methods, added to a run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import engine
from engine.core.errors import OptionError, RunError
from engine.core.store import SAMPLE_IMAGES
from engine.runs.manifest import FILE_NAME
from engine.runs.results import load_latency
from engine.runs.run import REQUEST, Run
from engine.tasks.improve import (
    calibration_digests,
    improvable,
    name_optimized,
    read_curve,
    read_optimized_layers,
    time_curve,
)
from engine.workers.process import Foreground
from tests.helpers.real_run import CALIBRATION_COUNT, real_run
from tests.helpers.tiny_run import tiny_run


def test_what_can_be_improved_is_named(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    assert improvable(run) == ("int8",)
    assert name_optimized(run, "int8") == "int8_optimized"
    with pytest.raises(OptionError, match="Name int8"):
        name_optimized(run, "float32")
    one_scale = replace(run.artifact("int8"), variant="int8_per_tensor")
    manifest = replace(run.manifest, artifacts=(*run.artifacts, one_scale))
    (run.folder / FILE_NAME).write_bytes(manifest.to_json())
    both = Run.open(run.folder)
    with pytest.raises(OptionError, match="scale for each channel"):
        name_optimized(both, "int8_per_tensor")
    assert improvable(both) == ("int8",)
    with pytest.raises(OptionError, match="the variant 'uint8'"):
        name_optimized(run, "uint8")


def test_a_run_that_does_not_say_its_request_is_refused(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    with pytest.raises(RunError, match=REQUEST):
        engine.improve(run, "int8")
    with pytest.raises(RunError, match=r"int8_float_io_optimized\.json"):
        read_optimized_layers(run, "int8_optimized")


@pytest.fixture(scope="module")
def improved(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("improved") / "run"
    shutil.copytree(real_run().folder, folder)
    return engine.improve(folder, "int8")


@pytest.mark.slow
def test_the_optimized_variant_is_the_same_but_closer(improved: Run) -> None:
    int8, better = improved.artifact("int8"), improved.artifact("int8_optimized")
    assert better.operators == int8.operators
    assert better.bytes <= 1.01 * int8.bytes
    assert better.inputs == int8.inputs
    found = engine.compare(
        improved, SAMPLE_IMAGES, reference="float32", variants=["int8", "int8_optimized"]
    )
    before, after = found.variants
    assert after.logit_rms < 0.8 * before.logit_rms
    assert after.kl < before.kl


@pytest.mark.slow
def test_the_run_says_what_was_done(improved: Run) -> None:
    layers = read_optimized_layers(improved, "int8_optimized")
    # Late layers see too few positions of so few pictures, and are left.
    assert sum("gptq" in layer.done for layer in layers) > 10
    # The head's range has a margin whatever its own error: clipped answers may tie.
    *others, head = layers
    assert (head.op, head.done) == ("FULLY_CONNECTED", ("range",))
    assert all(layer.after <= layer.before for layer in others if layer.done and layer.before)
    assert improved.manifest.calibrations["int8_optimized"].count == CALIBRATION_COUNT
    assert len(calibration_digests(improved)) > 0
    assert engine.improve(improved.folder, "int8").manifest == improved.manifest


@pytest.mark.slow
def test_settings_of_a_recipe_reach_the_file(improved: Run) -> None:
    names = ["int8(range=mse)", "int8(count=2)"]
    run = engine.convert(calibration_count=CALIBRATION_COUNT, variants=names, out=improved.folder)
    assert run.manifest.calibrations["int8(count=2)"].count == 2
    assert run.manifest.calibrations["int8(range=mse)"].count == CALIBRATION_COUNT
    digests = {run.artifact(name).sha256 for name in ("int8", *names)}
    assert len(digests) == 3
    assert (run.folder / "int8(range=mse).tflite").is_file()


@pytest.mark.slow
def test_layers_in_float32_bring_the_answers_closer(improved: Run) -> None:
    run = engine.convert(
        calibration_count=CALIBRATION_COUNT,
        variants=["int8_float_io_optimized", "int8_mixed(k=20)"],
        out=improved.folder,
    )
    names = ["int8_float_io_optimized", "int8_mixed(k=20)"]
    found = engine.compare(run, SAMPLE_IMAGES, reference="float32", variants=names)
    optimized, mixed = (variant.logit_rms for variant in found.variants)
    assert mixed < optimized
    sizes = run.sizes
    assert sizes["int8_float_io_optimized"] < sizes["int8_mixed(k=20)"] < sizes["float32"]
    curve = read_curve(run, "int8_mixed(k=20)")
    assert curve is not None
    assert curve.points[0].bytes == sizes["int8_float_io_optimized"]
    assert curve.of_size(sizes["int8_mixed(k=20)"]).layers == 20
    assert curve.points[-1].rms < 0.3 * curve.points[0].rms
    timed = time_curve(run, "int8_mixed(k=20)", Foreground(), rounds=2)
    assert timed == read_curve(run, "int8_mixed(k=20)")
    assert timed.timed_float32 is not None
    assert timed.latency_of(0) is not None
    of_run = load_latency(run)
    assert of_run is not None
    assert {"float32", "int8_mixed(k=20)"} <= {entry.variant for entry in of_run.entries}
    with pytest.raises(OptionError, match="1 to "):
        engine.convert(
            calibration_count=CALIBRATION_COUNT,
            variants=["int8_mixed(k=500)"],
            out=improved.folder,
        )
