"""One click over adb: a stand-in ``adb`` on the path, and each thing that can be missing."""

from __future__ import annotations

from pathlib import Path

import pytest

import engine
from engine.cli.main import main
from engine.core.errors import ConversionError, FileError, OptionError
from engine.deployment.adb import VARIABLE, find_phone
from engine.deployment.phone import benchmarks_of
from engine.runs.run import Run
from tests.helpers.phone import PROGRAM, left_on, plug_in
from tests.helpers.tiny_run import tiny_run

HEAD = "List of devices attached\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    # Names with spaces and quotes: the phone's shell reads them.
    return tiny_run(tmp_path / "a run of 'mine'")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "benchmark model"
    file.write_text(PROGRAM)
    return file


def test_files_are_pushed_timed_and_removed_again(
    run: Run, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.deployment.adb.model_file", lambda *_: "it's a; `model` $x.tflite")
    home = plug_in(tmp_path, monkeypatch)
    first, second = engine.time_on_phone(run, benchmark_model=program)
    assert (first.variant, second.variant, first.phone) == ("float32", "int8", "Pixel 9")
    assert (first.timing.mean_ms, first.timing.median_ms) == (12.0345, 11.99)
    assert first.timing.memory_bytes == 9.5 * 2**20
    assert {kept.variant for kept in benchmarks_of(run)} == {"float32", "int8"}
    assert left_on(home) == []
    assert all(line.startswith("-s R58M ") for line in (home / "calls").read_text().splitlines())


@pytest.mark.slow
def test_the_command_sets_them_beside_this_machine(
    run: Run,
    program: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plug_in(tmp_path, monkeypatch)
    command = ["phone", "--run", str(run.folder), "--variants", "int8"]
    assert main([*command, "--benchmark-model", str(program)]) == 0
    shown = capsys.readouterr().out
    assert "on Pixel 9 and on this machine" in shown
    assert "12.0" in shown
    assert "10.0 MB" in shown
    assert main(command) == 2
    assert "no benchmark_model for the phone" in capsys.readouterr().err
    monkeypatch.setenv(VARIABLE, str(program))
    assert main(command) == 0


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (HEAD, "no phone; expected one that adb sees"),
        (f"{HEAD}A1 unauthorized usb:1\n", r"the phone A1, unauthorized.*allow this machine"),
        (f"{HEAD}A1 offline usb:1\n", "the phone A1, offline"),
        (f"{HEAD}A1 no permissions (user in plugdev group); see [x]\n", "A1, no permissions"),
        (f"{HEAD}A1 device model:A\nB2 device model:B\n", "2 phones: A1 and B2"),
        ("* daemon started successfully\n", "no phone"),
    ],
)
def test_what_adb_sees_instead_of_one_phone_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: str, message: str
) -> None:
    plug_in(tmp_path, monkeypatch, devices)
    with pytest.raises(OptionError, match=message):
        find_phone()


def test_one_of_several_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(tmp_path, monkeypatch, f"{HEAD}A1 unauthorized usb:1\nB2 device usb:2\n")
    assert find_phone() == find_phone("B2")
    assert find_phone().name == "B2"
    with pytest.raises(OptionError, match="the phone A1, unauthorized"):
        find_phone("A1")
    with pytest.raises(OptionError, match="no phone C3"):
        find_phone("C3")


def test_without_adb_or_the_program_it_says_what_is_missing(
    run: Run, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OptionError, match="no adb on the path"):
        engine.time_on_phone(run, benchmark_model=program)
    with pytest.raises(OptionError, match=r"no file .*nothing"):
        engine.time_on_phone(run, benchmark_model=tmp_path / "nothing")


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        ("#!/bin/sh\necho Killed; exit 137\n", ConversionError, "exit code 137 of adb shell"),
        ("#!/bin/sh\necho nothing of use\n", FileError, "a text that begins 'nothing of use'"),
        ("", ConversionError, "No space left on device"),
    ],
)
def test_a_phone_that_fails_midway_is_a_sentence_and_keeps_no_files(
    run: Run,
    program: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: str,
    error: type[Exception],
    message: str,
) -> None:
    home = plug_in(tmp_path, monkeypatch)
    if lines:
        program.write_text(lines)
    else:
        (home / "full").touch()
    with pytest.raises(error, match=message):
        engine.time_on_phone(run, variants=["int8"], benchmark_model=program)
    assert left_on(home) == []
    assert benchmarks_of(run) == ()
