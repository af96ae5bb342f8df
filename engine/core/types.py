"""The frozen records that travel between the rooms of the engine.

Only the standard library and numpy are needed to read them. Arrays inside records are
never written to after the record is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]
PictureMode = Literal["RGB", "RGBA"]
"""Pillow's mode of the pictures that network inputs are made from."""
Layout = Literal["NCHW", "NHWC"]
LAYOUTS: tuple[Layout, ...] = ("NHWC", "NCHW")
LoweringName = Literal["nhwc", "stock"]
LOWERINGS: tuple[LoweringName, ...] = ("nhwc", "stock")
NetworkKind = Literal["torchvision", "efficientnet_lite", "timm", "onnx"]
Fault = Literal["same_answer", "not_finite"]
FAULT_WORDS: Mapping[Fault, str] = {
    "same_answer": "answers the same for every picture",
    "not_finite": "answers NaN or Inf",
}
ORIGINAL = "original"
"""Name of the column of the model before conversion: PyTorch, or a person's own ONNX file."""


@dataclass(frozen=True, slots=True)
class MissingVariant:
    """A variant that was asked for and could not be made.

    Attributes:
        variant: Name of the recipe.
        kind: Class of `engine.core.errors` that its failure is of.
        stage: What was being done.
        got: What was met.
        expected: What would have been right.
        todo: What a person can do now.
    """

    variant: str
    kind: str
    stage: str
    got: str
    expected: str
    todo: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval of a proportion."""

    low: float
    high: float


SAME = 0.05
"""Speeds or sizes that differ by less than this share count as equal."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a job stands.

    Attributes:
        stage: What is being done, in words for a person.
        done: Steps finished.
        total: Steps in all; 0 where not known yet.
    """

    stage: str
    done: int
    total: int

    @property
    def fraction(self) -> float:
        """Share of the steps finished, 0 to 1."""
        return self.done / self.total if self.total else 0.0


Report = Callable[[Progress], None]
"""Receives the progress of a task."""
OnProgress = Callable[[Progress], None]
