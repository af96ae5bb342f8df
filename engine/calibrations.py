"""What one conversion calibrates with: a representative dataset and its ranges for each recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from engine.converters.activation_ranges import (
    ActivationRanges,
    CollectedRanges,
    with_input_range,
)
from engine.converters.calibration import RepresentativeDataset, representative_dataset
from engine.converters.recipes import Recipe
from engine.converters.shared_ranges import with_shared_ranges
from engine.core.store import SAMPLE_IMAGES
from engine.core.types import FloatArray, Layout
from engine.images.pictures import Picture
from engine.images.preprocess import PreprocessSpec, in_layout
from engine.requests import CalibrationChoice
from engine.types import CalibrationInfo

Say = Callable[[str], None]
_LEVELS = {"int8": 256, "int16": 65_536}


class Calibration:
    """Pictures, and the ranges that they give.

    Args:
        dataset: The pictures.
        preprocess: What the network's input expects.
        layout: Order of the dimensions of the model's input.
        batch: Pictures that the model takes at once; each is given as often.
        say: Told how far it is.
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
        """The pictures as the model's inputs, one after the other, float32."""
        for index, picture in enumerate(self._dataset.inputs(self._preprocess), 1):
            self._say(f"Calibrating: picture {index} of {self._dataset.info.count}")
            yield in_layout(np.repeat(picture[None], self._batch, axis=0), self._layout)

    def ranges_of(self, float_model: bytes, recipe: Recipe) -> ActivationRanges | None:
        """Ranges of a float32 TFLite model for a recipe; None where only TensorFlow finds them."""
        levels = _LEVELS[recipe.activations]
        found = self._ranges.of(float_model, recipe.range_method, levels)
        if found is None:
            self._fallback = self._ranges.unsupported
            self._say(f"Calibrating with TensorFlow's calibrator: {self._fallback}")
            return None
        if self._preprocess.feeds_pixels:
            # The whole range, so that an 8-bit input is the pixel itself.
            found = with_input_range(float_model, found, (0.0, 255.0))
        return with_shared_ranges(float_model, found)

    @property
    def info(self) -> CalibrationInfo:
        """What the manifest says of it."""
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
            choice: representative_dataset(choice, SAMPLE_IMAGES)
            for choice in (choices | {choice} if choices else ())
        }
        self._made: dict[CalibrationChoice, Calibration] = {}

    def of(
        self, recipe: Recipe, preprocess: PreprocessSpec, layout: Layout, batch: int, say: Say
    ) -> Calibration:
        """The calibration of a recipe; recipes with the same pictures share one."""
        choice = self._of(recipe)
        if choice not in self._made:
            dataset = self._datasets[choice]
            self._made[choice] = Calibration(dataset, preprocess, layout, batch, say)
        return self._made[choice]

    def info(self, recipe: Recipe) -> CalibrationInfo | None:
        """What the manifest says of the pictures of a recipe; None where it needs none."""
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
        made = self._made.get(choice)
        return self._datasets[choice].info if made is None else made.info

    def _of(self, recipe: Recipe) -> CalibrationChoice:
        choice = self._choice
        return replace(
            choice,
            count=choice.count if recipe.count is None else recipe.count,
            seed=choice.seed if recipe.seed is None else recipe.seed,
        )
