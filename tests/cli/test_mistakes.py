"""Mistakes of a person on the command line: one message, exit code 2, nothing left behind."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.cli.main import commands, main
from engine.deployment.adb import VARIABLE
from tests.helpers.phone import plug_in
from tests.helpers.tiny_run import tiny_run

MARKER = "ran"
WITH_COMMA = "int8_optimized(count=8,seed=1)"


class Command:
    """A pickle that would touch a file when opened."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self._marker,)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "random.pth").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "random.onnx").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps(Command(tmp_path / MARKER)))
    torch.save({"layer.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    (tmp_path / "empty").mkdir()
    return tmp_path


CONVERT = {
    "random bytes as a checkpoint": ("--checkpoint {}/random.pth", "no checkpoint"),
    "random bytes as ONNX": ("--onnx {}/random.onnx", "not an ONNX model"),
    "a pickle that runs a command": ("--checkpoint {}/pickle.pth", "expected a state dict"),
    "another network's state dict": ("--checkpoint {}/other.pth", "unexpected: layer.weight"),
    "an empty calibration folder": ("--calibration {}/empty", "no picture in"),
    "an absent calibration folder": ("--calibration {}/nowhere", "not there"),
    "an unknown variant": ("--variants int4", "'int4'"),
    "an unknown target": ("--target toaster", "'toaster'"),
    "a variant that a target refuses": (
        "--target microcontroller --variants int8,float16",
        "float16 for Microcontroller",
    ),
    "no variant": ("--variants ,", "Choosing the variants"),
    "an unknown model": ("--model efficientnet_lite9", "efficientnet_lite0"),
    "an absent checkpoint": ("--checkpoint {}/nowhere.pth", "cannot be read"),
    "an opset out of range": ("--opset 18", "9 to 17"),
    "an opset that is no number": ("--opset low", "neither a number nor auto"),
    "an opset for an ONNX file": ("--onnx {}/random.onnx --opset 13", "has its own"),
    "a model above 2 GB": ("--model vit_h_14 --random-weights", "2.53 GB in float32"),
    "a mean of two numbers": ("--mean 0.5,0.5", "three numbers"),
    "a size that is not one": ("--input-size big", "not a valid integer"),
    "a std of zero": ("--std 0", "std"),
    "ONNX and checkpoint at once": ("--onnx {0}/random.onnx --checkpoint {0}/random.pth", "alone"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", CONVERT)
def test_convert(mistake: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, found = CONVERT[mistake]
    out = files / "out" / "run"
    assert main(["convert", *words.format(files).split(), "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert found in message
    assert "Traceback" not in message
    assert not (files / MARKER).exists()
    assert list((files / "out").rglob("*")) == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("compare --run {}/nowhere --images {}", "no manifest.json"),
        ("latency --run {}/nowhere", "no manifest.json"),
        ("report-json --run {}/nowhere", "no manifest.json"),
        ("compare --run {} --images {} --min-agreement int8", "int8=0.97"),
        ("compare --images {}", "Missing option '--run'"),
        ("transmogrify", "No such command"),
    ],
)
def test_other_commands(
    words: str, found: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.format(files, files).split()) == 2
    message = capsys.readouterr().err
    assert found in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "words",
    [
        "compare --images {photos}",
        "latency",
        "phone",
        "robustness --images {photos}",
        "slices --images {photos}",
        "targets",
    ],
)
def test_commas_within_brackets_part_no_variants(
    words: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plug_in(tmp_path, monkeypatch)
    (tmp_path / "program").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "program"))
    run = tiny_run(tmp_path / "run")
    names = f"int8, {WITH_COMMA}"
    command = [*words.format(photos=photos).split(), "--run", str(run.folder), "--variants", names]
    assert main(command) == 2
    assert f"'{WITH_COMMA}'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_process_ends_with_2_and_one_message(files: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine", "convert", "--checkpoint", str(files / "pickle.pth")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("Error:") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", commands.commands)
def test_help_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert "Examples:" in capsys.readouterr().out
