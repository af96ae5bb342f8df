"""The frozen records that travel between the rooms of the engine.

Only the standard library and numpy are needed to read them. Arrays inside records are
never written to after the record is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from engine.core.types import (
    FAULT_WORDS,
    SAME,
    Fault,
    FloatArray,
    Interval,
    LoweringName,
    NetworkKind,
)
from engine.tflite.artifact import Artifact
from engine.tflite.operator_times import OperatorTime

RouteName = Literal["litert-torch"]
ROUTES: tuple[RouteName, ...] = ("litert-torch",)
WeightsKind = Literal["package", "pretrained", "checkpoint", "random", "file", "network"]


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
class ModelIdentity:
    """Which network with which weights a run was made from.

    Attributes:
        name: Catalogue name, the stem of an ONNX file, or the class of a network.
        kind: ``torchvision``, ``efficientnet_lite``, ``timm`` or ``onnx``.
        weights: Where the weights came from; ``network`` for one of a person's own process, which
            was exported to ONNX there.
        weights_sha256: Hex digest of the weights file; for random weights of the state dict, for
            ``network`` of the ONNX file that was exported.
        weights_file: Path of a checkpoint or ONNX file that a person gave; otherwise None.
        parameters: Number of parameters.
        classes: Number of logits.
        weights_of: Name of the set of weights that was taken of a checkpoint that holds several;
            None where it holds one, and for runs from before it was kept.
    """

    name: str
    kind: NetworkKind
    weights: WeightsKind
    weights_sha256: str
    weights_file: str | None
    parameters: int
    classes: int
    weights_of: str | None = None

    @property
    def file_stem(self) -> str:
        """The name as a part of a file's name: timm's names hold a slash."""
        return self.name.replace("/", "_")

    @property
    def random(self) -> bool:
        """Whether figures about accuracy or agreement mean nothing for this model."""
        return self.weights == "random"


@dataclass(frozen=True, slots=True)
class CalibrationInfo:
    """The representative dataset that a run's integer variants were calibrated with.

    Attributes:
        count: Pictures used.
        seed: Seed of the choice among the pictures given.
        digest: SHA-256 over the digests of the pictures, in the order used.
        demo: True when no pictures were given and crops of the sample images stood in.
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


@dataclass(frozen=True, slots=True)
class Flip:
    """A picture on which a variant's first answer is not the reference's.

    Attributes:
        picture: Name of the picture.
        index: Its row in the logits.
        reference_class: The reference's answer.
        variant_class: The variant's answer.
        reference_margin: The reference's first logit minus its second.
        variant_margin: The same of the variant.
    """

    picture: str
    index: int
    reference_class: int
    variant_class: int
    reference_margin: float
    variant_margin: float


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Pictures on which a model is about equally sure of its first answer.

    Attributes:
        low: Least confidence of the bin; it belongs to the bin below, but for 0.
        high: Most confidence of the bin.
        pictures: How many.
        confidence: Mean share that the softmax gives to the first answer.
        right: Share whose first answer is the label.
        right_interval: Wilson score interval of it.
    """

    low: float
    high: float
    pictures: int
    confidence: float
    right: float
    right_interval: Interval


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether a model is as often right as it is sure: the calibration curve.

    Attributes:
        bins: Bins that hold pictures, the least sure first.
        error: Expected calibration error: mean distance of confidence and share of right answers
            over the bins, weighted by pictures; NaN where no picture has a confidence.
        left_out: Labelled pictures without a confidence, for NaN or Inf.
    """

    bins: tuple[ConfidenceBin, ...]
    error: float
    left_out: int


