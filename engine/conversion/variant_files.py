"""The TFLite files that a run's variants are made from, each made once and kept in the run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from engine.core.errors import OptionError, RunError
from engine.quantization.calibration import Calibration, Say
from engine.quantization.mixed import MixedModels, float_order
from engine.quantization.recipes import FLOAT32, Recipe
from engine.quantization.records import MixedPoint
from engine.quantization.sensitivity import Step
from engine.runs.run import CURVE, IMPROVED, INTEGER_HEAD, ORDER, SAVEDMODEL, WORK, Run


class CoreFiles:
    """Files with float32 edges; those with other edges differ from them in nothing else.

    Args:
        side: Folder of the conversion; new files go to its ``work/``.
        find: Finds a file or folder of the conversion, or of the run that it adds to, by its
            relative path.
        calibration_of: Gives the calibration of a recipe.
        allow_flex: Whether SELECT_TF operators may stay.
        making: Gives the context in which the file of a name is made; an error passes through it.
        say: Told how far it is.
    """

    def __init__(
        self,
        side: Path,
        find: Callable[[str], Path | None],
        calibration_of: Callable[[Recipe], Calibration],
        allow_flex: bool,
        making: Callable[[str], AbstractContextManager[object]],
        say: Say,
    ) -> None:
        self._side, self._find, self._making, self._say = side, find, making, say
        self._calibration_of, self._allow_flex = calibration_of, allow_flex

    def of(self, recipe: Recipe) -> Path:
        """The file that a recipe's variant is made from.

        Raises:
            ConversionError: It cannot be made.
        """
        core = recipe.core
        name = core.name
        if core.optimized and not core.mixed and recipe is not core:
            name += INTEGER_HEAD
        found = self._find_model(name)
        if found is None:
            with self._making(core.name):
                self._make(core)
            found = self._find_model(name)
            assert found is not None, "an optimizing pass makes both of its files"
        return found

    def _make(self, core: Recipe) -> None:
        if core.mixed:
            self._make_mixed(core)
        elif core.optimized:
            self._optimize(core)
        else:
            self._convert(core)

    def _find_model(self, name: str) -> Path | None:
        return self._find(f"{WORK}/{name}.tflite")

    def _convert(self, recipe: Recipe) -> None:
        from engine.conversion.tflite_from_savedmodel import tflite_from_savedmodel

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
        self._write_model(recipe.name, content)

    def _optimize(self, core: Recipe) -> None:
        """Make an optimized file, and the one whose output stays integer, from the plain one."""
        from engine.quantization.optimizer.optimize import optimized

        made = optimized(
            self.of(FLOAT32).read_bytes(),
            self.of(core.plain).read_bytes(),
            self._calibration_of(core).batches,
            lambda p: self._say(f"Optimizing: operator {p.done + 1} of {p.total} ({p.stage})"),
        )
        self._write_model(core.name, made.float_io)
        self._write_model(core.name + INTEGER_HEAD, made.integer_head)
        self._write_record(core.name, made.layers)
        self._write_record(core.name + INTEGER_HEAD, made.integer_layers)

    def _make_mixed(self, core: Recipe) -> None:
        """Make a file with the layers in float32 that cost most, from the optimized one."""
        models = self._load_mixed_models(core)
        points = self._measure_curve(core, models)
        layers = core.float_layers or self._fewest(core, models, points)
        if layers > models.most:
            raise OptionError(
                f"Making {core.name}",
                got=f"{layers} layers in float32",
                expected=f"1 to {models.most}, as many as the model has with weights",
                todo=f"Name int8_mixed(k={models.most}), or fewer.",
            )
        if layers not in {point.layers for point in points}:
            found = (*points, models.point(layers))
            self._write_record(f"{core.unmixed.name}{CURVE}", sorted(found, key=lambda p: p.layers))
        self._write_model(core.name, models.model(layers))

    def _fewest(self, core: Recipe, models: MixedModels, points: tuple[MixedPoint, ...]) -> int:
        """How many layers in float32 what a recipe asks for takes."""
        rms, agreement = core.target_rms, core.target_agreement

        def reaches(point: MixedPoint) -> bool:
            return (rms is None or point.rms <= rms) and (
                agreement is None or point.agreement >= agreement
            )

        self._say(f"{core.name}: looking for the fewest layers")
        found = models.fewest(points, reaches)
        if found is None:
            last = points[-1]
            raise OptionError(
                f"Making {core.name}",
                got=f"rms {last.rms:.3g} and agreement {last.agreement:.1%} with all "
                f"{last.layers} layers in float32",
                expected="a target that can be reached",
                todo="Ask for less, or take float32.",
            )
        return found.layers

    def _load_mixed_models(self, core: Recipe) -> MixedModels:
        exact, whole = (self.of(r).read_bytes() for r in (FLOAT32, core.unmixed))
        batches = self._calibration_of(core).batches
        name = f"{core.unmixed.name}{ORDER}"
        known = self._find(f"{IMPROVED}/{name}.json")
        if known is None:
            order = float_order(
                exact,
                whole,
                batches,
                lambda p: self._say(f"{p.stage}: operator {p.done + 1} of {p.total}"),
            )
            self._write_record(name, order)
        else:
            order = msgspec.json.decode(known.read_bytes(), type=tuple[Step, ...])
        return MixedModels(exact, whole, order, batches)

    def _measure_curve(self, core: Recipe, models: MixedModels) -> tuple[MixedPoint, ...]:
        """What some numbers of layers in float32 give, for the curve."""
        name = f"{core.unmixed.name}{CURVE}"
        known = self._find(f"{IMPROVED}/{name}.json")
        if known is not None:
            return msgspec.json.decode(known.read_bytes(), type=tuple[MixedPoint, ...])
        points = []
        sizes = models.looked_at()
        for number, layers in enumerate(sizes, 1):
            self._say(f"{layers} layers in float32: measuring {number} of {len(sizes)}")
            points.append(models.point(layers))
        self._write_record(name, points)
        return tuple(points)

    def _write_record(self, name: str, record: Any) -> None:
        folder = self._side / IMPROVED
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_bytes(msgspec.json.encode(record))

    def _write_model(self, name: str, content: bytes) -> None:
        (self._side / WORK / f"{name}.tflite").write_bytes(content)


def kept_mixed_models(run: Run, whole: str) -> MixedModels:
    """The mixed models of a run's optimized variant, from what was kept when they were chosen.

    Args:
        run: The run.
        whole: Name of the variant without a layer in float32.

    Raises:
        RunError: Something of it is absent or damaged.
    """
    try:
        exact = (run.folder / WORK / f"{FLOAT32.name}.tflite").read_bytes()
        quantized = (run.folder / WORK / f"{whole}.tflite").read_bytes()
        order = (run.folder / IMPROVED / f"{whole}{ORDER}.json").read_bytes()
        steps = msgspec.json.decode(order, type=tuple[Step, ...])
    except (OSError, msgspec.DecodeError) as error:
        raise RunError(
            f"Reading what {whole} was made from",
            got=f"a run without it ({error})",
            expected="the files that the variant was chosen from",
            todo="Make the run again.",
        ) from error
    return MixedModels(exact, quantized, steps, lambda: iter(()))
