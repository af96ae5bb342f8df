"""The manifest and the request of a run to which variants are added later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from engine.conversion.resume import RECORD, ConvertTask, FinishedStages, OriginalModel
from engine.conversion.write_manifest import calibration_of, write_manifest
from engine.quantization.calibration import CalibrationChoice, CalibrationInfo
from engine.runs.manifest import FILE_NAME
from engine.runs.request import ConvertRequest
from engine.runs.run import REQUEST, WORK, Run
from engine.tflite.artifact import Artifact
from tests.helpers.factories import artifact
from tests.helpers.tiny_run import tiny_run

PHOTOS = CalibrationChoice(folder="/photos", count=7, seed=3)
OTHERS = CalibrationChoice(folder="/others", count=9, seed=5)


def info(choice: CalibrationChoice) -> CalibrationInfo:
    return CalibrationInfo(choice.count, choice.seed, "2" * 64, False, choice.folder)


def written(
    run: Run,
    base: Run | None,
    choice: CalibrationChoice,
    added: tuple[Artifact, ...] = (),
    *,
    calibrated: bool,
) -> Run:
    """Write the record of a conversion over the run of a model of a few bytes."""
    (run.folder / WORK).mkdir(exist_ok=True)
    (run.folder / WORK / "float32.tflite").write_bytes(b"float32")
    (run.folder / RECORD).write_bytes(b"")
    old = run.manifest
    write_manifest(
        ConvertTask(
            request=ConvertRequest(calibration=choice, out="run"),
            key=old.key,
            side=str(run.folder),
            base=None if base is None else str(base.folder),
            wanted="w",
        ),
        base,
        FinishedStages(wanted="w"),
        OriginalModel(old.model, old.preprocess, old.labels, old.layout, old.opset),
        added,
        calibration=info(choice) if calibrated else None,
    )
    return Run.open(run.folder)


def recorded(run: Run) -> CalibrationChoice:
    content = (run.folder / REQUEST).read_bytes()
    return msgspec.json.decode(content, type=ConvertRequest).calibration


@pytest.mark.parametrize("calibrated_now", [False, True])
def test_the_calibration_stays_where_the_new_conversion_calibrated_nothing(
    tmp_path: Path, calibrated_now: bool
) -> None:
    made = tiny_run(tmp_path / "run")
    first = written(made, None, PHOTOS, made.manifest.artifacts, calibrated=True)
    side = tiny_run(tmp_path / "side")
    later = written(
        side, first, CalibrationChoice(), (artifact("float16"),), calibrated=calibrated_now
    )
    expected = CalibrationChoice() if calibrated_now else PHOTOS
    assert recorded(later) == calibration_of(later) == expected
    words = later.manifest.command.split()
    assert ("--calibration" in words) is not calibrated_now
    assert words[words.index("--calibration-count") + 1] == str(expected.count)
    assert words[words.index("--seed") + 1] == str(expected.seed)
    assert words[words.index("--variants") + 1] == "float32,float16,int8"
    assert later.manifest.calibration is not None
    assert later.manifest.calibration.source == expected.folder


def test_what_was_asked_first_is_no_calibration_while_nothing_was_calibrated(
    tmp_path: Path,
) -> None:
    made = tiny_run(tmp_path / "run")
    (made.folder / FILE_NAME).write_bytes(replace(made.manifest, calibration=None).to_json())
    first = written(made, None, PHOTOS, made.manifest.artifacts, calibrated=False)
    later = written(tiny_run(tmp_path / "side"), first, OTHERS, calibrated=False)
    assert recorded(later) == OTHERS


def test_a_run_without_a_request_says_by_its_manifest(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    made = replace(run.manifest, calibration=info(PHOTOS))
    assert calibration_of(replace(run, manifest=made)) == PHOTOS
    assert calibration_of(replace(run, manifest=replace(made, calibration=None))) == (
        CalibrationChoice()
    )
