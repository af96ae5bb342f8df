"""The real main job: EfficientNet-Lite0 becomes seven variants, compared with the original."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.cli.main import main
from engine.core.errors import RunError
from engine.core.store import SAMPLE_IMAGES
from engine.images.pictures import pictures_in
from engine.quantization.recipes import RECIPES
from engine.runs.run import Run
from engine.tasks import evaluate as service_module
from engine.workers import process as host
from tests.helpers.real_run import CALIBRATION_COUNT, real_run
from tests.helpers.tiny_network import tiny_network

pytestmark = pytest.mark.slow
NAMES = [recipe.name for recipe in RECIPES]


@pytest.fixture(scope="module")
def run() -> Run:
    return real_run()


@pytest.fixture(scope="module")
def comparison(run: Run) -> engine.Comparison:
    return engine.compare(run, SAMPLE_IMAGES, labels_csv=SAMPLE_IMAGES / "labels.csv")


def test_every_variant_is_there_and_as_the_manifest_says(run: Run) -> None:
    assert list(run.variants) == NAMES
    assert run.damaged() == ()
    assert run.manifest.calibration is not None
    assert run.manifest.calibration.demo
    assert run.manifest.calibration.count == CALIBRATION_COUNT


def test_no_flex_operators(run: Run) -> None:
    for artifact in run.manifest.artifacts:
        assert not [name for name in artifact.operators if name.startswith("Flex")]


def test_there_is_no_transpose_and_pictures_go_in_as_nhwc(run: Run) -> None:
    for artifact in run.manifest.artifacts:
        assert "TRANSPOSE" not in artifact.operators
        assert artifact.layout == "NHWC"
        assert artifact.inputs[0].shape == (1, 224, 224, 3)


def test_sizes(run: Run) -> None:
    sizes = {artifact.variant: artifact.bytes for artifact in run.manifest.artifacts}
    assert sizes["float32"] == run.manifest.float32_bytes
    assert sizes["float16"] <= 0.52 * sizes["float32"]
    for name in ("int8", "uint8", "int8_float_io", "dynamic_range"):
        assert sizes[name] <= 0.30 * sizes["float32"]


def test_float_hops_keep_the_answers(run: Run) -> None:
    errors = {stage.name: stage.max_rel_error for stage in run.manifest.stages}
    assert list(errors) == ["pytorch", "onnx", "savedmodel", *NAMES]
    for hop in ("onnx", "savedmodel", "float32"):
        assert errors[hop] is not None
        assert errors[hop] <= 1e-4


@pytest.mark.parametrize(
    ("variant", "edge"),
    [("int8", "int8"), ("uint8", "uint8"), ("int8_float_io", "float32"), ("int16x8", "float32")],
)
def test_edges(run: Run, variant: str, edge: str) -> None:
    artifact = run.artifact(variant)
    assert [tensor.dtype for tensor in artifact.inputs + artifact.outputs] == [edge, edge]
    assert artifact.weight_granularity == "per-channel"
    assert (artifact.inputs[0].scale is None) == (edge == "float32")


def test_variants_answer_like_the_original(comparison: engine.Comparison) -> None:
    assert comparison.variant("float32").top1_agreement == 1
    assert comparison.variant("float32").logit_rms < 1e-4
    assert comparison.variant("float16").logit_rms < 0.05
    for name in ("dynamic_range", "int8", "int16x8"):
        assert 0.01 < comparison.variant(name).logit_rms < 0.5
    assert comparison.reference_accuracy is not None
    assert comparison.reference_accuracy.top5 > 0.8


def test_edges_do_not_change_what_an_integer_model_answers(run: Run) -> None:
    pictures = pictures_in(SAMPLE_IMAGES)
    columns = ("int8", "uint8", "int8_float_io")
    logits = service_module.compute_logits(run, pictures, columns, host.Foreground())
    for name in columns[:2]:
        np.testing.assert_allclose(logits[name], logits["int8_float_io"], atol=1e-4)


def test_comparison_says_that_calibration_was_a_demo(comparison: engine.Comparison) -> None:
    assert comparison.demo_calibration
    assert any("Demo calibration" in note for note in comparison.notes)


def test_the_same_call_again_computes_nothing(run: Run) -> None:
    started = time.monotonic()
    again = engine.convert(calibration_count=CALIBRATION_COUNT, out=run.folder)
    assert again.manifest == run.manifest
    assert time.monotonic() - started < 15


def test_adding_a_variant_keeps_the_others(tmp_path: Path) -> None:
    place = tmp_path / "run"
    network = tiny_network()  # which stages are made again does not depend on their size
    options = {"calibration_count": 4, "input_size": 32, "out": place}
    first = engine.convert(network, variants=["float32"], **options)
    assert first.manifest.calibration is None
    second = engine.convert(network, variants=["uint8"], **options)
    assert list(second.variants) == ["float32", "uint8"]
    assert second.artifact("float32") == first.artifact("float32")
    assert second.manifest.calibration is not None
    assert {stage.name for stage in second.manifest.stages if stage.reused} == {
        "pytorch",
        "onnx",
        "savedmodel",
        "float32",
    }
    with pytest.raises(RunError, match="other calibration pictures"):
        engine.convert(network, variants=["int8"], calibration_count=5, input_size=32, out=place)
    with pytest.raises(RunError, match="another model"):
        engine.convert(network, variants=["int8"], opset=12, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_damaged_file_is_set_apart_and_made_again(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    (copy / "int8.tflite").write_bytes(b"TFL3")
    with pytest.raises(RunError, match="Ask for the same conversion again"):
        Run.open(copy).file("int8")
    mended = engine.convert(calibration_count=CALIBRATION_COUNT, out=copy)
    assert mended.file("int8").read_bytes() == run.file("int8").read_bytes()
    assert any((copy / "damaged").iterdir())


def test_compare_on_the_command_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "C.json"
    words = ["compare", "--run", str(run.folder), "--images", str(SAMPLE_IMAGES)]
    assert main([*words, "--json", str(target), "--max-size-ratio", "int8=0.30"]) == 0
    result = json.loads(target.read_text())
    assert list(result["variants"]) == NAMES
    assert result["variants"]["float32"]["top1_agreement"] == 1
    assert main([*words, "--max-size-ratio", "int8=0.01"]) == 1
    assert "Gate missed: int8" in capsys.readouterr().err


def test_latency_and_report_on_the_command_line(run: Run, tmp_path: Path) -> None:
    timed = tmp_path / "timed"
    shutil.copytree(run.folder, timed)
    words = ["--run", str(timed)]
    timing = ["--variants", "float32,int8", "--rounds", "5", "--json", str(tmp_path / "L.json")]
    assert main(["latency", *words, *timing]) == 0
    entries = json.loads((tmp_path / "L.json").read_text())["entries"]
    assert [len(entry["samples_ms"]) for entry in entries] == [5, 5]
    assert main(["report-json", *words, "--out", str(tmp_path / "R.json")]) == 0
    report = json.loads((tmp_path / "R.json").read_text())
    assert report["latency"]["entries"][0]["variant"] == "float32"
    assert report["manifest"]["key"] == run.manifest.key


def test_the_stock_lowering_and_the_input_layout_are_choices(tmp_path: Path) -> None:
    planar = engine.convert(variants=["float32"], input_layout="NCHW", out=tmp_path / "planar")
    assert planar.artifact("float32").operators["TRANSPOSE"] == 1
    assert planar.artifact("float32").inputs[0].shape == (1, 3, 224, 224)
    stock = engine.convert(variants=["float32"], lowering="stock", out=tmp_path / "stock")
    assert stock.artifact("float32").operators["TRANSPOSE"] > 10
    for run in (stock, planar):
        assert engine.compare(run, SAMPLE_IMAGES).variant("float32").logit_rms < 1e-4


def test_networks_with_padded_max_pools_can_be_quantized(tmp_path: Path) -> None:
    run = engine.convert(
        "shufflenet_v2_x0_5",
        random_weights=True,
        variants=["int8"],
        calibration_count=4,
        out=tmp_path / "r",
    )
    assert run.manifest.model.random
    assert "MAX_POOL_2D" in run.artifact("int8").operators
    assert any("random" in note for note in engine.compare(run, SAMPLE_IMAGES).notes)
