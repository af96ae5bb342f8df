"""Calibration of a conversion: a representative dataset and its ranges for each recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.core.errors import OptionError, PictureError
from engine.core.store import CALIBRATION_IMAGES
from engine.core.types import FloatArray, Layout
from engine.images.pictures import Picture, RgbPicture, count_unread, digest_of, pictures_in
from engine.images.preprocess import (
    PreprocessSpec,
    in_layout,
)
from engine.quantization.activation_ranges import (
    ActivationRanges,
    CollectedRanges,
    with_input_range,
    with_shared_ranges,
)
from engine.quantization.recipes import Recipe

Say = Callable[[str], None]
_LEVELS = {"int8": 256, "int16": 65_536}


class Calibration:
    """Pictures, and the ranges that they give.

    Args:
        dataset: The pictures.
        preprocess: What the network's input expects.
        layout: Order of the dimensions of the model's input.
        batch: Pictures that the model takes at once; each is given as often.
        say: Called with the progress, in words.
    """

    def __init__(
        self,
        dataset: RepresentativeDataset,
        preprocess: PreprocessSpec,
        layout: Layout,
        batch: int,
        say: Say,
    ) -> None:
        self._dataset, self._preprocess = dataset, preprocess
        self._layout, self._batch, self._say = layout, batch, say
        self._ranges = CollectedRanges(self.batches)
        self._fallback: str | None = None

    def batches(self) -> Iterator[FloatArray]:
        """Yield the pictures as the model's inputs, one after the other, float32."""
        for index, picture in enumerate(self._dataset.inputs(self._preprocess), 1):
            self._say(f"Calibrating: picture {index} of {self._dataset.info.count}")
            yield in_layout(np.repeat(picture[None], self._batch, axis=0), self._layout)

    def ranges_of(self, float_model: bytes, recipe: Recipe) -> ActivationRanges | None:
        """Find ranges of a float32 TFLite model; None where only TensorFlow finds them."""
        levels = _LEVELS[recipe.activations]
        ranges = self._ranges.of(float_model, recipe.range_method, levels)
        if ranges is None:
            self._fallback = self._ranges.unsupported
            self._say(f"Calibrating with TensorFlow's calibrator: {self._fallback}")
            return None
        if self._preprocess.feeds_pixels:
            # The whole range, so that an 8-bit input is the pixel itself.
            ranges = with_input_range(float_model, ranges, (0.0, 255.0))
        return with_shared_ranges(float_model, ranges)

    @property
    def info(self) -> CalibrationInfo:
        """Description for the manifest."""
        return replace(self._dataset.info, fallback=self._fallback)


class Calibrations:
    """The calibrations of a conversion, one for each choice of pictures among its recipes.

    Args:
        choice: The run's own; recipes may name another count or seed.
        recipes: What will be made.

    Raises:
        PictureError: The folder is absent or empty.
        OptionError: A count is out of range.
    """

    def __init__(self, choice: CalibrationChoice, recipes: tuple[Recipe, ...]) -> None:
        self._choice = choice
        choices = {self._of(recipe) for recipe in recipes if recipe.calibrated}
        self._datasets = {
            choice: representative_dataset(choice, CALIBRATION_IMAGES)
            for choice in (choices | {choice} if choices else ())
        }
        self._calibrations: dict[CalibrationChoice, Calibration] = {}

    def of(
        self, recipe: Recipe, preprocess: PreprocessSpec, layout: Layout, batch: int, say: Say
    ) -> Calibration:
        """Find or make the calibration of a recipe; those with the same pictures share one."""
        choice = self._of(recipe)
        if choice not in self._calibrations:
            dataset = self._datasets[choice]
            self._calibrations[choice] = Calibration(dataset, preprocess, layout, batch, say)
        return self._calibrations[choice]

    def info(self, recipe: Recipe) -> CalibrationInfo | None:
        """Describe the pictures of a recipe for the manifest; None where it needs none."""
        return self._info(self._of(recipe)) if recipe.calibrated else None

    @property
    def own_info(self) -> CalibrationInfo | None:
        """The same of the run's own choice; None where no recipe is calibrated."""
        return self._info(self._choice) if self._datasets else None

    @property
    def own_pictures(self) -> tuple[Picture, ...]:
        """Pictures of the folder that the run's own choice names; none where it names none."""
        own = self._datasets.get(self._choice)
        return () if own is None or own.info.demo else own.pictures

    def _info(self, choice: CalibrationChoice) -> CalibrationInfo:
        calibration = self._calibrations.get(choice)
        return self._datasets[choice].info if calibration is None else calibration.info

    def _of(self, recipe: Recipe) -> CalibrationChoice:
        choice = self._choice
        return replace(
            choice,
            count=choice.count if recipe.count is None else recipe.count,
            seed=choice.seed if recipe.seed is None else recipe.seed,
        )


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


def representative_dataset(choice: CalibrationChoice, supplied: Path) -> RepresentativeDataset:
    """Choose the pictures to calibrate with.

    Args:
        choice: Folder, count and seed. Without a folder, crops and flips of the supplied
            pictures stand in ("demo calibration").
        supplied: Folder of the pictures that come with Quantization Lab for calibration.

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
        pictures = pictures_in(supplied)
        recipe = f"{digest_of(pictures)} crops {choice.count} seed {choice.seed}"
        digest = hashlib.sha256(recipe.encode()).hexdigest()
        count, unread = choice.count, ()
    else:
        available = _pictures_for_calibration(Path(choice.folder))
        order = np.random.default_rng(choice.seed).permutation(len(available))[: choice.count]
        pictures = tuple(available[index] for index in order)
        digest, count = digest_of(pictures), len(pictures)
        unread = count_unread(Path(choice.folder))
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
            "it out to calibrate on crops of the supplied pictures.",
        ) from error


def _crop(picture: RgbPicture, rng: np.random.Generator) -> RgbPicture:
    rows, columns, _ = picture.shape
    side = rng.uniform(_SMALLEST_CROP, 1.0)
    height, width = max(1, int(rows * side)), max(1, int(columns * side))
    top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
    crop = picture[top : top + height, left : left + width]
    return crop[:, ::-1] if rng.random() < 0.5 else crop


DEFAULT_CALIBRATION_COUNT = 100
DEFAULT_SEEDS = (0, 1, 2)
"""Of the choices among the pictures that a sweep makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationChoice:
    """Source of the representative dataset.

    Attributes:
        folder: Folder with pictures; None takes crops of the supplied pictures.
        count: Pictures to use; all of them where the folder holds fewer.
        seed: Seed of the choice among them.
    """

    folder: str | None = None
    count: int = DEFAULT_CALIBRATION_COUNT
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CalibrationInfo:
    """The representative dataset that a run's integer variants were calibrated with.

    Attributes:
        count: Pictures used.
        seed: Seed of the choice among the pictures given.
        digest: SHA-256 over the digests of the pictures, in the order used.
        demo: True when no pictures were given and crops of the supplied pictures stood in.
        source: Folder the pictures came from, as given; None for demo or uploaded pictures.
        fallback: Why TensorFlow's own calibrator had to find the ranges of activations; None
            where LiteRT did.
        passed_over: Files of the folder in formats that are not read, such as ``12 .heic``.
    """

    count: int
    seed: int
    digest: str
    demo: bool
    source: str | None
    fallback: str | None = None
    passed_over: tuple[str, ...] = ()