@dataclass(frozen=True, slots=True)
class ClassChange:
    """A class that a variant is right about more or less often than the reference.

    Attributes:
        index: The class.
        pictures: Pictures with this label.
        reference_right: On how many the reference's first answer is right.
        variant_right: On how many the variant's is.
        taken_for: The variant's most frequent wrong answer on them; None where it has none.
    """

    index: int
    pictures: int
    reference_right: int
    variant_right: int
    taken_for: int | None

    @property
    def lost(self) -> int:
        """Right answers lost; negative where some were won."""
        return self.reference_right - self.variant_right


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often a model's answers are right.

    Attributes:
        pictures: Labelled pictures counted.
        top1: Share whose first answer is the label.
        top1_interval: Wilson score interval of ``top1``.
        top5: Share whose first five answers hold the label.
        top5_interval: Wilson score interval of ``top5``.
        mcnemar_p: Two-sided p-value of McNemar's exact test against the reference; None for the
            reference itself.
        lost: Pictures on which the reference alone is right; None for the reference itself.
        won: Pictures on which this model alone is right; None for the reference itself.
        reliability: Its calibration curve.
        changes: Classes with another number of right answers than the reference has, the ones
            that lost most first; empty for the reference itself.
    """

    pictures: int
    top1: float
    top1_interval: Interval
    top5: float
    top5_interval: Interval
    mcnemar_p: float | None
    lost: int | None
    won: int | None
    reliability: Reliability
    changes: tuple[ClassChange, ...]


@dataclass(frozen=True, slots=True, eq=False)
class VariantComparison:
    """One variant's answers against the reference's, on the same pictures.

    Logit differences are taken after each row's mean is removed, because softmax does not see
    it. Where a side ends in a softmax, logarithms of probabilities stand in for logits on both. One
    output alone is read as two classes: 0 below the threshold, 1 above it.

    Attributes:
        variant: Name of the variant.
        pictures: Pictures compared.
        top1_agreement: Share of pictures with the same first answer.
        top1_agreement_interval: Wilson score interval of it.
        top5_overlap: Mean share of common classes among the first five (all, if fewer classes).
        flips: Pictures whose first answer changed.
        logit_rms: Root mean square of the differences.
        logit_mean: Mean of the absolute differences.
        logit_max: Largest absolute difference.
        logit_sqnr_db: Signal to quantization noise ratio in dB.
        cosine: Mean cosine similarity of the rows.
        kl: Mean Kullback-Leibler divergence of the softmaxes, reference against variant, in nats.
        non_finite: Rows in which the variant gives NaN or Inf; such rows never agree, and where
            either side has some, the figures about logits above are NaN.
        picture_rms: Rms of the differences of each picture, shape (pictures,).
        picture_kl: KL of each picture, shape (pictures,).
        class_rms: Rms of the differences of each class, shape (classes,).
        reference_margins: The reference's first logit minus its second, of each picture, shape
            (pictures,).
        kept_margins: What the variant leaves of it: its logit of the reference's first class minus
            its largest other, negative where another class comes first, shape (pictures,).
        accuracy: Against labels, where there are some.
        probabilities: Whether the variant's outputs were recognised as those of a softmax.
        fault: What makes its answers useless, on these pictures or on those that the conversion was
            checked on: ``same_answer`` for every picture, or ``not_finite``; None where nothing
            does. Such a variant is not recommended and passes no gate.
    """

    variant: str
    pictures: int
    top1_agreement: float
    top1_agreement_interval: Interval
    top5_overlap: float
    flips: tuple[Flip, ...]
    logit_rms: float
    logit_mean: float
    logit_max: float
    logit_sqnr_db: float
    cosine: float
    kl: float
    non_finite: int
    picture_rms: FloatArray = field(repr=False)
    picture_kl: FloatArray = field(repr=False)
    class_rms: FloatArray = field(repr=False)
    reference_margins: FloatArray = field(repr=False)
    kept_margins: FloatArray = field(repr=False)
    accuracy: Accuracy | None = None
    probabilities: bool = False
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class LatencySamples:
    """Raw timings of one model: milliseconds of one call.

    Attributes:
        variant: Name of the variant.
        samples_ms: One figure a round, in the order measured.
        operators: What each operator of a TFLite file takes, in the order in which they ran; empty
            where LiteRT's profiler was not asked or gave no answer.
        unprofiled: Why it gave none; empty where it did, or was not asked.
        measured_at: UTC time in ISO 8601; empty where it is that of the `Latency`.
        pictures: How many a call computes: the batch that the model is fixed to.
    """

    variant: str
    samples_ms: tuple[float, ...]
    operators: tuple[OperatorTime, ...] = ()
    unprofiled: str = ""
    measured_at: str = ""
    pictures: int = 1

    @property
    def median_ms(self) -> float:
        """Median of the samples in milliseconds."""
        return float(np.median(self.samples_ms))

    @property
    def p90_ms(self) -> float:
        """90th percentile of the samples in milliseconds."""
        return float(np.percentile(self.samples_ms, 90))

    @property
    def quartiles_ms(self) -> tuple[float, float]:
        """25th and 75th percentile of the samples in milliseconds."""
        low, high = np.percentile(self.samples_ms, (25, 75))
        return float(low), float(high)

    @property
    def spread(self) -> float:
        """Interquartile range divided by the median, without unit; infinite for a median of 0."""
        low, high = self.quartiles_ms
        # A median of 0 is a clock too coarse for the call.
        return (high - low) / self.median_ms if self.median_ms > 0 else math.inf

    @property
    def trusted(self) -> bool:
        """Whether the spread is small enough for the median to be believed."""
        return self.spread <= SPREAD_LIMIT

    @property
    def slack(self) -> float:
        """Share by which another median must differ to count: `SAME`, or a spread too wide."""
        return SAME if self.trusted else self.spread


SPREAD_LIMIT = 0.15
"""Interquartile range over median above which a latency figure is not to be trusted."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of several models on one machine; those measured at one time took turns.

    Attributes:
        host: Processor and operating system.
        cores: Logical cores that the measuring process may use.
        threads: Threads each model was given.
        measured_at: UTC time in ISO 8601 of the last measurement.
        entries: Samples a model.
    """

    host: str
    cores: int
    threads: int
    measured_at: str
    entries: tuple[LatencySamples, ...]

    @property
    def moments(self) -> tuple[str, ...]:
        """When its entries were measured, each time once, the first one first."""
        times = {entry.measured_at or self.measured_at for entry in self.entries}
        return tuple(sorted(times or {self.measured_at}))

    @property
    def profiled(self) -> bool:
        """Whether the operators of any model are timed."""
        return any(entry.operators for entry in self.entries)

    def of(self, variant: str) -> LatencySamples | None:
        """The samples of one variant, or None where it was not measured."""
        return next((entry for entry in self.entries if entry.variant == variant), None)

    def ratio(self, variant: str, base: str) -> float | None:
        """Median of one variant divided by that of another; None without both, or to a 0."""
        one, other = self.of(variant), self.of(base)
        if one is None or other is None or other.median_ms == 0:
            return None
        return one.median_ms / other.median_ms


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


@dataclass(frozen=True, slots=True)
class OptimizedLayer:
    """What the optimizing pass did to one operator of an integer model.

    Attributes:
        name: Name of the operator's output.
        op: The TFLite operator.
        index: Place of its counterpart among the float32 model's operators, as in
            `engine.layer_errors`; None where it has none.
        done: What was changed, in order: ``gptq`` (weights), ``bias``, ``range``.
        left: Why nothing was changed; None where something was.
        before: Root mean square, in real units, between the output as it was and the float
            model's, on the integer input that it now gets; None where it was not looked at.
        after: The same as it is now.
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


def timed_name(layers: int) -> str:
    """What a model with so many layers in float32 is called among samples of latency."""
    return f"k={layers}"


@dataclass(frozen=True, slots=True)
class MixedPoint:
    """What an integer model with some layers in float32 gives, on calibration pictures.

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
