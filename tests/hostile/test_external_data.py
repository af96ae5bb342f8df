"""ONNX files with data in other files, and zips of them: read by the server and by a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.file_types import demand_onnx
from engine.networks.onnx_parts import demand_complete, model_digest
from engine.networks.source import ModelChoice
from tests.hostile.external_data_attacks import ATTACKS, DATA, SECRET, described, zipped
from tests.hostile.reused_worker import ReusedWorker
from tests.hostile.rows import Noted, Row
from tests.hostile.source_worker import run_source

pytestmark = pytest.mark.hostile

HARMLESS = {"zip: a bomb that nobody asks for"}
"""Taken: what nobody asks for is not unpacked."""


def looked_at(path: Path) -> None:
    """What the dashboard's own process does with a file, before a worker gets it."""
    demand_onnx(path)
    demand_complete(path)
    model_digest(path)


@pytest.mark.timeout(600)
def test_data_elsewhere(noted: Noted, tmp_path: Path, workers: ReusedWorker) -> None:
    row = Row("external data and zips of it", len(ATTACKS), noted)
    for (_, _), (name, attack) in zip(row.cases(), ATTACKS.items(), strict=True):
        folder = tmp_path / name.replace("/", "_")[:40] / "model"
        folder.mkdir(parents=True)
        path = attack(folder)
        with row.tried(name), workers as worker:
            worker.run(run_source, ModelChoice(onnx=str(path)))
        if name not in HARMLESS:
            with pytest.raises(EngineError) as refusal:
                looked_at(path)
            assert "\x1b" not in str(refusal.value)
    row.check()
    assert row.outcomes["refused"] >= len(ATTACKS) - len(HARMLESS), row.outcomes


def test_the_same_without_an_attack_is_taken(tmp_path: Path, workers: ReusedWorker) -> None:
    (tmp_path / "zip").mkdir()
    for path in (described()(tmp_path), zipped({DATA: SECRET.tobytes()})(tmp_path / "zip")):
        looked_at(path)
        with workers as worker:
            assert worker.run(run_source, ModelChoice(onnx=str(path)))
