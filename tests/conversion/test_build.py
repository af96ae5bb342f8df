from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from engine.conversion.build import CHECK_PICTURES, Conversion, check_inputs
from engine.conversion.resume import ConvertTask
from engine.images.preprocess import PreprocessSpec
from engine.quantization.calibration import CalibrationChoice
from engine.runs.request import ConvertRequest

SMALL = PreprocessSpec(height=8, width=8, resize="squash", resize_size=8)


def conversion(side: Path, variants: tuple[str, ...], folder: Path | None) -> Conversion:
    side.mkdir(exist_ok=True)
    choice = CalibrationChoice(folder=None if folder is None else str(folder))
    request = ConvertRequest(variants=variants, calibration=choice)
    task = ConvertTask(request=request, key="key", side=str(side), base=None, wanted="wanted")
    return Conversion(task, lambda _: None)


def test_stages_are_checked_on_the_calibration_pictures_and_then_on_samples(
    tmp_path: Path,
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (20, 20), (255, 0, 0)).save(photos / "red.png")
    samples = check_inputs(SMALL)
    red = SMALL.apply(np.full((20, 20, 3), (255, 0, 0), np.uint8))
    own = conversion(tmp_path / "own", ("int8",), photos).check_inputs(SMALL)
    np.testing.assert_array_equal(own, [red, *samples[: CHECK_PICTURES - 1]])
    demo = conversion(tmp_path / "demo", ("int8",), None).check_inputs(SMALL)
    np.testing.assert_array_equal(demo, samples)


def test_later_stages_are_checked_on_the_pictures_of_the_first(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (20, 20), (255, 0, 0)).save(photos / "red.png")
    first = conversion(tmp_path / "side", ("int8",), photos)
    inputs = first.check_inputs(SMALL)
    Image.new("RGB", (20, 20), (0, 255, 0)).save(photos / "red.png")
    np.testing.assert_array_equal(first.check_inputs(SMALL), inputs)
