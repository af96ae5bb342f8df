"""The command sweep, without its work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine import api
from engine.cli.main import main
from engine.images.preprocess import PreprocessChoice
from engine.quantization.recipes import RANGE_METHODS
from tests.helpers.sweeps import SETTLED, sweep


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the functions of the engine were called with."""
    seen: dict[str, Any] = {}

    def converted(name: str, **options: Any) -> str:
        seen["convert"] = {"model": name} | options
        return "made"

    def swept(run: str, images: str, **options: Any) -> Any:
        seen["sweep"] = {"run": run, "images": images} | options
        return sweep(SETTLED)

    monkeypatch.setattr(api, "convert", converted)
    monkeypatch.setattr(api, "sweep", swept)
    return seen


def test_a_run_is_swept_and_the_table_written(
    calls: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, rows = tmp_path / "t.csv", tmp_path / "t.json"
    words = "--recipes int8,int8_mixed(k=2) --counts 8,16 --seeds 4 --ranges mse,entropy"
    files = ["--out", str(table), "--json", str(rows)]
    assert main(["sweep", "--run", "R", "--images", "I", *words.split(), *files]) == 0
    assert "convert" not in calls
    asked = calls["sweep"]
    assert (asked["run"], asked["images"], asked["calibration"]) == ("R", "I", None)
    assert asked["recipes"] == ("int8", "int8_mixed(k=2)")
    assert (asked["counts"], asked["seeds"]) == ((8, 16), (4,))
    assert (asked["ranges"], asked["dask"]) == (("mse", "entropy"), None)
    assert len(pd.read_csv(table)) == len(json.loads(rows.read_text())) == 16
    said = capsys.readouterr().out
    assert "16 calibration pictures are enough" in said
    assert "50.0 % less error than min_max" in said
    assert "250 pictures that no calibration used" in said


def test_without_a_run_one_is_made_of_the_options_of_a_model(calls: dict[str, Any]) -> None:
    words = "--model resnet18 --random-weights --mean 0.5 --calibration C --images I --dask local"
    assert main(["sweep", *words.split()]) == 0
    made = calls["convert"]
    assert made["model"] == "resnet18"
    assert made["random_weights"]
    assert made["preprocess"] == PreprocessChoice(mean=(0.5,))
    assert (made["variants"], made["calibration"]) == ("float32", "C")
    assert calls["sweep"]["run"] == "made"
    assert calls["sweep"]["dask"] == "local"
    assert calls["sweep"]["ranges"] == tuple(RANGE_METHODS)
    assert calls["sweep"]["seeds"] == (0, 1, 2)


def test_json_on_standard_output_is_alone(
    calls: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "--run", "R", "--images", "I", "--json", "-"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 16
