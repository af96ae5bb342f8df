"""The code that pages show is run."""

from __future__ import annotations

import ast
import contextlib
import io
import shutil
from pathlib import Path

import pytest

from engine.reporting.snippets import snippet
from engine.runs.run import WORK, Run
from pages.shell.navigation import CHAPTERS
from tests.helpers.tiny_run import tiny_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = tiny_run(tmp_path / "tiny")
    (made.folder / WORK).mkdir()
    shutil.copyfile(made.file("float32"), made.folder / WORK / "float32.tflite")
    return made


def ran(code: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "snippet", "exec"), {})
    return printed.getvalue()


def test_the_code_of_every_view_runs(run: Run, photos: Path) -> None:
    files = sorted(photos.iterdir())
    texts = {
        view: ran(snippet(view, run, files))
        for view in (
            "overview",
            "convert",
            "predictions",
            "logit_differences",
            "layers",
            "run_details",
        )
    }
    assert texts["overview"].startswith("Ship float32: same answer on all 5 pictures")
    assert "int8" in texts["layers"]
    assert "RESHAPE" in texts["run_details"]


def test_the_code_of_accuracy_counts_right_answers(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(photos.iterdir())
    lines = ["filename,class_index", *(f"{file.name},0" for file in files)]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    printed = ran(snippet("accuracy", run, files)).splitlines()
    assert [line.split()[0] for line in printed] == ["float32", "int8"]


@pytest.mark.slow
def test_the_code_of_deploy_makes_a_kit(run: Run, photos: Path) -> None:
    printed = ran(snippet("deploy", run, sorted(photos.iterdir())))
    assert Path(printed.strip()).suffix == ".zip"


def test_every_page_has_code(run: Run, photos: Path) -> None:
    for chapter in CHAPTERS:
        assert snippet(chapter.stem, run, sorted(photos.iterdir())), chapter.title


@pytest.mark.parametrize("view", ["improve", "latency_and_size", "calibration"])
def test_code_that_takes_long_is_python(view: str, run: Run, photos: Path) -> None:
    assert ast.parse(snippet(view, run, sorted(photos.iterdir())))


def test_pictures_are_a_folder_where_they_are_all_of_it(run: Run, photos: Path) -> None:
    files = sorted(photos.iterdir())
    assert f"engine.report(run, {str(photos)!r}" in snippet("logit_differences", run, files)
    assert "photo_0.png', '" in snippet("logit_differences", run, files[:2])
    assert snippet("nothing", run, files) == ""
