"""The script of a kit, as it lies in the kit."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from engine.core.types import Layout
from engine.deployment.kit import CARD
from engine.images.pictures import decode_file, decode_picture
from engine.images.preprocess import PreprocessSpec, default_preprocess, in_layout
from engine.tflite.interpreter import quantize
from tests.helpers.kits import LABELS, SPEC, kit_of, run_of
from tests.images.test_pictures import tiff

EDGES = [("int8", "NHWC"), ("uint8", "NCHW"), ("float32", "NCHW"), ("int16", "NHWC")]


def script_of(kit: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_model", kit / "run_model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started(kit: Path, *words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(kit / "run_model.py"), *words]
    environment = None if path is None else os.environ | {"PYTHONPATH": str(path)}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", env=environment
    )


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_model_of_a_fixed_batch_answers_for_one_picture(
    tmp_path: Path, photos: Path, dtype: str
) -> None:
    kits = [
        kit_of(run_of(tmp_path / f"run{batch}", dtype, batch=batch), photos, tmp_path / f"k{batch}")
        for batch in (1, 4)
    ]
    alone, four = [np.load(kit / "golden.npz") for kit in kits]
    np.testing.assert_array_equal(alone["outputs"], four["outputs"])
    cards = [(kit / CARD).read_text() for kit in kits]
    assert ["A call takes 4 pictures:" in card for card in cards] == [False, True]
    assert started(kits[1]).returncode == 0
    assert started(kits[1], str(photos / "photo_0.png")).stdout


@pytest.fixture
def kit(tmp_path: Path, photos: Path) -> Path:
    return kit_of(run_of(tmp_path / "run", "int8"), photos, tmp_path / "kit")


def test_it_passes_its_golden_set(kit: Path) -> None:
    done = started(kit)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "PASSED: golden set of 5 pictures",
    )
    assert "photo_3.png: input 0, output 0; class, no." in done.stdout


def test_it_answers_for_a_picture(kit: Path, photos: Path) -> None:
    done = started(kit, str(photos / "photo_0.png"))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 5
    assert "class, no." in done.stdout


def test_it_passes_what_ran_of_a_slow_model(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.deployment.golden_set.SECONDS", -1.0)
    done = started(kit_of(run_of(tmp_path / "run", "int8"), photos, tmp_path / "kit"))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "PASSED: golden set of 1 picture"


@pytest.mark.parametrize("array", ["inputs", "outputs", "pixels"])
def test_it_fails_where_an_array_is_another(kit: Path, array: str) -> None:
    arrays = dict(np.load(kit / "golden.npz"))
    arrays[array] = arrays[array].copy()
    arrays[array][2].flat[7] ^= 0x10
    np.savez(kit / "golden.npz", **arrays)
    done = started(kit)
    assert done.returncode == 1
    assert "FAILED photo_2.png" in done.stdout
    assert "ok     photo_1.png" in done.stdout


def test_it_fails_on_nan_and_on_another_shape(kit: Path) -> None:
    script = script_of(kit)
    zeros = np.zeros(3, dtype=np.float32)
    assert script.largest_difference(zeros, zeros + 0.5) == 0.5
    assert script.largest_difference(zeros + np.float32(np.nan), zeros) == np.inf
    assert script.largest_difference(zeros, zeros[:2]) == np.inf
    assert script.largest_difference(zeros.astype(np.int8), zeros) == np.inf


@pytest.mark.parametrize(("dtype", "layout"), EDGES)
@pytest.mark.parametrize("squash", [False, True])
def test_it_prepares_pictures_as_the_engine_does(
    tmp_path: Path, photos: Path, dtype: str, layout: Layout, squash: bool
) -> None:
    spec = replace(SPEC, resize="squash", channel_order="RGB") if squash else SPEC
    run = run_of(tmp_path / "run", dtype, layout, spec)
    kit = kit_of(run, photos, tmp_path / "kit")
    script = script_of(kit)
    model = script.Model(json.loads((kit / "model.json").read_text()))
    edge = run.artifact("int8").inputs[0]
    tensor = {"dtype": edge.dtype, "quantization": (edge.scale, edge.zero_point)}
    for photo in sorted(photos.iterdir()):
        pixels = script.pixels_of(str(photo), model.description["preprocess"])
        picture = decode_picture(photo.read_bytes(), photo.name)
        np.testing.assert_array_equal(pixels, spec.fitted(picture))
        expected = quantize(in_layout(spec.apply(picture)[None], layout), tensor)[0]
        fed = model.input_of(pixels)
        assert fed.dtype == expected.dtype
        np.testing.assert_array_equal(fed, expected)
        np.testing.assert_array_equal(model.run(fed), expected.reshape(-1))
    assert script.check(model)


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, resize="letterbox", pad_value=9),
        replace(SPEC, height=5, width=8, resize_size=5),
        replace(SPEC, channel_order="L", mean=(0.4,), std=(0.2,)),
        replace(default_preprocess(4), height=4, width=6, resize="letterbox"),
    ],
    ids=["letterbox", "no square", "grey", "alpha"],
)
def test_it_fits_pictures_as_the_engine_does(
    kit: Path, photos: Path, tmp_path: Path, spec: PreprocessSpec
) -> None:
    clear = tmp_path / "clear.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 90, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(clear)
    script = script_of(kit)
    description = json.loads((kit / "model.json").read_text()) | {"preprocess": asdict(spec)}
    model = script.Model(description)
    entry = description["input"] | {"dtype": "float32", "scale": None}
    model.description = description | {"input": entry}
    for file in (clear, *sorted(photos.glob("*.png"))):
        pixels = script.pixels_of(str(file), asdict(spec))
        decoded = decode_file(file, file.name, spec.picture_mode)
        np.testing.assert_array_equal(pixels, spec.fitted(decoded))
        expected = in_layout(spec.apply(decoded)[None], description["layout"])[0]
        np.testing.assert_allclose(model.input_of(pixels), expected, rtol=1e-6)


@pytest.mark.parametrize("big_endian", [False, True])
def test_it_scales_16_bit_grey(kit: Path, tmp_path: Path, big_endian: bool) -> None:
    script = script_of(kit)
    model = script.Model(json.loads((kit / "model.json").read_text()))
    deep = np.linspace(0, 65535, 48 * 48).round().astype(">u2" if big_endian else "<u2")
    deep = deep.reshape(48, 48)
    file = tmp_path / ("deep.tif" if big_endian else "deep.png")
    Image.fromarray(deep).save(file)
    grey = np.floor(deep / 257 + 0.5).astype(np.uint8)
    pixels = script.pixels_of(str(file), model.description["preprocess"])
    np.testing.assert_array_equal(pixels, SPEC.fitted(np.stack([grey] * 3, axis=2)))


@pytest.mark.parametrize(("bits", "photometric"), [(12, 1), (16, 0), (16, 1)])
def test_it_reads_deep_grey_tiff_as_the_engine_does(
    kit: Path, tmp_path: Path, bits: int, photometric: int
) -> None:
    file = tmp_path / "deep.tif"
    file.write_bytes(tiff(bits, photometric, bytes.fromhex("80000fff")))
    grey = np.asarray(script_of(kit).decode(str(file)))
    np.testing.assert_array_equal(grey, decode_file(file, "deep.tif"))
    assert grey[0, 0, 0] != grey[0, 1, 0]


@pytest.mark.slow
@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\x89PNG\r\n\x1a\n", "32", "cut"])
def test_a_picture_that_cannot_be_used_is_a_sentence(
    kit: Path, photos: Path, tmp_path: Path, content: bytes | str | None
) -> None:
    file = tmp_path / "a picture.tif"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content == "32":
        Image.fromarray(np.full((9, 9), 0.5, dtype=np.float32)).save(file)
    elif content == "cut":
        whole = (photos / "photo_0.png").read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
    done = started(kit, str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "a picture.tif" in done.stderr.splitlines()[-1]


def test_without_pillow_it_says_what_to_install(kit: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "PIL.py").write_text("raise ImportError('no PIL')")
    done = started(kit, str(photos / "photo_0.png"), path=tmp_path / "absent")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("pip install pillow")


def test_probabilities_sum_to_one_and_names_are_those_of_the_run(kit: Path) -> None:
    script = script_of(kit)
    model = script.Model(json.loads((kit / "model.json").read_text()))
    shares = model.probabilities(np.arange(48, dtype=np.int8))
    assert shares.sum() == pytest.approx(1)
    assert shares.argmax() == 47
    assert shares[47] / shares[46] == pytest.approx(np.exp(0.05), rel=1e-4)
    assert script.class_names(model.description) == list(LABELS)
    assert script.class_names(model.description | {"labels": None})[3] == "class 3"


@pytest.mark.parametrize(("scores", "score"), [("logits", -2.0), ("probabilities", 0.11920292)])
def test_one_score_has_two_answers(kit: Path, scores: str, score: float) -> None:
    script = script_of(kit)
    model = script.Model(json.loads((kit / "model.json").read_text()))
    (kit / "labels.txt").write_text("cat\n")
    model.description |= {"classes": 1, "scores": scores, "output": {"scale": None}}
    shares = model.probabilities(np.array([score], dtype=np.float32))
    assert shares == pytest.approx([0.88079708, 0.11920292])
    assert script.class_names(model.description) == ["not cat", "cat"]
    assert script.class_names(model.description | {"labels": None}) == ["class 0", "class 1"]
