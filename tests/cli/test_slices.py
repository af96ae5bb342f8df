"""The command slices, on a run made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import engine
from engine.cli.main import main
from tests.helpers.tiny_run import tiny_run


def test_groups_have_tables_and_json(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_run(tmp_path / "run").folder
    command = ["slices", "--run", str(folder), "--images", str(photos), "--variants", "int8"]
    target = tmp_path / "S.json"
    assert main([*command, "--json", str(target)]) == 0
    shown = capsys.readouterr().out
    assert "Brightness: like original / right" in shown
    assert "int8 keeps every answer in every slice." in shown or "No slice is proven" in shown
    measured = engine.slices(folder, photos, variants=["int8"])
    assert json.loads(target.read_text()) == measured.to_dict()
    assert {part.kind for part in measured.slices} == {"answer", "brightness", "size"}
    assert main([*command, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["variants"] == ["int8"]
