"""The TFLite files that a run's variants are made from, each made once and kept in the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.calibrations import Calibration
from engine.converters.recipes import Recipe
from engine.runs import SAVEDMODEL, WORK


class CoreFiles:
    """Files with float32 edges; those with other edges differ from them in nothing else.

    Args:
        side: Folder of the conversion; new files go to its ``work/``.
        find: Finds a file or folder of the conversion, or of the run that it adds to, by its
            relative path.
        calibration_of: Gives the calibration of a recipe.
        allow_flex: Whether SELECT_TF operators may stay.
    """

    def __init__(
        self,
        side: Path,
        find: Callable[[str], Path | None],
        calibration_of: Callable[[Recipe], Calibration],
        allow_flex: bool,
    ) -> None:
        self._side, self._find = side, find
        self._calibration_of, self._allow_flex = calibration_of, allow_flex

    def of(self, recipe: Recipe) -> Path:
        """The file that a recipe's variant is made from.

        Raises:
            ConversionError: It cannot be made.
        """
        core = recipe.core
        return self._found(core.name) or self._converted(core)

    def _found(self, name: str) -> Path | None:
        return self._find(f"{WORK}/{name}.tflite")

    def _converted(self, recipe: Recipe) -> Path:
        from engine.converters.tflite_from_savedmodel import tflite_from_savedmodel

        folder = self._find(f"{WORK}/{SAVEDMODEL}")
        assert folder is not None, "a run keeps its SavedModel"
        calibration = self._calibration_of(recipe) if recipe.calibrated else None
        content = tflite_from_savedmodel(
            folder,
            recipe,
            batches=None if calibration is None else calibration.batches,
            ranges_of=lambda model: (
                None if calibration is None else calibration.ranges_of(model, recipe)
            ),
            allow_flex=self._allow_flex,
        )
        return self._written(recipe.name, content)

    def _written(self, name: str, content: bytes) -> Path:
        file = self._side / WORK / f"{name}.tflite"
        file.write_bytes(content)
        return file
