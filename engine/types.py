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
    LoweringName,
)
from engine.tflite.artifact import Artifact

RouteName = Literal["litert-torch"]
ROUTES: tuple[RouteName, ...] = ("litert-torch",)


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
