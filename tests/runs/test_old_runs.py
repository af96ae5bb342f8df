"""Runs, stores, reports and kits that older code made; `tests/data/README.md` says how."""

from __future__ import annotations

import io
import json
import os
import re
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine.cli.main import main
from engine.comparison.layers.records import LayerErrors
from engine.core.checksums import find_record
from engine.core.store import HOME_VARIABLE
from engine.core.system import answer_versions
from engine.deployment.kit import CARD, text_in
from engine.deployment.phone import benchmarks_of
from engine.images.pictures import pictures_in
from engine.runs import manifest as manifest_module
from engine.runs.labels import own_labels
from engine.runs.results import stored_latency
from engine.runs.run import Run
from engine.tasks.convert import interrupted
from engine.tasks.sweep.records import newest_sweep
from engine.tflite.metadata import read_metadata
from engine.workers import process

DATA = Path(__file__).parent.parent / "data"
OLDEST = "71be8da"
NEWEST = "d28cffd"
COMMITS = (OLDEST, NEWEST)
VARIANTS = ("float32", "dynamic_range", "float16", "int8", "int8_optimized")
PICTURES = ["blue.png", "green.png", "red.png"]
HOUR = 3600.0

Captured = pytest.CaptureFixture[str]


@pytest.fixture(params=COMMITS)
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a commit left behind; its store is the one in use."""
    return unpack(request.param, tmp_path, monkeypatch)


def unpack(commit: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with zipfile.ZipFile(DATA / f"{commit}.zip") as archive:
        archive.extractall(folder)
    monkeypatch.setenv(HOME_VARIABLE, str(folder / "store"))
    return folder


def run_in(old: Path) -> Run:
    (folder,) = (old / "store" / "runs").glob("colours-*")
    return Run.open(folder)


def record(old: Path, name: str) -> Any:
    return json.loads((old / f"{name}.json").read_text())


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a worker is asked for: what is stored has to be enough."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a worker was asked for")

    monkeypatch.setattr(process.Worker, "__init__", refuse)


def as_then(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that the packages are those that the stored answers were computed with."""
    versions = run.manifest.versions
    then = {package: versions[package] for package in answer_versions()}
    monkeypatch.setattr(manifest_module, "answer_versions", lambda: then)
    monkeypatch.setattr(manifest_module, "__version__", versions["Quantization Lab"])


def assert_same(now: Any, then: Any, where: str = "") -> None:
    """Every figure of an older record has to be there with its value; new ones may stand beside."""
    if isinstance(then, dict):
        assert isinstance(now, dict), where
        assert set(then) <= set(now), where
        for key, value in then.items():
            assert_same(now[key], value, f"{where}/{key}")
    elif isinstance(then, list):
        assert len(now) == len(then), where
        for index, (a, b) in enumerate(zip(now, then, strict=True)):
            assert_same(a, b, f"{where}/{index}")
    elif isinstance(then, float):
        assert now == pytest.approx(then, rel=1e-4, abs=1e-6), where
    else:
        assert now == then, where


def test_the_manifest_is_read(old: Path) -> None:
    run = run_in(old)
    manifest = run.manifest
    assert run.variants == VARIANTS
    assert [artifact.variant for artifact in run.artifacts] == [*VARIANTS, "theirs"]
    assert manifest.labels == ("red", "green", "blue")
    assert manifest.model.classes == 3
    assert (manifest.preprocess.height, manifest.preprocess.width) == (16, 16)
    assert manifest.preprocess.mean == (0.5, 0.5, 0.5)
    assert manifest.calibration is not None
    assert manifest.calibration.count == 3
    assert manifest.command.startswith("python -m engine convert --onnx")
    errors = {stage.name: stage.max_rel_error for stage in manifest.stages}
    assert errors["float32"] is not None
    assert 0 <= errors["float32"] < 1e-3
    assert run.artifact("int8").inputs[0].dtype == "int8"


