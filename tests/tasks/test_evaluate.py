from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.checksums import move_verified
from engine.core.errors import PictureError
from engine.core.types import Progress
from engine.images.cache import FittedPictures, make_room
from engine.images.pictures import Picture, picture_at, pictures_in
from engine.images.preprocess import PreprocessSpec
from engine.runs.run import Run
from engine.runs.runners import column_runner
from engine.tasks import evaluate as evaluation
from engine.tasks import evaluate as service_module
from engine.tasks.evaluate import EvaluateRequest
from engine.workers import process as host
from tests.helpers.tiny_run import SIDE, STEP, tiny_run

HOST = host.Foreground()
SPEC = PreprocessSpec(height=SIDE, width=SIDE, resize="squash", resize_size=SIDE)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return tiny_run(tmp_path / "run")


def request(run: Run, pictures: tuple[Picture, ...], folder: Path) -> EvaluateRequest:
    return EvaluateRequest(
        run=str(run.folder),
        columns=("original", "float32", "int8"),
        pictures=pictures,
        folder=str(folder),
    )


def inputs(pictures: tuple[Picture, ...]) -> np.ndarray:
    return np.stack([SPEC.apply(picture.decode()).ravel() for picture in pictures])


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_every_row_is_its_pictures(run: Run, photos: Path, tmp_path: Path, workers: int) -> None:
    pictures = pictures_in(photos)
    said: list[Progress] = []
    evaluation.write_logits(
        request(run, pictures, tmp_path), said.append, lambda r, c: column_runner(r, c, 1), workers
    )
    for column, tolerance in (("original", 0), ("float32", 0), ("int8", STEP)):
        logits = np.load(tmp_path / f"{column}.npy")
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, inputs(pictures), atol=tolerance)
    assert said[0].stage == "Showing 5 pictures to original"
    assert all(step.done <= step.total == 15 for step in said)


def test_a_picture_that_cannot_be_decoded_is_a_sentence(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    (photos / "photo_3.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"photo_3\.png"):
        service_module.compute_logits(run, pictures_in(photos), ("float32",), HOST)
    assert not list((run.folder / "logits").glob("*"))


def test_pictures_seen_before_are_not_shown_again(run: Run, photos: Path) -> None:
    pictures = pictures_in(photos)
    service_module.compute_logits(run, pictures[:4], ("float32",), HOST)
    # Answers that no model gives show that rows were copied.
    (stored,) = (run.folder / "logits").glob("*/float32-*.npy")
    marked = np.load(stored) + 100
    np.save(photos / "marked.npy", marked)
    move_verified(photos / "marked.npy", stored)
    logits = service_module.compute_logits(run, pictures[::-1], ("float32",), HOST)["float32"]
    np.testing.assert_array_equal(logits[1:], marked[::-1])
    np.testing.assert_array_equal(logits[0], inputs(pictures)[4])
    other = service_module.compute_logits(run, pictures, ("int8",), HOST)["int8"]
    np.testing.assert_allclose(other, inputs(pictures), atol=STEP)


def test_a_damaged_store_of_logits_is_passed_over(run: Run, photos: Path) -> None:
    pictures = pictures_in(photos)
    service_module.compute_logits(run, pictures[:4], ("float32",), HOST)
    (stored,) = (run.folder / "logits").glob("*/float32-*.npy")
    stored.write_bytes(b"half")
    logits = service_module.compute_logits(run, pictures, ("float32",), HOST)["float32"]
    np.testing.assert_array_equal(logits, inputs(pictures))


def test_fitted_pictures_are_kept_by_content(photos: Path, own_store: Path) -> None:
    picture = pictures_in(photos)[0]
    expected = SPEC.apply(picture.decode())
    first = FittedPictures(SPEC, {picture.sha256})
    np.testing.assert_array_equal(first.input_of(picture), expected)
    picture.path.unlink()  # from here on there is only what was kept
    np.testing.assert_array_equal(first.input_of(picture), expected)
    (kept,) = (own_store / "cache" / "pictures").glob("*/*.rgb")
    assert kept.stat().st_size == SIDE * SIDE * 3
    kept.write_bytes(b"cut")
    with pytest.raises(PictureError, match="No such file"):
        first.input_of(picture)


def test_a_picture_that_was_replaced_after_it_was_listed_poisons_nothing(
    run: Run, tmp_path: Path, own_store: Path
) -> None:
    place = tmp_path / "listed"
    place.mkdir()
    for name, pixel in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        Image.new("RGB", (SIDE, SIDE), pixel).save(tmp_path / f"{name}.png")
    red, blue = ((tmp_path / f"{name}.png").read_bytes() for name in ("red", "blue"))
    (place / "a.png").write_bytes(red)
    listed = pictures_in(place)
    (place / "a.png").write_bytes(blue)
    with pytest.raises(PictureError, match=r"a\.png: got a file that has changed"):
        service_module.compute_logits(run, listed, ("float32",), HOST)
    assert not list((own_store / "cache" / "pictures").glob("*/*"))
    (place / "b.png").write_bytes(red)
    b = picture_at(place / "b.png")
    logits = service_module.compute_logits(run, (b,), ("float32",), HOST)["float32"]
    np.testing.assert_array_equal(logits, inputs((b,)))
    assert FittedPictures(SPEC, {b.sha256}).input_of(b)[0, 0].argmax() == 0
    # Rows that are stored are those of the content that was listed, whatever the file is now.
    again = service_module.compute_logits(run, (*listed, b), ("float32",), HOST)["float32"]
    np.testing.assert_array_equal(again[0], again[1])


def test_what_fits_another_way_is_kept_apart() -> None:
    keys = {
        SPEC.fitting_key,
        PreprocessSpec().fitting_key,
        PreprocessSpec(resize_size=300).fitting_key,
        PreprocessSpec(interpolation="nearest").fitting_key,
    }
    assert len(keys) == 4
    assert PreprocessSpec(mean=(0, 0, 0)).fitting_key == PreprocessSpec().fitting_key


def test_without_room_nothing_is_kept(photos: Path, own_store: Path) -> None:
    pictures = pictures_in(photos)
    size = SIDE * SIDE * 3
    few = FittedPictures(SPEC, {p.sha256 for p in pictures}, limit=2 * size)
    for picture in pictures:
        np.testing.assert_array_equal(few.input_of(picture), SPEC.apply(picture.decode()))
    assert len(list((own_store / "cache" / "pictures").glob("*/*.rgb"))) == 2


def test_the_oldest_make_room(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    files = [tmp_path / "a" / f"{index}.rgb" for index in range(4)]
    for age, file in enumerate(files):
        file.write_bytes(bytes(10))
        os.utime(file, (age, age))
    assert make_room(tmp_path, 15, 40, {files[0]}) == 20
    assert [file.exists() for file in files] == [True, False, False, True]
    assert make_room(tmp_path, 100, 5, set()) == 5


def test_pictures_of_one_content_share_what_was_kept(tmp_path: Path, own_store: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (9, 9), (1, 2, 3)).save(tmp_path / name)
    pictures = [picture_at(tmp_path / name) for name in ("a.png", "b.png")]
    kept = FittedPictures(SPEC, {p.sha256 for p in pictures})
    for picture in pictures:
        kept.input_of(picture)
    assert len(list((own_store / "cache" / "pictures").glob("*/*.rgb"))) == 1
