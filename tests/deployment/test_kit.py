from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.cli.main import main
from engine.core.errors import OptionError
from engine.core.store import HOME_VARIABLE, SAMPLE_IMAGES
from engine.images.pictures import picture_at, pictures_in
from engine.quantization.recipes import recipe_named
from engine.runs.manifest import FILE_NAME
from engine.tflite.artifact import artifact_of
from engine.tflite.metadata import read_metadata
from engine.workers.process import Foreground
from tests.helpers.real_run import real_run, real_store
from tests.helpers.tiny_run import SIDE, tiny_run
from tests.helpers.tiny_tflite import reshape_file

PACKAGES = ("ai-edge-litert", "numpy")


def unpacked(kit: Path, folder: Path) -> Path:
    with zipfile.ZipFile(kit) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.slow
def test_the_command_writes_a_kit_that_checks_itself(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tiny_run(tmp_path / "run"), tmp_path / "kit.zip"
    words = ["--run", str(run.folder), "--variant", "int8", "--images", str(photos)]
    assert main(["deploy", *words, "--out", str(out)]) == 0
    assert "Golden set: 5 pictures; outputs may differ by 1 step" in capsys.readouterr().out
    kit = unpacked(out, tmp_path / "kit")
    described = json.loads((kit / "model.json").read_text())
    assert described["labels"] is None
    assert described["input"]["dtype"] == "int8"
    assert read_metadata((kit / described["file"]).read_bytes()).name == "tiny"
    done = subprocess.run(
        [sys.executable, str(kit / "run_model.py")], capture_output=True, text=True, check=False
    )
    assert "PASSED: golden set of 5 pictures" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kit", "kit.zip", "photos", "run"]


@pytest.mark.slow
def test_a_softmax_file_beside_logits_shows_its_own_share(tmp_path: Path, photos: Path) -> None:
    run = tiny_run(tmp_path / "run")
    file = reshape_file(run.file("int8"), (1, SIDE, SIDE, 3), softmax=True)
    card = artifact_of(file, variant="int8", layout="NHWC")
    manifest = replace(run.manifest, artifacts=(run.artifact("float32"), card))
    (run.folder / FILE_NAME).write_bytes(manifest.to_json())
    made = engine.deploy(run.folder, "int8", photos, out=tmp_path / "kit.zip")
    kit = unpacked(made.file, tmp_path / "kit")
    described = json.loads((kit / "model.json").read_text())
    assert described["scores"] == "probabilities"
    metadata = read_metadata((kit / described["file"]).read_bytes())
    assert metadata.scores.name == "probabilities"
    assert "output (probabilities)" in (kit / "MODEL_CARD.md").read_text()
    for name in ("android/Classifier.kt", "ios/Classifier.swift"):
        assert "shares(" not in (kit / name).read_text()
    photo = sorted(photos.iterdir())[0]
    logits = manifest.preprocess.apply(picture_at(photo).decode()).reshape(-1)
    share = np.exp(logits).max() / np.exp(logits).sum()
    words = [sys.executable, str(kit / "run_model.py")]
    shown = subprocess.run([*words, str(photo)], capture_output=True, text=True, check=True)
    assert shown.stdout.split()[0] == f"{share:.1%}"
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "PASSED" in checked.stdout


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["int8_mixed(rms=0.0467)", "int8(range=mse,count=8)"])
def test_a_variant_with_brackets_has_a_kit_that_checks_itself(
    tmp_path: Path, photos: Path, variant: str
) -> None:
    run = tiny_run(tmp_path / "run")
    card = replace(run.artifact("int8"), variant=variant)
    recipes = (*run.manifest.recipes[:1], recipe_named(variant))
    artifacts = (run.artifact("float32"), card)
    manifest = replace(run.manifest, artifacts=artifacts, recipes=recipes)
    (run.folder / FILE_NAME).write_bytes(manifest.to_json())
    made = engine.deploy(run.folder, variant, photos, out=tmp_path / "kit.zip")
    kit = unpacked(made.file, tmp_path / "kit")
    words = [sys.executable, str(kit / "run_model.py")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "PASSED: golden set of 5 pictures" in done.stdout
    lines = [
        line[4:]
        for line in (kit / "MODEL_CARD.md").read_text().splitlines()
        if line.startswith("    ")
    ]
    assert f"adb push benchmark_model {made.model} /data/local/tmp/" in lines
    subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, check=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--variant", "int4"], "'int4'"),
        (["--variant", "original"], "'original'"),
        (["--variant", "int8", "--reference", "int8"], "as variant and as reference"),
        (["--variant", "int8", "--out", "{}/file/kit.zip"], "nothing can be written"),
    ],
)
def test_mistakes_are_sentences(
    tmp_path: Path,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    run = tiny_run(tmp_path / "run")
    (tmp_path / "file").touch()
    options = ["--run", str(run.folder), "--images", str(photos), "--out", f"{tmp_path}/k.zip"]
    assert main(["deploy", *options, *(word.format(tmp_path) for word in words)]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "k.zip").exists()


@pytest.fixture
def real_kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(real_store()))
    kit = engine.deploy(real_run(), "int8", SAMPLE_IMAGES, out=tmp_path / "kit.zip")
    return unpacked(kit.file, tmp_path / "kit")


@pytest.mark.slow
def test_a_real_kit_in_an_environment_of_two_packages(real_kit: Path, tmp_path: Path) -> None:
    environment = tmp_path / "clean"
    venv.create(environment)
    python = environment / "bin" / "python"
    pins = [f"{name}=={version(name)}" for name in PACKAGES]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    words = [*pip, "install", "--quiet", "--no-compile", *pins]
    installed = subprocess.run(words, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"pip cannot install {' and '.join(PACKAGES)}: {installed.stderr[-200:]}")
    words = [str(python), str(real_kit / "run_model.py")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "PASSED: golden set of 5 pictures" in done.stdout, done.stdout + done.stderr
    absent = subprocess.run([str(python), "-c", "import PIL"], capture_output=True, check=False)
    assert absent.returncode != 0, "the environment is not clean"


@pytest.mark.slow
def test_a_real_kit_tells_right_preprocessing_from_wrong(real_kit: Path) -> None:
    """Golden answers with red and blue exchanged are further off than kernels ever are."""
    from tests.deployment.test_script import script_of

    script = script_of(real_kit)
    described = json.loads((real_kit / "model.json").read_text())
    model, arrays = script.Model(described), np.load(real_kit / "golden.npz")
    assert script.check(model)
    off = [
        script.largest_difference(model.run(model.input_of(pixels[:, :, ::-1])), expected)
        for pixels, expected in zip(arrays["pixels"], arrays["outputs"], strict=True)
    ]
    assert min(off) > described["golden"]["tolerance"]
    assert read_metadata((real_kit / described["file"]).read_bytes()).labels[281] == "tabby"


@pytest.mark.slow
def test_a_kit_in_the_run_is_found_again(tmp_path: Path, photos: Path) -> None:
    from engine.deployment.kit import kit_file, make_kit
    from engine.deployment.micro_kit import FIRMWARE

    run, pictures = tiny_run(tmp_path / "run"), pictures_in(photos)
    place = kit_file(run, "float32", pictures)
    assert not place.exists()
    made = make_kit(run, "float32", pictures, Foreground())
    assert made.file == place
    assert place.exists()
    assert made.golden.unit == "values"
    with pytest.raises(OptionError):
        make_kit(run, "nothing", pictures, Foreground())
    assert kit_file(run, "float32", pictures, FIRMWARE).name == f"{place.stem}-firmware.zip"