def test_every_file_is_as_it_was_written(old: Path, capsys: Captured) -> None:
    assert main(["store", "verify", "--json", "-"]) == 0
    verified = json.loads(capsys.readouterr().out)
    assert len(verified) == 2
    assert all(run["damaged"] == [] and run["problem"] is None for run in verified)
    assert all(run["checked"] > 10 for run in verified)


def test_a_damaged_file_of_an_old_run_is_noticed(old: Path, capsys: Captured) -> None:
    file = run_in(old).folder / "int8.tflite"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert main(["store", "verify"]) == 1
    assert "int8.tflite" in capsys.readouterr().out


def test_the_store_is_listed(old: Path, capsys: Captured) -> None:
    assert main(["store", "list", "--json", "-"]) == 0
    listed = {run["model"]: run for run in json.loads(capsys.readouterr().out)}
    assert set(listed) == {"colours", "upload"}
    assert listed["colours"]["variants"] == list(VARIANTS)
    assert not any(run["in_use"] or run["problem"] for run in listed.values())


def test_the_store_is_cleaned(old: Path, capsys: Captured) -> None:
    store = old / "store"
    long_ago = time.time() - 48 * HOUR
    for path in (*(store / "runs").iterdir(), *(store / "uploads").iterdir()):
        os.utime(path, (long_ago, long_ago))
    assert main(["store", "clean"]) == 0
    assert sorted(path.name.partition("-")[0] for path in (store / "runs").iterdir()) == [
        "colours",
        "upload",
    ]
    assert not any((store / "damaged").iterdir())
    assert not any((store / "uploads").iterdir())
    assert main(["store", "clean", "--to-gb", "0"]) == 0
    assert not any((store / "runs").iterdir())


def test_an_upload_is_its_visitors_alone(old: Path) -> None:
    (folder,) = (old / "store" / "runs").glob("upload-*")
    upload = Run.open(folder)
    assert not upload.public
    assert upload.visible_to("visitor")
    assert not upload.visible_to("somebody")
    assert run_in(old).public


def test_a_conversion_that_was_interrupted_is_known(old: Path) -> None:
    (left,) = interrupted("visitor")
    assert left.work.title == "upload"
    assert left.work.request.variants == ("float32",)
    assert left.work.request.preprocess.input_size in (16, (16, 16))
    assert interrupted("somebody") == ()


def test_labels_pins_and_timings_are_read(old: Path) -> None:
    run, pictures = run_in(old), pictures_in(old / "photos")
    assert own_labels(run, pictures).tolist() == [-1, 1, -1]
    (pinned,) = engine.pinned(run)
    assert pinned.read_bytes() == (old / "photos" / "red.png").read_bytes()
    timed = stored_latency(run)
    assert timed is not None
    assert (timed.threads, timed.cores) == (1, 2)
    assert {entry.variant for entry in timed.entries} == {"original", *VARIANTS, "theirs"}
    assert all(len(entry.samples_ms) == 5 for entry in timed.entries)
    assert any(entry.operators for entry in timed.entries)
    (phone,) = benchmarks_of(run)
    assert (phone.variant, phone.phone) == ("int8", "a phone")
    assert (phone.timing.mean_ms, phone.timing.median_ms) == (0.98, 0.978)


def test_layer_errors_are_read(old: Path) -> None:
    (file,) = (run_in(old).folder / "layers").glob("*.json")
    errors = find_record(file, LayerErrors)
    assert errors is not None
    assert errors.variant == "int8"
    assert errors.pictures == 3
    operators = [layer["op"] for layer in errors.to_dict()["layers"]]
    assert {"CONV_2D", "FULLY_CONNECTED"} <= set(operators)


def test_a_sweep_is_found(old: Path) -> None:
    sweep = newest_sweep(run_in(old))
    assert sweep is not None
    assert [cell.variant for cell in sweep.cells] == ["int8(count=2,seed=0)"]
    assert sweep.to_frame()["rms"].notna().all()


