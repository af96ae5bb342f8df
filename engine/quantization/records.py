"""Records of quantized layers and of mixed precision."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from engine.comparison.latency import Latency, LatencySamples


@dataclass(frozen=True, slots=True)
class MixedCurve:
    """Error and cost by number of layers in float32.

    Attributes:
        whole: Name of the variant without a layer in float32.
        points: By number of layers, on calibration pictures; the first has none, the last all.
        latency: Of float32 and of some of the points, called as `name_of_point` says; None where it
            was not measured.
    """

    whole: str
    points: tuple[MixedPoint, ...]
    latency: Latency | None = None

    def latency_of(self, layers: int) -> LatencySamples | None:
        """Find the samples of a point by its layers in float32; None where it was not timed."""
        wanted = name_of_point(layers)
        entries = self.latency.entries if self.latency is not None else ()
        return next((entry for entry in entries if entry.variant == wanted), None)

    @property
    def timed_float32(self) -> LatencySamples | None:
        """Samples of float32; None where nothing was timed."""
        entries = self.latency.entries if self.latency is not None else ()
        return next((entry for entry in entries if entry.variant == "float32"), None)

    def of_size(self, size: int) -> MixedPoint:
        """Find the point whose file comes closest to a size in bytes."""
        return min(self.points, key=lambda point: abs(point.bytes - size))

    @property
    def rises(self) -> tuple[MixedPoint, ...]:
        """Points whose error is above that of the point with fewer layers."""
        return tuple(after for before, after in pairwise(self.points) if after.rms > before.rms)

    @property
    def monotone(self) -> bool:
        """Whether no further layer brings the error up."""
        return not self.rises


@dataclass(frozen=True, slots=True)
class OptimizedLayer:
    """Changes that the optimizing pass made to one operator of an integer model.

    Attributes:
        name: Name of the operator's output.
        op: The TFLite operator.
        index: Place of its counterpart among the float32 model's operators, as in
            `engine.comparison.layers`; None where it has none.
        done: What was changed, in order: ``gptq`` (weights), ``bias``, ``range``; and ``float32``
            for a head that gives float32 logits in place of integers.
        left: Why nothing was changed; None where something was.
        before: Root mean square, in real units, between the output as it was and the float
            model's, on the integer input that it now gets; None where it was not looked at.
        after: The same as it is now: not above ``before``, but for a head of int8 logits. The
            margin of its range takes up to 2 % wider steps, so that no answer is clipped.
        seconds: Wall time, running the operator on all pictures included.
    """

    name: str
    op: str
    index: int | None = None
    done: tuple[str, ...] = ()
    left: str | None = None
    before: float | None = None
    after: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FloatLayer:
    """A layer of an integer model that is computed in float32.

    Attributes:
        name: Name of its output.
        op: The TFLite operator.
        index: Place of its counterpart among the float32 model's operators.
    """

    name: str
    op: str
    index: int


def name_of_point(layers: int) -> str:
    """Name a model with so many layers in float32 among samples of latency."""
    return f"k={layers}"


@dataclass(frozen=True, slots=True)
class MixedPoint:
    """Error of an integer model with some layers in float32, on calibration pictures.

    Attributes:
        layers: How many layers with weights are computed in float32.
        kept: These layers, the one that wins most first.
        bytes: Size of the file.
        rms: Root mean square of the logits' differences to the float32 model's, each row's mean
            removed, in logits.
        kl: Mean Kullback-Leibler divergence of the softmaxes, in nats.
        agreement: Share of pictures with the same answer.
    """

    layers: int
    kept: tuple[FloatLayer, ...]
    bytes: int
    rms: float
    kl: float
    agreement: float
