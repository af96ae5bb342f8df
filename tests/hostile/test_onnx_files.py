"""Changed .onnx files: read, run and converted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from engine.core.errors import ModelError
from engine.networks.onnx_parts import demand_whole
from engine.networks.runners.onnx import OnnxRunner
from engine.networks.source import ModelChoice
from engine.quantization.calibration import CalibrationChoice
from engine.runs.request import ConvertRequest
from engine.tasks import convert as service_module
from engine.workers import process as host
from engine.workers.process import Worker
from tests.hostile.mutants import mutant
from tests.hostile.onnx_seeds import (
    CLASSES,
    SIDE,
    changed_model,
    convolution,
    own_function,
    quantized,
    residual,
)
from tests.hostile.reused_worker import ReusedWorker
from tests.hostile.rows import Noted, Row, Scaled
from tests.hostile.source_worker import run_source

pytestmark = pytest.mark.hostile


class Reusing(host.Foreground):
    """A host whose conversions share a worker, as those of the dashboard do."""

    def __init__(self, kept: ReusedWorker) -> None:
        super().__init__()
        self._kept = kept

    @contextmanager
    def worker(self, lowering: object = None) -> Iterator[Worker]:  # type: ignore[override]
        with self._kept as worker:
            yield worker


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
    whole = [convolution(), residual(), quantized(), own_function()]
    file = tmp_path / "x.onnx"
    for model in whole:
        file.write_bytes(model.SerializeToString())
        with workers as worker:
            worker.run(run_source, request_for(file).model)
    converted = 0
    for number, rng in row.cases():
        model = rng.choice(whole)
        changed = (
            changed_model(model, rng) if number % 2 else mutant(model.SerializeToString(), rng)
        )
        file.write_bytes(changed)
        with row.tried(number):
            with workers as worker:
                worker.run(run_source, request_for(file).model)
            converted += 1
            if converted % 10 == 1:
                service_module.convert_request(request_for(file), Reusing(workers))
    row.check()
    assert not list((own_store / "runs").glob(".*")), "no half a run is left"
    shutil.rmtree(own_store / "runs", ignore_errors=True)


def test_without_the_look_a_model_reads_another_file(tmp_path: Path) -> None:
    """The attack works where tensors may lie in other files: their bytes become weights."""
    secret = np.arange(CLASSES, dtype=np.float32) + 1000
    (tmp_path / "secret").write_bytes(secret.tobytes())
    model = convolution()
    bias = next(t for t in model.graph.initializer if t.name == "c")
    bias.ClearField("raw_data")
    bias.data_location = TensorProto.EXTERNAL
    bias.external_data.add(key="location", value="secret")
    file = tmp_path / "x.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="kept in another file"):
        demand_whole(file)
    with OnnxRunner(file) as runner:
        logits = runner.infer(np.zeros((1, SIDE, SIDE, 3), np.float32))
    assert np.abs(logits - secret).max() < 100, "the answer tells what the file holds"
