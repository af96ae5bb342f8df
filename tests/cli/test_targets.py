"""The command targets, on a run made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import engine
from engine.cli.main import main
from engine.runs.request import ConvertRequest
from engine.runs.run import Run
from tests.helpers.tiny_run import tiny_run


def test_a_run_has_a_table_a_target_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_run(tmp_path / "run").folder
    command = ["targets", "--run", str(folder), "--targets", "edge-tpu,old-runtimes"]
    target = tmp_path / "T.json"
    assert main([*command, "--json", str(target)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("int8 runs whole on 2 of 2 targets.")
    assert "Where the files of run run" in shown
    assert "Coral Edge TPU: rule by the rules of its documentation" in shown
    assert "refused: RESHAPE" in shown
    assert "From TFLite 1.5 on, for RESHAPE version 1." in shown
    content = json.loads(target.read_text())
    assert [cell["answer"]["support"] for cell in content["cells"]] == [
        "refused",
        "whole",
        "whole",
        "whole",
    ]
    frame = engine.targets(folder, targets=["edge-tpu"]).to_frame()
    assert list(frame["support"]) == ["refused", "runs whole"]
    assert main([*command, "--variants", "int8", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["variants"] == ["int8"]


def test_pictures_are_shown_to_targets_that_compute(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_run(tmp_path / "run").folder
    command = ["targets", "--run", str(folder), "--targets", "microcontroller"]
    assert main([*command, "--variants", "int8", "--images", str(photos), "--count", "2"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Its answers on 2 pictures equal those of LiteRT's reference kernels" in shown


def test_a_wrong_target_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_run(tmp_path / "run").folder
    assert main(["targets", "--run", str(folder), "--targets", "toaster"]) == 2
    assert "'toaster'; expected one of android-gpu, cpu" in capsys.readouterr().err


def test_convert_makes_what_suits_a_target_and_says_how_to_ask_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, requests = tiny_run(tmp_path / "run"), list[ConvertRequest]()

    def convert_request(request: ConvertRequest, host: object) -> Run:
        requests.append(request)
        return run

    monkeypatch.setattr("engine.tasks.convert.convert_request", convert_request)
    assert main(["convert", "--target", "microcontroller", "--target", "edge-tpu"]) == 0
    assert f"--run {run.folder} --targets microcontroller,edge-tpu" in capsys.readouterr().out
    engine.convert(targets=["microcontroller"], variants="int8_per_tensor")
    assert [request.variants for request in requests] == [("int8",), ("int8_per_tensor",)]
