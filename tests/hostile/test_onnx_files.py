"""Changed .onnx files: read, run and converted."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine import jobs, service
from engine.jobs import Worker
from engine.requests import CalibrationChoice, ConvertRequest, ModelChoice
from tests.hostile.mutants import mutant
from tests.hostile.onnx_seeds import changed_model, convolution, residual
from tests.hostile.reused_worker import ReusedWorker
from tests.hostile.rows import Noted, Row, Scaled

pytestmark = pytest.mark.hostile


class Reusing(service.Foreground):
    """A host whose conversions share a worker, as those of the dashboard do."""

    def __init__(self, kept: ReusedWorker) -> None:
        super().__init__()
        self._kept = kept

    @contextmanager
    def worker(self, lowering: object = None) -> Iterator[Worker]:  # type: ignore[override]
        with self._kept as worker:
            yield worker


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReusedWorker]:
    command = (sys.executable, "-P", "-m", "tests.hostile.source_worker")
    monkeypatch.setattr(jobs, "WORKER_COMMAND", command)
    kept = ReusedWorker()
    yield kept
    kept.close()


def request_for(file: Path) -> ConvertRequest:
    return ConvertRequest(
        model=ModelChoice(name="hostile", onnx=str(file)),
        variants=("float32",),
        calibration=CalibrationChoice(count=1),
    )


@pytest.mark.timeout(1200)
def test_changed_files(
    scaled: Scaled, noted: Noted, tmp_path: Path, own_store: Path, workers: ReusedWorker
) -> None:
    row = Row("mutated .onnx", scaled(500), noted)
    whole = [convolution(), residual()]
    file = tmp_path / "x.onnx"
    for model in whole:
        file.write_bytes(model.SerializeToString())
        with workers as worker:
            worker.run("source", request_for(file).model, bool)
    converted = 0
    for number, rng in row.cases():
        model = rng.choice(whole)
        changed = (
            changed_model(model, rng) if number % 2 else mutant(model.SerializeToString(), rng)
        )
        file.write_bytes(changed)
        with row.tried(number):
            with workers as worker:
                worker.run("source", request_for(file).model, bool)
            converted += 1
            if converted % 4 == 0:
                service.convert_request(request_for(file), Reusing(workers))
    row.check()
    assert not list((own_store / "runs").glob(".*")), "no half a run is left"
    shutil.rmtree(own_store / "runs", ignore_errors=True)
