from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.conversion.resume import (
    RECORD,
    FinishedStages,
    keep_finished,
    load_finished,
    wanted_digest,
    without_others,
)
from engine.core.errors import WorkerKilled
from engine.core.types import Progress
from engine.quantization.calibration import CalibrationChoice
from engine.runs.manifest import FILE_NAME, Stage
from engine.runs.request import ConvertRequest
from engine.runs.staging import partial_folder
from engine.tasks.convert import convert_request
from engine.workers import process as jobs
from engine.workers.process import Foreground, Worker
from tests.helpers.fake_host import request_for
from tests.networks.test_own_onnx import SIZE, classifier


def started(side: Path) -> FinishedStages:
    """Two stages, a file each, and a file of a third that was not finished."""
    (side / "work").mkdir(parents=True)
    found = FinishedStages(wanted="this")
    for name in ("onnx", "int8"):
        (side / f"{name}.tflite").write_bytes(name.encode())
        (side / "work" / f"{name}.npy").write_bytes(b"logits")
        found = replace(found, stages=(*found.stages, Stage(name, 1.0)))
        found = keep_finished(side, found)
    (side / "half").write_bytes(b"half made")
    return found


def test_what_is_finished_stays_and_what_is_half_made_goes(tmp_path: Path) -> None:
    kept = started(tmp_path / "side")
    found = load_finished(tmp_path / "side", "this")
    assert found == kept
    assert found.names == {"onnx", "int8"}
    assert not (tmp_path / "side" / "half").exists()
    assert (tmp_path / "side" / "int8.tflite").read_bytes() == b"int8"


@pytest.mark.parametrize("trouble", ["another request", "damage", "absent", "no record"])
def test_what_cannot_be_gone_on_from_is_cleared(tmp_path: Path, trouble: str) -> None:
    side = tmp_path / "side"
    started(side)
    if trouble == "damage":
        (side / "work" / "onnx.npy").write_bytes(b"logitS")
    if trouble == "absent":
        (side / "work" / "onnx.npy").unlink()
    if trouble == "no record":
        (side / RECORD).write_bytes(b"{")
    found = load_finished(side, "that" if trouble == "another request" else "this")
    assert found.stages == ()
    assert list(side.iterdir()) == []


def test_variants_that_nobody_wants_now_are_left_out(tmp_path: Path) -> None:
    side = tmp_path / "side"
    found = without_others(side, started(side), {"onnx"})
    assert found.names == {"onnx"}
    assert set(found.files) == {"onnx.tflite", "work/onnx.npy"}
    assert not (side / "int8.tflite").exists()


def test_what_the_files_depend_on(tmp_path: Path) -> None:
    request = ConvertRequest()
    (tmp_path / FILE_NAME).write_bytes(b"{}")
    digests = {
        wanted_digest(request, "key", "pictures", None),
        wanted_digest(request, "other", "pictures", None),
        wanted_digest(request, "key", "others", None),
        wanted_digest(request, "key", "pictures", tmp_path),
        wanted_digest(
            replace(request, calibration=CalibrationChoice(seed=1)), "key", "pictures", None
        ),
    }
    assert len(digests) == 5
    other = replace(request, variants=("int8",))
    assert wanted_digest(other, "key", "pictures", None) in digests


def test_every_picture_of_the_folder_counts_since_recipes_choose_among_them(photos: Path) -> None:
    request = ConvertRequest(
        variants=("int8(count=4)",), calibration=CalibrationChoice(folder=str(photos), count=1)
    )
    before = wanted_digest(request, "key", "pictures", None)
    assert wanted_digest(request, "key", "pictures", None) == before
    Image.new("RGB", (2, 2)).save(photos / "photo_4.png")
    assert wanted_digest(request, "key", "pictures", None) != before


class Killing(Foreground):
    """Kills the worker when it begins a stage, and then itself if asked."""

    def __init__(self, stage: str, own_end: type[BaseException] | None = None) -> None:
        super().__init__(self._hear)
        self.stage, self.own_end, self.said = stage, own_end, [""]

    def worker(self, lowering: object = None) -> Any:
        self._worker = Worker()
        return self._worker

    def _hear(self, progress: Progress) -> None:
        self.said.append(progress.stage)
        if progress.stage == self.stage:
            os.kill(self._worker._process.pid, signal.SIGKILL)
            if self.own_end is not None:
                raise self.own_end


@pytest.mark.slow
def test_a_worker_that_was_killed_leaves_nothing_and_a_server_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(tmp_path / "m.onnx", shape=[1, 3, SIZE, SIZE])
    request = request_for(model, "float32", "int8", out=tmp_path / "run")
    request = replace(request, calibration=CalibrationChoice(count=4))
    side = partial_folder(tmp_path / "run")
    # As a killed server would leave it: the folder stays.
    monkeypatch.setattr("engine.runs.staging._remove_own", lambda side, lock: lock.release())
    with pytest.raises(WorkerKilled, match="SIGKILL"):
        convert_request(request, Killing("SavedModel to TFLite: float32"))
    with pytest.raises(KeyboardInterrupt):
        convert_request(request, Killing("SavedModel to TFLite: int8", KeyboardInterrupt))
    assert (side / RECORD).is_file()
    assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    monkeypatch.setenv("QLAB_HOME", str(tmp_path / "store"))
    said: list[str] = []
    run = convert_request(request, Foreground(lambda progress: said.append(progress.stage)))
    assert "SavedModel to TFLite: int8" in said
    assert "SavedModel to TFLite: float32" not in said
    assert "ONNX to SavedModel" not in said
    assert [stage.name for stage in run.manifest.stages] == [
        "onnx",
        "savedmodel",
        "float32",
        "int8",
    ]
    assert run.damaged(again=True) == ()
    assert not side.exists()
    assert not (run.folder / RECORD).exists()


@pytest.mark.slow
def test_a_worker_that_dies_of_a_variant_costs_that_variant(tmp_path: Path) -> None:
    model = classifier(tmp_path / "m.onnx", shape=[1, 3, SIZE, SIZE])
    request = request_for(model, "float32", "float16", out=tmp_path / "run")
    run = convert_request(request, Killing("SavedModel to TFLite: float16"))
    assert run.variants == ("float32",)
    (missing,) = run.missing
    assert missing.variant == "float16"
    assert missing.got.startswith("the converter ended the process: ")
    assert "SIGKILL" in missing.got
    log = (run.folder / "logs" / "convert-1.log").read_text()
    assert log.strip()


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_workers")
def test_a_heavy_conversion_goes_on_in_other_processes_and_makes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(tmp_path / "m.onnx", shape=[1, 3, SIZE, SIZE])
    usual = convert_request(request_for(model, "float32", out=tmp_path / "usual"), Foreground())
    light = (
        "from engine.conversion import build; from engine.workers import main; "
        "build.HEAVY_BYTES = 0; main.main()"
    )
    monkeypatch.setattr(jobs, "WORKER_COMMAND", (sys.executable, "-c", light))
    said: list[str] = []
    host = Foreground(lambda progress: said.append(progress.stage))
    run = convert_request(request_for(model, "float32", out=tmp_path / "run"), host)
    gone_on = [stage for stage in said if stage.startswith("Going on after")]
    assert [stage.split()[3].rstrip(",") for stage in gone_on] == ["onnx", "savedmodel"]
    assert [stage.name for stage in run.manifest.stages] == [
        stage.name for stage in usual.manifest.stages
    ]
    assert run.artifacts == usual.artifacts
