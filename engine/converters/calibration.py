"""The representative dataset: the pictures that tell the quantizer the ranges of activations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.core.errors import OptionError, PictureError
from engine.core.types import FloatArray
from engine.images.pictures import Picture, RgbPicture, digest_of, passed_over, pictures_in
from engine.images.preprocess import PreprocessSpec
from engine.requests import CalibrationChoice
from engine.types import CalibrationInfo

MOST_PICTURES = 10_000
_SMALLEST_CROP = 0.6


@dataclass(frozen=True, slots=True)
class RepresentativeDataset:
    """Pictures to calibrate with.

    Attributes:
        pictures: The files, in the order used.
        info: What the manifest says of them.
    """

    pictures: tuple[Picture, ...]
    info: CalibrationInfo

    def inputs(self, preprocess: PreprocessSpec) -> Iterator[FloatArray]:
        """Network inputs of shape (height, width, channels), float32, one after the other."""
        mode = preprocess.picture_mode
        if self.info.demo:
            rng = np.random.default_rng(self.info.seed)
            decoded = [picture.decode(mode) for picture in self.pictures]
            for index in range(self.info.count):
                yield preprocess.apply(_crop(decoded[index % len(decoded)], rng))
        else:
            for picture in self.pictures:
                yield preprocess.apply(picture.decode(mode))


def representative_dataset(choice: CalibrationChoice, samples: Path) -> RepresentativeDataset:
    """Choose the pictures to calibrate with.

    Args:
        choice: Folder, count and seed. Without a folder, crops and flips of the sample images
            stand in ("demo calibration").
        samples: Folder of the sample images.

    Returns:
        The dataset; the same choice among the same pictures gives the same one.

    Raises:
        PictureError: The folder is absent or empty.
        OptionError: The count is out of range.
    """
    if not 1 <= choice.count <= MOST_PICTURES:
        raise OptionError(
            "Choosing the calibration pictures",
            got=f"a count of {choice.count}",
            expected=f"1 to {MOST_PICTURES} (100 to 500 are advised)",
            todo="Give another --calibration-count.",
        )
    unread: tuple[str, ...]
    if choice.folder is None:
        pictures = pictures_in(samples)
        recipe = f"{digest_of(pictures)} crops {choice.count} seed {choice.seed}"
        digest = hashlib.sha256(recipe.encode()).hexdigest()
        count, unread = choice.count, ()
    else:
        found = _pictures_for_calibration(Path(choice.folder))
        order = np.random.default_rng(choice.seed).permutation(len(found))[: choice.count]
        pictures = tuple(found[index] for index in order)
        digest, count = digest_of(pictures), len(pictures)
        unread = passed_over(Path(choice.folder))
    demo = choice.folder is None
    info = CalibrationInfo(count, choice.seed, digest, demo, choice.folder, passed_over=unread)
    return RepresentativeDataset(pictures, info)


def _pictures_for_calibration(folder: Path) -> tuple[Picture, ...]:
    try:
        return pictures_in(folder)
    except PictureError as error:
        raise PictureError(
            "Choosing the calibration pictures",
            got=error.got,
            expected=error.expected,
            todo="Name a folder with 100 to 500 pictures like those the model will meet, or leave "
            "it out to calibrate on crops of the sample images.",
        ) from error


def _crop(picture: RgbPicture, rng: np.random.Generator) -> RgbPicture:
    rows, columns, _ = picture.shape
    side = rng.uniform(_SMALLEST_CROP, 1.0)
    height, width = max(1, int(rows * side)), max(1, int(columns * side))
    top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
    crop = picture[top : top + height, left : left + width]
    return crop[:, ::-1] if rng.random() < 0.5 else crop
