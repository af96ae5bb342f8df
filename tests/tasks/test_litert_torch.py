from __future__ import annotations

import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import engine
from engine.cli.main import main
from engine.core.errors import ConversionError, OptionError
from engine.core.store import CALIBRATION_IMAGES, SAMPLE_IMAGES
from engine.core.types import Progress
from engine.quantization.calibration import CalibrationChoice, representative_dataset
from engine.runs import runners as sources
from engine.runs.run import Run
from engine.tasks import litert_torch as route
from engine.tasks.litert_torch import RouteRequest
from engine.workers.process import Foreground
from tests.helpers.tiny_run import SIDE, tiny_run

# Stands for the Python of the other environment: says what it was given, as the script would.
STUB = """#!{python}
import os, sys, pathlib
assert sys.argv[1:3] == ["-m", "engine.conversion.litert_torch_script"], sys.argv
folder = pathlib.Path(sys.argv[3])
if os.environ.get("FAIL"):
    sys.exit("RuntimeError: no lowering for aten.stft")
(folder / "float32.tflite").write_text(" ".join(sys.argv[4:]))
(folder / "float32.txt").write_text("litert-torch 9.9")
"""


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "python"
    file.write_text(STUB.format(python=sys.executable))
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(route.PYTHON_VARIABLE, str(file))
    monkeypatch.setattr(sources, "original_network", lambda run: torch.nn.Flatten())


@pytest.fixture
def request_(tmp_path: Path) -> RouteRequest:
    run = tiny_run(tmp_path / "run")
    (tmp_path / "side").mkdir()
    return RouteRequest(run=str(run.folder), folder=str(tmp_path / "side"))


def test_without_its_packages_the_message_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(route.PYTHON_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(OptionError, match="make setup-litert-torch"):
        route.check_route("torchvision")
    out = str(tmp_path / "run")
    assert main(["convert", "--route", "litert-torch", "--out", out]) == 2
    assert "make setup-litert-torch" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("stub")
def test_an_onnx_file_has_no_network_to_hand_over(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="a PyTorch network"):
        route.add_litert_torch(tiny_run(tmp_path / "run"), Foreground())


@pytest.mark.usefixtures("stub")
def test_the_network_and_the_pictures_are_handed_over(request_: RouteRequest) -> None:
    said: list[Progress] = []
    route.run_litert_torch(request_, said.append)
    side = Path(request_.folder)
    assert (side / "float32.tflite").read_text() == f"NHWC 3 {SIDE} {SIDE}"
    assert isinstance(torch.load(side / "network.pt", weights_only=False), torch.nn.Flatten)
    assert [step.stage for step in said][-1] == "Converting with litert-torch"
    # The run says it was calibrated on pictures that are no longer those: so there are none.
    assert not (side / "calibration.npy").exists()


def test_calibration_pictures_come_back_only_if_they_are_the_same(tmp_path: Path) -> None:
    folder = tiny_run(tmp_path / "run").folder
    info = representative_dataset(CalibrationChoice(count=6), CALIBRATION_IMAGES).info
    known = Run.open(folder).manifest
    calibration = replace(known.calibration, digest=info.digest, count=6)
    (folder / "manifest.json").write_bytes(replace(known, calibration=calibration).to_json())
    inputs = route._calibration_inputs(Run.open(folder))
    assert inputs is not None
    assert inputs.shape == (6, SIDE, SIDE, 3)
    assert inputs.dtype == np.float32


@pytest.mark.usefixtures("stub")
def test_a_failure_over_there_is_told(
    request_: RouteRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(ConversionError, match=r"no lowering for aten\.stft"):
        route.run_litert_torch(request_, lambda _: None)


@pytest.mark.slow
def test_the_real_route(tmp_path: Path) -> None:
    if route.PYTHON_VARIABLE not in os.environ:
        pytest.skip(f"a minute of work; set {route.PYTHON_VARIABLE} to run it")
    run = engine.convert(
        variants=["int8"], calibration_count=4, routes=["litert-torch"], out=tmp_path / "run"
    )
    assert [added.artifact.variant for added in run.added] == [
        "litert_torch_float32",
        "litert_torch_int8",
    ]
    assert "litert-torch 0." in run.added[0].origin
    comparison = engine.compare(run, SAMPLE_IMAGES)
    assert comparison.variant("litert_torch_float32").logit_rms < 1e-4
