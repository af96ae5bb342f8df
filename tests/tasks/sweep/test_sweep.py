"""Sweeps of a real, small network: ended half way, on Dask, and against convert."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image

import engine
from engine.cli.main import main
from engine.core.errors import OptionError, PictureError, RunError
from engine.core.store import CALIBRATION_IMAGES, HOME_VARIABLE
from engine.core.types import Progress
from engine.images.pictures import pictures_in
from engine.quantization.calibration import CalibrationChoice, CalibrationInfo
from engine.runs.request import ConvertRequest
from engine.runs.run import REQUEST, WORK, Run
from engine.tasks.sweep.sweep import SweepChoice, basis_of, own_calibration, sweep
from engine.workers.dask import LOCAL
from engine.workers.process import Foreground
from tests.helpers.tiny_run import tiny_run
from tests.networks.test_own_onnx import SIZE, classifier

CHOICE = {"recipes": ["int8"], "counts": [4, 8], "seeds": [0, 1], "ranges": ["min_max", "mse"]}
CELLS = 8
ROOT = Path(__file__).parent.parent.parent.parent


def noise(folder: Path, count: int, seed: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for index in range(count):
        pixels = rng.integers(0, rng.integers(60, 256), (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02}.png")
    return folder


def test_pictures_that_calibration_may_use_are_left_out(tmp_path: Path, photos: Path) -> None:
    run = tiny_run(tmp_path / "run")
    calibration = noise(tmp_path / "calibration", 4, 0)
    own = pictures_in(photos)
    basis, shown = basis_of(run, (*own, *pictures_in(calibration)[:2]), str(calibration))
    assert shown == own
    assert (basis.available, basis.pictures, basis.left_out) == (4, 5, 2)
    demo, _ = basis_of(run, own, None)
    assert (demo.available, demo.calibration) == (None, None)
    assert demo.key != basis.key
    with pytest.raises(PictureError, match="4 pictures, all of which calibration may use"):
        basis_of(run, pictures_in(calibration), str(calibration))
    with pytest.raises(PictureError, match="crops of the supplied pictures"):
        basis_of(run, pictures_in(CALIBRATION_IMAGES), None)


def test_the_key_follows_what_figures_depend_on(tmp_path: Path, photos: Path) -> None:
    run = tiny_run(tmp_path / "run")
    calibration = noise(tmp_path / "calibration", 4, 0)
    pictures = pictures_in(photos)

    def key(run: Run = run, pictures: tuple = pictures) -> str:
        return basis_of(run, pictures, str(calibration))[0].key

    first = key()
    assert key() == first
    assert key(pictures=pictures[1:]) != first
    assert key(replace(run, manifest=replace(run.manifest, key="other"))) != first
    (run.folder / WORK).mkdir()
    (run.folder / WORK / "float32.tflite").write_bytes(b"other")
    assert key() != first
    before = key()
    noise(tmp_path / "more", 1, 9).joinpath("00.png").rename(calibration / "more.png")
    assert key() != before


def test_the_runs_own_calibration_is_the_default(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    assert own_calibration(run) is None
    known = CalibrationInfo(100, 0, "2" * 64, False, "/from_the_manifest")
    assert own_calibration(replace(run, manifest=replace(run.manifest, calibration=known))) == (
        "/from_the_manifest"
    )
    (run.folder / WORK).mkdir()
    request = ConvertRequest(calibration=CalibrationChoice(folder="/photos"))
    (run.folder / REQUEST).write_bytes(msgspec.json.encode(request))
    assert own_calibration(run) == "/photos"


def test_mistakes_come_before_any_work(tmp_path: Path, photos: Path) -> None:
    run = tiny_run(tmp_path / "run")
    pictures = pictures_in(photos)
    with pytest.raises(OptionError, match="the address of a scheduler"):
        sweep(run, pictures, Foreground(), SweepChoice(), dask="nowhere")
    with pytest.raises(RunError, match="no SavedModel"):
        sweep(run, pictures, Foreground(), SweepChoice(counts=(4,)))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--counts 8,x", "not a list of whole numbers"),
        ("--out table.txt", ".csv or .parquet"),
        ("--model resnet18", "--run and --model at once"),
        ("--ranges middle", "ranges by 'middle'"),
        ("--recipes float16", "needs no calibration"),
        ("--calibration {}/nowhere", "not there"),
    ],
)
def test_mistakes_on_the_command_line(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str], words: str, sentence: str
) -> None:
    tiny_run(tmp_path / "run")
    own = words.format(tmp_path).split()
    code = main(["sweep", "--run", str(tmp_path / "run"), "--images", str(photos), *own])
    assert code == 2
    assert sentence in capsys.readouterr().err


NAMES = ["int8(range=mse,count=8,seed=1)", "int8(count=4,seed=0)"]
"""Cells that the run has as variants, too."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and pictures to calibrate and to measure with."""
    folder = tmp_path_factory.mktemp("sweep")
    calibration = noise(folder / "calibration", 10, 1)
    noise(folder / "evaluation", 6, 2)
    file = classifier(folder / "own.onnx", shape=[1, 3, SIZE, SIZE])
    engine.convert(
        onnx=file,
        variants=["float32", *NAMES],
        calibration=calibration,
        calibration_count=10,
        out=folder / "run",
    )
    return folder


