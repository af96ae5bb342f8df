"""The TFLite files that a run's variants are made from, each made once and kept in the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.calibrations import Calibration, Say
from engine.converters.recipes import FLOAT32, Recipe
from engine.errors import OptionError
from engine.optimization.mixed import FloatLayerGain, float_layer_gains
from engine.runs import IMPROVED, SAVEDMODEL, WORK

_INTEGER_HEAD = ".integer_head"


class CoreFiles:
    """Files with float32 edges; those with other edges differ from them in nothing else.

    Args:
        side: Folder of the conversion; new files go to its ``work/``.
        find: Finds a file or folder of the conversion, or of the run that it adds to, by its
            relative path.
        calibration_of: Gives the calibration of a recipe.
        allow_flex: Whether SELECT_TF operators may stay.
        say: Told how far it is.
    """

    def __init__(
        self,
        side: Path,
        find: Callable[[str], Path | None],
        calibration_of: Callable[[Recipe], Calibration],
        allow_flex: bool,
        say: Say,
    ) -> None:
        self._side, self._find, self._say = side, find, say
        self._calibration_of, self._allow_flex = calibration_of, allow_flex

    def of(self, recipe: Recipe) -> Path:
        """The file that a recipe's variant is made from.

        Raises:
            ConversionError: It cannot be made.
        """
        core = recipe.core
        if core.float_layers:
            return self._found(core.name) or self._mixed(core)
        if not core.optimized:
            return self._found(core.name) or self._converted(core)
        name = core.name if recipe is core else core.name + _INTEGER_HEAD
        found = self._found(name)
        if found is None:
            self._optimize(core)
            found = self._found(name)
            assert found is not None, "the pass makes both"
        return found

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

    def _optimize(self, core: Recipe) -> None:
        """Make an optimized file, and the one whose output stays integer, from the plain one."""
        from engine.optimization.optimize import optimized

        made = optimized(
            self.of(FLOAT32).read_bytes(),
            self.of(core.plain).read_bytes(),
            self._calibration_of(core).batches,
            lambda p: self._say(f"Optimizing: operator {p.done + 1} of {p.total} ({p.stage})"),
        )
        self._written(core.name, made.float_io)
        self._written(core.name + _INTEGER_HEAD, made.integer_head)
        self._recorded(core.name, made.layers)

    def _mixed(self, core: Recipe) -> Path:
        """Make a file with its costliest layers in float32, from the optimized one."""
        from engine.optimization.float_layers import with_float_layers

        exact, whole = (self.of(r).read_bytes() for r in (FLOAT32, core.unmixed))
        ranking = self._find(f"{IMPROVED}/{core.unmixed.name}.gains.json")
        if ranking is None:
            gains = float_layer_gains(
                exact,
                whole,
                self._calibration_of(core).batches,
                lambda p: self._say(f"{p.stage}: layer {p.done + 1} of {p.total}"),
            )
            self._recorded(f"{core.unmixed.name}.gains", gains)
        else:
            gains = msgspec.json.decode(ranking.read_bytes(), type=tuple[FloatLayerGain, ...])
        if core.float_layers > len(gains):
            raise OptionError(
                f"Making {core.name}",
                got=f"{core.float_layers} layers in float32",
                expected=f"1 to {len(gains)}, as many as the model has with weights",
                todo=f"Name int8_mixed(k={len(gains)}), or fewer.",
            )
        kept = [gain.operator for gain in gains[: core.float_layers]]
        return self._written(core.name, with_float_layers(whole, exact, kept))

    def _recorded(self, name: str, record: Any) -> None:
        folder = self._side / IMPROVED
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_bytes(msgspec.json.encode(record))

    def _written(self, name: str, content: bytes) -> Path:
        file = self._side / WORK / f"{name}.tflite"
        file.write_bytes(content)
        return file
