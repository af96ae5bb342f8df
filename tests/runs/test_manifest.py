from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import engine
from engine.core.errors import ModelError, RunError
from engine.core.system import versions
from engine.images.pictures import Picture
from engine.images.preprocess import PreprocessChoice, PreprocessSpec
from engine.networks.source import ModelChoice
from engine.quantization.calibration import CalibrationChoice
from engine.runs.manifest import FILE_NAME, read_manifest
from engine.runs.request import ConvertRequest, command_line, run_key
from engine.runs.results import file_name, layers_file
from tests.helpers.factories import manifest
from tests.helpers.tiny_run import tiny_run

REQUEST = ConvertRequest(variants=("int8",))


def test_round_trip(tmp_path: Path) -> None:
    made = manifest()
    (tmp_path / FILE_NAME).write_bytes(made.to_json())
    assert read_manifest(tmp_path) == made


def test_answers_that_are_not_finite_are_read_from_older_runs(tmp_path: Path) -> None:
    older = json.loads(manifest().to_json())
    del older["checksum"], older["stages"][-1]["fault"]
    older["stages"][-1]["unchecked"] = "answers NaN or Inf"
    (tmp_path / FILE_NAME).write_text(json.dumps(older))
    *_, read = read_manifest(tmp_path).stages
    assert (read.fault, read.unchecked) == ("not_finite", None)


def test_keys_that_others_rely_on(tmp_path: Path) -> None:
    plain = json.loads(manifest().to_json())
    assert set(plain["stages"][0]) >= {"name", "seconds", "max_abs_error", "max_rel_error"}
    wanted = {"variant", "file", "bytes", "sha256", "operators", "inputs", "outputs"}
    assert set(plain["artifacts"][0]) >= wanted
    assert set(plain["artifacts"][0]["inputs"][0]) >= {"shape", "dtype", "scale", "zero_point"}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"{", "a damaged manifest"),
        (b'{"schema_version": 99}', "schema version 99"),
        (b'{"schema_version": 2}', "a damaged manifest"),
        (manifest().to_json().replace(b'"bytes": 100', b'"bytes": "many"'), "a damaged manifest"),
        (b"\xff\xff", "a damaged manifest"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(RunError, match=found):
        read_manifest(tmp_path)


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no manifest\.json"):
        read_manifest(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, opset=12),
        replace(REQUEST, allow_flex=True),
        replace(REQUEST, lowering="stock"),
        replace(REQUEST, input_layout="NCHW"),
        replace(REQUEST, model=ModelChoice(name="resnet18")),
        replace(REQUEST, model=ModelChoice(random_weights=True)),
        replace(REQUEST, preprocess=PreprocessChoice(input_size=256)),
        replace(REQUEST, preprocess=PreprocessChoice(mean=(0.5, 0.5, 0.5))),
    ],
)
def test_the_key_depends_on_what_the_run_is_made_from(other: ConvertRequest) -> None:
    assert run_key(other) != run_key(REQUEST)


def other_version(package: str | None) -> Callable[[str], str]:
    """Versions as they are, but one."""
    of = engine.core.system.package_version
    return lambda name: "99" if name == package else of(name)


def test_the_key_depends_on_our_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    key, fitting = run_key(REQUEST), PreprocessSpec().fitting_key
    for room in ("engine.core.system", "engine.runs.request", "engine.images.preprocess"):
        monkeypatch.setattr(f"{room}.__version__", "99")
    assert versions()["Quantization Lab"] == "99"
    assert run_key(REQUEST) != key
    assert PreprocessSpec().fitting_key != fitting


def test_pixels_of_another_pillow_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    known = PreprocessSpec().fitting_key
    monkeypatch.setattr("PIL.__version__", "99")
    assert PreprocessSpec().fitting_key != known


@pytest.mark.parametrize("package", ["onnxslim", "onnxscript", "onnx-ir", "onnx-tf", "tensorflow"])
def test_the_key_depends_on_what_makes_the_files(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = run_key(REQUEST)
    monkeypatch.setattr(engine.core.system, "package_version", other_version(package))
    assert versions()[package] == "99"
    assert run_key(REQUEST) != key


@pytest.mark.parametrize("package", ["onnxruntime", "ai-edge-litert", "torch", "pillow", None])
def test_answers_of_another_version_are_not_taken_for_those_of_this_one(
    package: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(tmp_path / "run")
    picture = Picture("a", tmp_path / "a", "1" * 64)

    def places() -> tuple[str, str, Path]:
        return (
            file_name(run, "original"),
            file_name(run, "int8"),
            layers_file(run, "int8", (picture,)),
        )

    before = places()
    if package is None:
        monkeypatch.setattr("engine.runs.manifest.__version__", "99")
    monkeypatch.setattr(engine.core.system, "package_version", other_version(package))
    assert not set(places()) & set(before)


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, variants=("float32",)),
        replace(REQUEST, out="elsewhere"),
        replace(REQUEST, calibration=CalibrationChoice(count=7)),
    ],
)
def test_the_key_does_not_depend_on_the_rest(other: ConvertRequest) -> None:
    assert run_key(other) == run_key(REQUEST)


def test_files_count_by_content(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (
        run_key(replace(REQUEST, model=ModelChoice(checkpoint=str(tmp_path / name))))
        for name in "abc"
    )
    assert a == b != c
    with pytest.raises(ModelError, match="cannot be read"):
        run_key(replace(REQUEST, model=ModelChoice(checkpoint=str(tmp_path / "d"))))


def test_pipes_and_devices_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (str(tmp_path / "pipe"), os.devnull):
        for model in (ModelChoice(onnx=place), ModelChoice(labels=place)):
            with pytest.raises(ModelError, match="a pipe or a device"):
                run_key(ConvertRequest(model=model))


def test_the_command_is_complete_and_quoted() -> None:
    request = ConvertRequest(
        model=ModelChoice(name="resnet18", checkpoint="my weights.pth"),
        preprocess=PreprocessChoice(input_size=256, mean=(0.5, 0.25, 0.125)),
        calibration=CalibrationChoice(folder="photos", count=12, seed=3),
        out="run",
    )
    assert command_line(request, ("float32", "int8")) == (
        "python -m engine convert --model resnet18 --checkpoint 'my weights.pth' --input-size 256 "
        "--mean 0.5,0.25,0.125 --variants float32,int8 --lowering nhwc "
        "--input-layout NHWC --calibration photos --calibration-count 12 --seed 3 --out run"
    )


def test_the_command_gives_back_every_digit() -> None:
    mean, std = (0.49139968, 0.48215841, 0.44653091), (1 / 3, 1e-7, 123.675)
    request = ConvertRequest(preprocess=PreprocessChoice(mean=mean, std=std, scale=1 / 255))
    words = command_line(request, ("int8",)).split()
    for option, expected in (("--mean", mean), ("--std", std), ("--scale", (1 / 255,))):
        text = words[words.index(option) + 1]
        assert tuple(float(part) for part in text.split(",")) == expected


def test_the_set_of_weights_is_part_of_the_key_and_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"1")
    plain, chosen = (
        replace(REQUEST, model=ModelChoice(checkpoint=str(tmp_path / "c"), weights_of=name))
        for name in (None, "state_dict")
    )
    assert run_key(plain) != run_key(chosen)
    assert "--weights-of state_dict" in command_line(chosen, ("float32",))
    assert "--weights-of" not in command_line(plain, ("float32",))