def stored(home: Path) -> dict[str, int]:
    """When each cell of a store was written."""
    return {f.name: f.stat().st_mtime_ns for f in home.glob("sweeps/*/cells/*.cell")}


def is_at_work(process: psutil.Process) -> bool:
    """Whether a process is more than an entry that nobody waits for."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def ended_half_way(place: Path, home: Path, table: Path) -> dict[str, int]:
    """Kill the command when it has made some cells; give these."""
    words = ["--recipes", "int8", "--counts", "4,8", "--seeds", "0,1", "--ranges", "min_max,mse"]
    command = [sys.executable, "-m", "engine", "sweep", "--run", str(place / "run")]
    process = subprocess.Popen(
        [*command, "--images", str(place / "evaluation"), *words, "--out", str(table)],
        cwd=ROOT,
        env=os.environ | {HOME_VARIABLE: str(home)},
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 400
    while len(stored(home)) < 2:
        assert time.monotonic() < end, "no cell was made"
        assert process.poll() is None, "the sweep ended before it was killed"
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(is_at_work(worker) for worker in workers):  # a worker sees that, and ends
        assert time.monotonic() < end, "a worker goes on"
        time.sleep(0.01)
    return stored(home)


@pytest.mark.slow
def test_a_sweep_that_was_killed_goes_on_and_dask_gives_the_same_table(
    place: Path, own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = engine.sweep(place / "run", place / "evaluation", **CHOICE)
    assert len(alone.cells) == len(stored(own_store)) == CELLS
    assert all(0 < cell.rms < 10 for cell in alone.cells)
    assert len({cell.sha256 for cell in alone.cells}) == CELLS
    run = Run.open(place / "run")
    cells = {cell.variant: cell for cell in alone.cells}
    assert [cells[name].sha256 for name in NAMES] == [run.artifact(n).sha256 for n in NAMES]
    assert run.variants == ("float32", *NAMES[::-1]), "nothing was added"

    other = tmp_path / "other_store"
    monkeypatch.setenv(HOME_VARIABLE, str(other))
    before = ended_half_way(place, other, tmp_path / "table.csv")
    assert 2 <= len(before) < CELLS
    assert not (tmp_path / "table.csv").exists()
    said: list[Progress] = []
    found = engine.sweep(
        place / "run", place / "evaluation", **CHOICE, dask=LOCAL, on_progress=said.append
    )
    after = stored(other)
    assert {name: after[name] for name in before} == before, "no cell was made twice"
    assert said[-1].total == CELLS - len(before)
    assert found.cells == alone.cells
    pd.testing.assert_frame_equal(found.to_frame(), alone.to_frame(), check_exact=True)
