"""The frozen records that travel between the rooms of the engine.

Only the standard library and numpy are needed to read them. Arrays inside records are
never written to after the record is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.comparison.latency import Latency, LatencySamples
from engine.core.types import (
    FAULT_WORDS,
    Fault,
    LoweringName,
)
from engine.tflite.artifact import Artifact

RouteName = Literal["litert-torch"]
ROUTES: tuple[RouteName, ...] = ("litert-torch",)


@dataclass(frozen=True, slots=True)
class AddedFile:
    """A TFLite file of another tool that stands beside the variants of a run.

    Attributes:
        artifact: Its identity card; ``variant`` is the name a person gave it.
        origin: The file it was copied from, or the tool that made it, in words for a person.
        added_at: UTC time in ISO 8601.
    """

    artifact: Artifact
    origin: str
    added_at: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the conversion and, where it made a model, how far that model's answers moved.

    Attributes:
        name: ``pytorch``, ``onnx``, ``savedmodel`` or a variant's name.
        seconds: Wall time of the step when it was computed; a step taken from the store keeps
            the time it took then.
        against: The stage whose answers these were compared with; None for the first.
        max_abs_error: Largest absolute difference of any logit over the check pictures.
        max_rel_error: ``max_abs_error`` divided by the largest absolute logit of the other side.
        reused: True when the step was done for an earlier conversion of the same run.
        unchecked: Why the answers could not be compared; None where they were, or where there is
            nothing to compare with.
        fault: What makes its answers useless: ``same_answer`` for every picture, or
            ``not_finite``; None where nothing does, or where they could not be compared.
    """

    name: str
    seconds: float
    against: str | None = None
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    reused: bool = False
    unchecked: str | None = None
    fault: Fault | None = None

    def __post_init__(self) -> None:
        """Read records from before there were faults, which gave this one as a reason."""
        if self.unchecked == FAULT_WORDS["not_finite"]:
            object.__setattr__(self, "fault", "not_finite")
            object.__setattr__(self, "unchecked", None)


@dataclass(frozen=True, slots=True)
class LoweringSide:
    """What one lowering made of a model.

    Attributes:
        artifacts: The TFLite files.
        failures: Why it could not make others, by variant.
    """

    artifacts: tuple[Artifact, ...]
    failures: Mapping[str, str]

    def artifact(self, variant: str) -> Artifact | None:
        """The file of a variant, or None where it could not be made."""
        return next((a for a in self.artifacts if a.variant == variant), None)


@dataclass(frozen=True, slots=True)
class Lowerings:
    """The same model through onnx-tf's own handlers and through ours.

    Attributes:
        stock: What onnx-tf's own handlers made.
        nhwc: What ours made.
        latency: All files timed in turns, named ``<variant> <lowering>``.
    """

    stock: LoweringSide
    nhwc: LoweringSide
    latency: Latency

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants that at least one side has."""
        names = (a.variant for a in (*self.nhwc.artifacts, *self.stock.artifacts))
        return tuple(dict.fromkeys(names))

    def side(self, lowering: LoweringName) -> LoweringSide:
        """What a lowering made."""
        return self.stock if lowering == "stock" else self.nhwc

    def latency_of(self, variant: str, lowering: LoweringName) -> LatencySamples | None:
        """Samples of a file, or None where there is no such file."""
        return self.latency.of(f"{variant} {lowering}")

    def speedup(self, variant: str) -> float | None:
        """Median latency of the stock lowering divided by ours; None where one is missing."""
        return self.latency.ratio(f"{variant} stock", f"{variant} nhwc")
