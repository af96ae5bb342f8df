from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.errors import OptionError, RunError
from engine.runs.manifest import FILE_NAME
from engine.runs.run import Run, existing_run
from engine.runs.staging import fresh_staging_folder, move_into_place
from tests.helpers.factories import artifact, manifest


def written(folder: Path) -> Run:
    folder.mkdir(exist_ok=True)
    content = {"float32": b"one", "int8": b"two"}
    artifacts = []
    for name, data in content.items():
        (folder / f"{name}.tflite").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        artifacts.append(replace(artifact(name, len(data)), sha256=digest))
    made = replace(manifest(), artifacts=tuple(artifacts))
    (folder / FILE_NAME).write_bytes(made.to_json())
    return Run.open(folder)


def test_what_a_run_knows(tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    assert run.variants == ("float32", "int8")
    assert run.columns == ("original", "onnx", "float32", "int8")
    assert run.file("int8").read_bytes() == b"two"
    assert run.layout("int8") == run.layout("original") == "NCHW"
    with pytest.raises(OptionError, match="the variant 'int4'"):
        run.artifact("int4")
    with pytest.raises(OptionError, match="'int4'"):
        run.check_columns(("original", "int4"))


@pytest.mark.parametrize("file", ["../secret", "/etc/passwd", "", "linked"])
def test_a_run_names_no_files_outside_of_its_folder(tmp_path: Path, file: str) -> None:
    run = written(tmp_path / "run")
    (tmp_path / "secret").write_text("x")
    (run.folder / "linked").symlink_to(tmp_path / "secret")
    first, *rest = run.manifest.artifacts
    changed = replace(run.manifest, artifacts=(replace(first, file=file), *rest))
    (run.folder / FILE_NAME).write_bytes(changed.to_json())
    with pytest.raises(RunError, match="files of its own folder alone"):
        Run.open(run.folder)


def test_names_of_variants_that_are_no_names(tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    changed = replace(run.manifest, artifacts=(replace(run.manifest.artifacts[0], variant="a/b"),))
    (run.folder / FILE_NAME).write_bytes(changed.to_json())
    with pytest.raises(RunError, match="the variant 'a/b'"):
        Run.open(run.folder)


def test_select_tf_variants_are_not_runnable(tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    flex = replace(run.artifact("int8"), operators={"FlexErf": 1})
    made = replace(run.manifest, artifacts=(run.artifact("float32"), flex))
    assert Run(run.folder, made).runnable == ("float32",)


def test_damage_is_found(tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    assert run.damaged() == ()
    run.file("int8").write_bytes(b"twO")
    run.file("float32").unlink()
    assert run.damaged() == ("float32.tflite", "int8.tflite")


def test_existing_run(tmp_path: Path) -> None:
    assert existing_run(tmp_path / "nowhere") is None
    (tmp_path / "empty").mkdir()
    assert existing_run(tmp_path / "empty") is None
    written(tmp_path / "run")
    assert existing_run(tmp_path / "run") is not None
    with pytest.raises(RunError, match="something that is not a run"):
        existing_run(tmp_path)


def test_a_side_folder_never_stays(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "run"

    def fail() -> None:
        with fresh_staging_folder(place) as side:
            (side / "file").write_text("half made")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(place.parent.iterdir()) == []


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunError, match="nothing can be written"),
        fresh_staging_folder(tmp_path / "file" / "run"),
    ):
        pass


def test_a_new_run_moves_whole_and_an_old_one_grows(tmp_path: Path) -> None:
    place = tmp_path / "run"
    with fresh_staging_folder(place) as side:
        written(side)
        move_into_place(side, place)
    (place / "kept").write_text("kept")
    with fresh_staging_folder(place) as side:
        run = written(side)
        (side / "work").mkdir()
        (side / "work" / "new").write_text("new")
        changed = replace(run.manifest, opset=14)
        (side / FILE_NAME).write_bytes(changed.to_json())
        move_into_place(side, place)
    assert Run.open(place).manifest.opset == 14
    assert (place / "kept").exists()
    assert (place / "work" / "new").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
