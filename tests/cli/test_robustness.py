"""The command robustness, on a run made by hand; and the report that shows what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import engine
from engine.cli.main import main
from engine.images.changes import SCALES
from tests.helpers.tiny_run import tiny_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_run(tmp_path / "run").folder


@pytest.mark.slow
def test_a_set_has_tables_and_json_and_is_in_the_report(
    folder: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "changed" not in engine.report(folder, photos).to_html().split('id="')
    command = ["robustness", "--run", str(folder), "--images", str(photos)]
    target = tmp_path / "R.json"
    assert main([*command, "--changes", "brightness,crop", "--json", str(target)]) == 0
    shown = capsys.readouterr().out
    assert "Crop on 5 pictures: like original / as before" in shown
    assert "5 / 5" in shown
    content = json.loads(target.read_text())
    assert len(content["points"]) == 3 * (7 + 7)  # six strengths and none, of two kinds
    report = engine.report(folder, photos)
    assert report.to_dict()["robustness"] == content
    page = report.to_html()
    assert 'id="changed"' in page
    assert 'id="same-crop"' in page
    assert 'id="stable-brightness"' in page
    assert main([*command, "--changes", "crop", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["reference"] == "original"


def test_one_picture_has_its_strengths(
    folder: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(photos / "photo_0.png")
    command = ["robustness", "--run", str(folder), "--picture", picture, "--changes", "noise"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "photo_0.png: the least Noise that changes an answer" in shown
    assert "Tried: 20 strengths" in shown
    assert main([*command, "--variants", "int8", "--json", "-"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [flip["model"] for flip in content["flips"]] == ["original", "int8"]
    assert content["tried"] == {"noise": list(SCALES["noise"].search)}


@pytest.mark.parametrize("words", [[], ["--images", "a", "--picture", "b"]])
def test_pictures_come_from_one_option(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["robustness", "--run", str(folder), *words]) == 2
    assert "Choosing the pictures" in capsys.readouterr().err


def test_wrong_names_are_a_mistake(
    folder: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["robustness", "--run", str(folder), "--images", str(photos)]
    assert main([*command, "--changes", "fog"]) == 2
    assert "'fog'; expected one of crop, rotation" in capsys.readouterr().err
