from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

import msgspec
import pytest

from engine.comparison.latency import Latency, LatencySamples
from engine.core.checksums import write_verified
from engine.core.errors import OptionError
from engine.core.types import Progress
from engine.quantization.recipes import recipe_named
from engine.quantization.records import FloatLayer, MixedCurve, MixedPoint
from engine.reporting.text.improve import (
    curve_headline,
    float_layers_sentence,
    monotone_sentence,
    worth_sentence,
)
from engine.runs import run as runs
from engine.runs.manifest import FILE_NAME
from engine.runs.results import load_latency
from engine.runs.run import IMPROVED, Run
from engine.tasks import improve
from engine.tasks.improve import name_mixed
from engine.tasks.latency import MixedLatencyRequest
from engine.tflite.artifact import artifact_of
from tests.helpers.tiny_run import SIDE, tiny_run
from tests.helpers.tiny_tflite import reshape_file


def point(layers: int, rms: float, size: int) -> MixedPoint:
    kept = tuple(FloatLayer(f"y{i}", "CONV_2D", i) for i in range(layers))
    return MixedPoint(layers, kept, size, rms, rms**2, 0.99)


def latency(**medians: float) -> Latency:
    entries = tuple(
        LatencySamples(name.replace("k", "k=") if name in ("k0", "k2") else name, (value,) * 3)
        for name, value in medians.items()
    )
    return Latency("host", 2, 1, "2026-01-01T00:00:00+00:00", entries)


CURVE = MixedCurve("int8_float_io_optimized", (point(0, 0.1, 4_000_000), point(2, 0.05, 6_000_000)))


def test_exactly_one_aim_names_a_recipe() -> None:
    assert name_mixed(layers=3) == "int8_mixed(k=3)"
    assert name_mixed(target_rms=0.08) == "int8_mixed(rms=0.08)"
    assert name_mixed(target_agreement=0.99) == "int8_mixed(agreement=0.99)"
    exact = recipe_named(name_mixed(target_rms=0.123456789))
    assert exact.target_rms == 0.123456789
    assert recipe_named(name_mixed(target_agreement=0.9999999)).target_agreement == 0.9999999
    assert recipe_named(name_mixed(target_rms=1.25e-7)).target_rms == 1.25e-7
    with pytest.raises(OptionError, match="no target"):
        name_mixed()
    with pytest.raises(OptionError, match="Give exactly one"):
        name_mixed(layers=3, target_rms=0.1)
    with pytest.raises(OptionError, match="rms=-1"):
        name_mixed(target_rms=-1)


def test_the_headline_says_what_is_won_and_paid() -> None:
    said = curve_headline(CURVE, CURVE.points[1])
    assert said == "2 of 2 layers in float32 take the error from 0.1 to 0.05, at 1.50\xa0× the size"
    said = curve_headline(CURVE, CURVE.points[0])
    assert said == "No layer has to be in float32: the error of 0.1 is low enough"


def test_a_mix_slower_than_float32_is_not_worth_it() -> None:
    assert worth_sentence(CURVE, CURVE.points[1]) is None
    slow = MixedCurve(CURVE.whole, CURVE.points, latency(float32=5.0, k0=2.0, k2=5.1))
    assert "no faster than float32" in str(worth_sentence(slow, slow.points[1]))
    quick = MixedCurve(CURVE.whole, CURVE.points, latency(float32=5.0, k0=2.0, k2=2.5))
    assert "2.0\N{NO-BREAK SPACE}× faster than float32" in str(
        worth_sentence(quick, quick.points[1])
    )


class Timing:
    """A worker and its host that give latencies without measuring any."""

    def __init__(self) -> None:
        self.request: MixedLatencyRequest | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def adopt(self, worker: object) -> Timing:
        return self

    def report(self, progress: Progress) -> None:
        pass

    def run(self, work: object, request: MixedLatencyRequest, *_: object) -> Latency:
        self.request = request
        return latency(**dict.fromkeys((*request.columns, "k0", "k2"), 5.0))


def test_timing_a_curve_times_the_files_of_the_run_that_lie_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(tmp_path / "tiny")
    mixed = "int8_mixed(k=2)"
    file = reshape_file(run.folder / f"{mixed}.tflite", (1, SIDE, SIDE, 3))
    artifact = artifact_of(file, variant=mixed, layout="NHWC")
    manifest = replace(run.manifest, artifacts=(*run.manifest.artifacts, artifact))
    (run.folder / FILE_NAME).write_bytes(manifest.to_json())
    (run.folder / IMPROVED).mkdir()
    write_verified(
        run.folder / IMPROVED / f"{CURVE.whole}{runs.CURVE}.json", msgspec.json.encode(CURVE.points)
    )
    run = Run.open(run.folder)
    timing = Timing()
    monkeypatch.setattr(improve, "Worker", lambda: timing)
    improve.time_curve(run, mixed, timing)  # type: ignore[arg-type]
    timed = load_latency(run)
    assert timed is not None
    assert [entry.variant for entry in timed.entries] == ["float32", mixed]
    assert timing.request is not None
    assert timing.request.columns == ("float32", mixed)


def test_a_rise_is_told() -> None:
    assert CURVE.monotone
    assert monotone_sentence(CURVE) is None
    rising = MixedCurve(CURVE.whole, (*CURVE.points, point(4, 0.06, 7_000_000)))
    assert "With 4 layers in float32 the error rises" in str(monotone_sentence(rising))


def test_layers_are_named_for_people() -> None:
    assert float_layers_sentence(point(0, 0.1, 1)) == "No layer is in float32."
    assert "convolution 0." in float_layers_sentence(point(1, 0.1, 1))
    assert float_layers_sentence(point(20, 0.1, 1)).endswith("and 12 more.")


def test_the_point_of_a_file_is_found_by_its_size() -> None:
    assert CURVE.of_size(5_900_000).layers == 2
