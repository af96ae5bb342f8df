"""The TFLite files that a run's variants are made from, each made once and kept in the run."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.comparison.metrics import rms
from engine.core import formats
from engine.core.errors import OptionError, RunError
from engine.core.parity import difference
from engine.core.types import FloatArray
from engine.quantization.calibration import Calibration, Say
from engine.quantization.mixed import MixedModels, float_order
from engine.quantization.recipes import FLOAT32, Recipe, recipe_named
from engine.quantization.records import MixedPoint
from engine.quantization.sensitivity import Step
from engine.runs.run import CURVE, IMPROVED, INTEGER_HEAD, ORDER, SAVEDMODEL, WORK, Run
from engine.tflite.artifact import Artifact


@dataclass(frozen=True, slots=True)
class WorkFiles:
    """Files of a conversion, and those of the run that it adds to.

    Attributes:
        side: Folder of the conversion, into which new files go.
        run: Folder of the run; None for a new one.
        shared: Names of the only files that may be the run's; None for all.
    """

    side: Path
    run: Path | None = None
    shared: Container[str] | None = None

    def find(self, name: str) -> Path | None:
        """Find a file or folder by its relative path."""
        if (self.side / name).exists():
            return self.side / name
        if self.run is None or (self.shared is not None and name not in self.shared):
            return None
        return self.run / name if (self.run / name).exists() else None

    def get(self, name: str) -> Path:
        """Find a file or folder that every run has."""
        path = self.find(name)
        assert path is not None, f"a run keeps {name}"
        return path


class CoreFiles:
    """Files with float32 edges; those with other edges differ from them in nothing else.

    Args:
        files: Where they are looked for, and written.
        allow_flex: Whether SELECT_TF operators may stay.
        making: Gives the context in which the file of a name is made; an error passes through it.
        say: Called with each step.
    """

    def __init__(
        self,
        files: WorkFiles,
        allow_flex: bool,
        making: Callable[[str], AbstractContextManager[object]],
        say: Say,
    ) -> None:
        self._files, self._side = files, files.side
        self._allow_flex, self._making, self._say = allow_flex, making, say

    def of(self, recipe: Recipe, calibration: Calibration | None) -> Path:
        """Give the file that a recipe's variant is made from, and make it where there is none.

        Args:
            recipe: The recipe.
            calibration: That of the recipe, and so of all that it is made from; None where it is
                not calibrated.

        Raises:
            ConversionError: It cannot be made.
        """
        core = recipe.core
        name = core.name
        if core.optimized and not core.mixed and recipe is not core:
            name += INTEGER_HEAD
        file = f"{WORK}/{name}.tflite"
        if self._files.find(file) is None:
            with self._making(core.name):
                if calibration is None or not core.optimized:
                    self._convert(core, calibration)
                elif core.mixed:
                    self._make_mixed(core, calibration)
                else:
                    self._optimize(core, calibration)
        return self._files.get(file)

    def _convert(self, recipe: Recipe, calibration: Calibration | None) -> None:
        from engine.conversion.tflite_from_savedmodel import tflite_from_savedmodel

        content = tflite_from_savedmodel(
            self._files.get(f"{WORK}/{SAVEDMODEL}"),
            recipe,
            batches=None if calibration is None else calibration.batches,
            ranges_of=lambda model: (
                None if calibration is None else calibration.ranges_of(model, recipe)
            ),
            allow_flex=self._allow_flex,
        )
        self._write_model(recipe.name, content)

    def _optimize(self, core: Recipe, calibration: Calibration) -> None:
        """Make an optimized file, and the one whose output stays integer, from the plain one."""
        from engine.quantization.optimizer.optimize import optimize_model

        result = optimize_model(
            self.of(FLOAT32, None).read_bytes(),
            self.of(core.plain, calibration).read_bytes(),
            calibration.batches,
            lambda p: self._say(f"Optimizing: operator {p.done + 1} of {p.total} ({p.stage})"),
        )
        self._write_model(core.name, result.float_io)
        self._write_model(core.name + INTEGER_HEAD, result.integer_head)
        self._write_record(core.name, result.layers)
        self._write_record(core.name + INTEGER_HEAD, result.integer_layers)

    def _make_mixed(self, core: Recipe, calibration: Calibration) -> None:
        """Make a file with the layers in float32 that cost most, from the optimized one."""
        models = self._load_mixed_models(core, calibration)
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
            curve = sorted((*points, models.point(layers)), key=lambda p: p.layers)
            self._write_record(f"{core.unmixed.name}{CURVE}", curve)
        self._write_model(core.name, models.model(layers))

    def _fewest(self, core: Recipe, models: MixedModels, points: tuple[MixedPoint, ...]) -> int:
        """Find the fewest layers in float32 that bring what a recipe asks for."""
        rms, agreement = core.target_rms, core.target_agreement

        def reaches(point: MixedPoint) -> bool:
            return (rms is None or point.rms <= rms) and (
                agreement is None or point.agreement >= agreement
            )

        self._say(f"{core.name}: looking for the fewest layers")
        fewest = models.fewest(points, reaches)
        if fewest is None:
            last = points[-1]
            raise OptionError(
                f"Making {core.name}",
                got=f"rms {last.rms:.3g} and agreement {last.agreement:.1%} with all "
                f"{last.layers} layers in float32",
                expected="a target that can be reached",
                todo="Ask for less, or take float32.",
            )
        return fewest.layers

    def _load_mixed_models(self, core: Recipe, calibration: Calibration) -> MixedModels:
        exact = self.of(FLOAT32, None).read_bytes()
        whole = self.of(core.unmixed, calibration).read_bytes()
        batches = calibration.batches
        name = f"{core.unmixed.name}{ORDER}"
        record = self._files.find(f"{IMPROVED}/{name}.json")
        if record is None:
            order = float_order(
                exact,
                whole,
                batches,
                lambda p: self._say(f"{p.stage}: operator {p.done + 1} of {p.total}"),
            )
            self._write_record(name, order)
        else:
            order = msgspec.json.decode(record.read_bytes(), type=tuple[Step, ...])
        return MixedModels(exact, whole, order, batches)

    def _measure_curve(self, core: Recipe, models: MixedModels) -> tuple[MixedPoint, ...]:
        """Measure the model with some numbers of layers in float32."""
        name = f"{core.unmixed.name}{CURVE}"
        record = self._files.find(f"{IMPROVED}/{name}.json")
        if record is not None:
            return msgspec.json.decode(record.read_bytes(), type=tuple[MixedPoint, ...])
        points = []
        sizes = models.curve_layers()
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


_FURTHER = 1.25
"""Both kinds round their weights alike, which moves the answers a little either way."""


class CheckLogits:
    """The logits that stages gave on the check pictures."""

    def __init__(self, files: WorkFiles) -> None:
        self._files = files

    def of(self, stage: str) -> FloatArray | None:
        """Load those of a stage, shape (N, classes); None where LiteRT does not run its file."""
        file = self._files.find(f"{WORK}/{stage}.npy")
        return None if file is None else np.load(file)

    def int16_notes(self, artifacts: Iterable[Artifact]) -> Iterator[str]:
        """Name variants with int16 activations that are further off than an int8 counterpart.

        Yields:
            One sentence a variant.
        """
        exact = self.of(FLOAT32.name)
        errors: dict[Recipe, float] = {}
        for card in artifacts:
            own = self.of(card.variant)
            if exact is not None and own is not None and card.fault is None:
                errors[recipe_named(card.variant)] = rms(difference(exact, own))
        for recipe, error in errors.items():
            if recipe.activations == "int16":
                less = error / _FURTHER
                rivals = [r for r in errors if _counterparts(recipe, r) and errors[r] < less]
                if rivals:
                    yield _int16_note(recipe.name, error, rivals[0].name, errors[rivals[0]])


def _counterparts(int16: Recipe, candidate: Recipe) -> bool:
    plain = candidate.activations == "int8" and not candidate.mixed
    return plain and candidate.optimized == int16.optimized


def _int16_note(variant: str, error: float, rival: str, less: float) -> str:
    return (
        f"{variant} is further from float32 than {rival} on the check pictures (logit rms "
        f"{formats.logits(error)} against {formats.logits(less)}), though its steps are finer: an "
        f"operator in it goes wrong. Take {rival}; the page Layers, or python -m engine layers, "
        "names the operator."
    )


def load_mixed_models(run: Run, whole: str) -> MixedModels:
    """Load the mixed models of a run's optimized variant, from the records of their choice."""
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