def test_a_report_has_every_figure_of_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_worker: None
) -> None:
    old = unpack(NEWEST, tmp_path, monkeypatch)
    run = run_in(old)
    as_then(run, monkeypatch)
    report = engine.report(run, old / "photos", old / "new.html", labels_csv=old / "labels.csv")
    then = record(old, "report")
    assert_same(json.loads(json.dumps(report.to_dict())), then)
    assert_same(data_in(old / "new.html"), data_in(old / "report.html"))


def test_logits_are_compared_without_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_worker: None
) -> None:
    old = unpack(NEWEST, tmp_path, monkeypatch)
    run = run_in(old)
    as_then(run, monkeypatch)
    comparison = engine.compare(run, old / "photos", labels_csv=old / "labels.csv")
    assert_same(json.loads(json.dumps(comparison.to_dict())), record(old, "comparison"))


def test_a_set_that_is_not_stored_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_worker: None
) -> None:
    old = unpack(NEWEST, tmp_path, monkeypatch)
    with pytest.raises(AssertionError, match="a worker was asked for"):
        engine.compare(run_in(old), [old / "photos" / "red.png"])


def test_layer_errors_are_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_worker: None
) -> None:
    old = unpack(NEWEST, tmp_path, monkeypatch)
    run = run_in(old)
    as_then(run, monkeypatch)
    assert engine.layers(run, "int8", old / "photos").pictures == 3


def test_the_report_of_then_holds_its_data(old: Path) -> None:
    data, then = data_in(old / "report.html"), record(old, "report")
    assert_same(data["comparison"], then["comparison"])
    assert set(data) == {"manifest", "comparison", "latency", "against"}


def data_in(page: Path) -> Any:
    """What a report's page holds for programs."""
    found = re.search(r'id="report-data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture
def kit(old: Path) -> Path:
    (file,) = (run_in(old).folder / "kits").glob("*.zip")
    return file


def in_kit(kit: Path, name: str) -> bytes:
    with zipfile.ZipFile(kit) as archive:
        return archive.read(name)


def test_a_kit_is_read(kit: Path) -> None:
    assert text_in(kit, CARD).startswith("# ")
    assert text_in(kit, "labels.txt").split() == ["red", "green", "blue"]
    model = json.loads(text_in(kit, "model.json"))
    metadata = read_metadata(in_kit(kit, model["file"]))
    assert metadata.labels == ("red", "green", "blue")
    assert metadata.image.mean == tuple(127.5 for _ in range(3))


def test_the_golden_set_of_a_kit_holds(kit: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = json.loads(text_in(kit, "model.json"))
    golden = np.load(io.BytesIO(in_kit(kit, "golden.npz")))
    interpreter = Interpreter(model_content=in_kit(kit, model["file"]))
    interpreter.allocate_tensors()
    entry, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert len(golden["inputs"]) == len(PICTURES)
    for given, expected in zip(golden["inputs"], golden["outputs"], strict=True):
        interpreter.set_tensor(entry["index"], given[None])
        interpreter.invoke()
        off = np.abs(interpreter.get_tensor(end["index"])[0].astype(int) - expected.astype(int))
        assert off.max() <= model["golden"]["tolerance"]


@pytest.mark.slow
def test_answers_of_an_earlier_version_are_computed_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Their files do not say which versions of the packages gave them.
    old = unpack(OLDEST, tmp_path, monkeypatch)
    run = run_in(old)
    before = {file.name for file in run.folder.glob("logits/*/*.npy")}
    comparison = engine.compare(run, old / "photos", labels_csv=old / "labels.csv")
    then = record(old, "comparison")["variants"]
    assert {file.name for file in run.folder.glob("logits/*/*.npy")} > before
    for name, figures in comparison.to_dict()["variants"].items():
        assert figures["top1_agreement"] == then[name]["top1_agreement"], name
        assert figures["logit_rms"] == pytest.approx(then[name]["logit_rms"], rel=0.05, abs=1e-3)
