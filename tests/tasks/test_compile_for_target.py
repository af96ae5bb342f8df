"""Files compiled for a target, kept in the run by content, and taken home."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import engine
from engine.cli.main import main
from engine.core.errors import OptionError
from engine.portability.catalog import target_named
from engine.runs.manifest import FILE_NAME
from engine.runs.run import Run
from engine.tasks import compile_for_target as task
from engine.tasks import targets as targets_task
from engine.tasks.compile_for_target import compile_for_target, compiled_file
from engine.tflite.artifact import artifact_of
from engine.workers.process import Foreground, Worker
from tests.helpers.tiny_quantized import healthy
from tests.helpers.tiny_run import tiny_run

NPU = "ethos-u55-128"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = tiny_run(tmp_path / "run")
    # The helper's file holds a RESHAPE alone, which Vela leaves to the processor.
    file = made.folder / "int8.tflite"
    file.write_bytes(healthy(layers=2, channels=8, pictures=1).int8_file())
    artifact = artifact_of(file, variant="int8", layout="NHWC")
    manifest = replace(made.manifest, artifacts=(made.artifact("float32"), artifact))
    (made.folder / FILE_NAME).write_bytes(manifest.to_json())
    return Run.open(made.folder)


@pytest.mark.slow
def test_a_file_is_compiled_once_and_taken_home(
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert compiled_file(run, "int8", target_named(NPU)) is None
    folder = tmp_path / "home" / "compiled"
    command = ["targets", "--run", str(run.folder), "--targets", NPU]
    command += ["--variants", "int8", "--save", str(folder)]
    assert main(command) == 0
    (file,) = folder.iterdir()
    assert file.name == f"tiny_int8_{NPU}.tflite"
    assert str(file.name) in capsys.readouterr().out.replace("\n", "")
    assert main([*command[:-1], str(file)]) == 2
    assert "Choose another folder." in capsys.readouterr().err
    inside = compiled_file(run, "int8", target_named(NPU))
    assert inside is not None
    assert file.read_bytes() == inside.read_bytes()

    def no_worker(*_: object) -> Worker:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(task, "Worker", no_worker)
    assert engine.compile_for(run, "int8", NPU) == inside
    inside.write_bytes(b"damaged")
    with pytest.raises(AssertionError, match="a worker was started"):
        compile_for_target(run, "int8", NPU, Foreground())


def test_a_target_without_a_compiler_is_a_mistake(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="Take the variant's own file there"):
        compile_for_target(run, "int8", "edge-tpu", Foreground())
    for module in (task, targets_task):
        monkeypatch.setattr(module, "has_tool", lambda _: False)
    with pytest.raises(OptionError, match="'ethos-u55-128' without ethos-u-vela"):
        compile_for_target(run, "int8", NPU, Foreground())
    command = ["targets", "--run", str(run.folder), "--targets", NPU, "--save"]
    assert main([*command, str(tmp_path / "x")]) == 2
    assert "no variant that runs on a target with a compiler" in capsys.readouterr().err
