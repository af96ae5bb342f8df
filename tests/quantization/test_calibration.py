from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import OptionError, PictureError
from engine.images.preprocess import PreprocessSpec
from engine.quantization.calibration import CalibrationChoice, representative_dataset

SPEC = PreprocessSpec(height=16, width=16, resize_size=20)


def choice(folder: Path | None, **options: int) -> CalibrationChoice:
    return CalibrationChoice(folder=None if folder is None else str(folder), **options)


def test_the_same_choice_gives_the_same_pictures(photos: Path) -> None:
    one, two = (representative_dataset(choice(photos, count=3, seed=1), photos) for _ in range(2))
    other = representative_dataset(choice(photos, count=3, seed=2), photos)
    assert one == two
    assert one.info.count == 3
    assert not one.info.demo
    assert one.info.digest != other.info.digest


def test_a_changed_picture_changes_the_digest(photos: Path) -> None:
    before = representative_dataset(choice(photos, count=5), photos).info.digest
    (photos / "photo_2.png").write_bytes((photos / "photo_1.png").read_bytes())
    assert representative_dataset(choice(photos, count=5), photos).info.digest != before


def test_fewer_pictures_than_asked_for_are_all_used(photos: Path) -> None:
    dataset = representative_dataset(choice(photos, count=100), photos)
    inputs = list(dataset.inputs(SPEC))
    assert dataset.info.count == len(inputs) == 5
    assert inputs[0].shape == (16, 16, 3)


def test_files_of_other_formats_are_counted(photos: Path) -> None:
    (photos / "IMG_1.HEIC").write_bytes(b"")
    assert representative_dataset(choice(photos), photos).info.passed_over == ("1 .heic",)
    assert representative_dataset(choice(None), photos).info.passed_over == ()


def test_crops_of_the_samples_stand_in(photos: Path) -> None:
    dataset = representative_dataset(choice(None, count=7), photos)
    one, two = list(dataset.inputs(SPEC)), list(dataset.inputs(SPEC))
    assert dataset.info.demo
    assert len(one) == 7
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one[0], one[5]), "another crop of the same picture"


def test_refusals(tmp_path: Path, photos: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(PictureError, match="Choosing the calibration pictures: got no picture"):
        representative_dataset(choice(empty), photos)
    with pytest.raises(OptionError, match="a count of 0"):
        representative_dataset(choice(photos, count=0), photos)
