"""Changed .tflite files as files from elsewhere, and in comparisons."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.cli.main import main
from engine.images.pictures import pictures_in
from engine.runs.external_files import remove_file
from engine.tasks import add_file as add_file_module
from engine.tasks import evaluate
from engine.tasks.add_file import add_file
from engine.workers import process as host
from tests.helpers.tiny_quantized import Tiny
from tests.helpers.tiny_run import SIDE, STEP, tiny_run
from tests.helpers.tiny_tflite import reshape_file
from tests.hostile.mutants import mutant
from tests.hostile.reused_worker import ReusedWorker
from tests.hostile.rows import Noted, Row, Scaled

pytestmark = pytest.mark.hostile


def seeds_of_mutants(folder: Path) -> list[bytes]:
    """Whole files that fit the tiny run."""
    rng = np.random.default_rng(0)
    tiny = Tiny(
        weights=(rng.normal(size=(8, 3)), rng.normal(size=(3, 8))),
        biases=(rng.normal(size=8), rng.normal(size=3)),
        pictures=rng.normal(size=(2, SIDE, SIDE, 3)),
    )
    shape = (1, SIDE, SIDE, 3)
    return [
        reshape_file(folder / "a.tflite", shape).read_bytes(),
        reshape_file(folder / "b.tflite", shape, dtype="int8", scale=STEP).read_bytes(),
        tiny.float_file(),
        tiny.int8_file(),
    ]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReusedWorker]:
    kept = ReusedWorker()
    monkeypatch.setattr(add_file_module, "Worker", kept)
    monkeypatch.setattr(add_file_module, "TRIAL_SECONDS", 6.0)
    monkeypatch.setattr("engine.workers.process.Worker", kept)
    yield kept
    kept.close()


@pytest.mark.timeout(1200)
def test_changed_files(
    scaled: Scaled, noted: Noted, tmp_path: Path, photos: Path, workers: ReusedWorker
) -> None:
    row = Row("mutated .tflite", scaled(970), noted)
    run = tiny_run(tmp_path / "run")
    pictures = pictures_in(photos)[:1]
    whole = seeds_of_mutants(tmp_path)
    for data in whole:
        (tmp_path / "x.tflite").write_bytes(data)
        add_file(run, "whole", tmp_path / "x.tflite", host.Foreground())
    run = remove_file(type(run).open(run.folder), "whole")
    for number, rng in row.cases():
        (tmp_path / "x.tflite").write_bytes(mutant(rng.choice(whole), rng))
        with row.tried(number, "taken and compared"):
            grown = add_file(run, "theirs", tmp_path / "x.tflite", host.Foreground())
            try:
                evaluate.compute_logits(grown, pictures, ("theirs",), host.Foreground())
            finally:
                run = remove_file(grown, "theirs")
    row.check()
    assert len(list((run.folder / "also").iterdir())) == 0


@pytest.mark.timeout(900)
def test_changed_files_on_the_command_line(
    scaled: Scaled,
    noted: Noted,
    tmp_path: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: object,
) -> None:
    row = Row("mutated .tflite, compare --also", scaled(30), noted)
    monkeypatch.setattr(add_file_module, "TRIAL_SECONDS", 6.0)
    run = tiny_run(tmp_path / "run")
    whole = seeds_of_mutants(tmp_path)
    words = ["compare", "--run", str(run.folder), "--images", str(photos), "--json"]
    for number, rng in row.cases():
        file = tmp_path / f"theirs{number}.tflite"
        file.write_bytes(mutant(rng.choice(whole), rng))
        code = main([*words, str(tmp_path / "C.json"), "--also", f"t{number}={file}"])
        row.outcomes[{0: "taken and compared", 2: "refused"}.get(code, f"EXIT {code}")] += 1
        if code == 0:
            main(["files", "--run", str(run.folder), "--remove", f"t{number}"])
    row.check()
    assert set(row.outcomes) <= {"taken and compared", "refused"}


@pytest.mark.timeout(120)
def test_without_the_worker_the_process_dies(tmp_path: Path) -> None:
    """The attack works where files are opened in the same process, without a look before."""
    for number, data in enumerate(seeds_of_mutants(tmp_path)):
        (tmp_path / f"{number}.tflite").write_bytes(data)
    command = [sys.executable, "-m", "tests.hostile.open_in_process", str(tmp_path), "20000"]
    try:
        code = subprocess.run(command, capture_output=True, timeout=60, check=False).returncode
    except subprocess.TimeoutExpired:
        return  # one hung it, which is no better
    assert code < 0, "20,000 changed files killed nothing"
