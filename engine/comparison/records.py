"""Records of a comparison, and the same in plain Python types, ready for JSON.

NaN and infinity become None there, because JSON has neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import msgspec

from engine.comparison.latency import Latency
from engine.core.types import Fault, FloatArray, Interval


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
class MemoryUse:
    """What a TFLite file takes in a process of its own on this machine.

    Attributes:
        peak_bytes: Most resident memory while it is loaded and called, above that of an empty file.
        load_ms: Milliseconds until it can be called.
        by: Runtime, threads and machine.
    """

    peak_bytes: float
    load_ms: float
    by: str


FLOAT32 = "float32"
"""The variant that ratios of size, latency and memory are taken to."""
_FIGURE_KEYS = (
    "top1_agreement",
    "top1_agreement_interval",
    "top5_overlap",
    "flip_count",
    "flips",
    "logit_rms",
    "logit_mean",
    "logit_max",
    "logit_sqnr_db",
    "cosine",
    "kl",
    "non_finite",
    "bytes",
    "size_ratio",
    "latency_ms",
    "latency_ratio",
    "load_ms",
    "peak_memory_bytes",
    "memory_ratio",
)
_ACCURACY_KEYS = (
    "top1_accuracy",
    "top1_accuracy_interval",
    "top5_accuracy",
    "top5_accuracy_interval",
    "mcnemar_p",
    "lost",
    "won",
    "calibration_error",
    "calibration_bins",
    "class_changes",
)
SCALAR_KEYS = tuple(
    key
    for key in _FIGURE_KEYS + _ACCURACY_KEYS
    if not key.endswith("_interval") and key not in ("flips", "calibration_bins", "class_changes")
)
"""Keys of `variant_dict` that hold one number or None."""


def variant_dict(
    variant: VariantComparison,
    *,
    size: int | None,
    size_ratio: float | None,
    latency: Latency | None,
    memory: MemoryUse | None,
    memory_ratio: float | None,
) -> dict[str, Any]:
    """Give one variant's figures with stable keys; None for those that are not known.

    Returns:
        `SCALAR_KEYS`, the intervals as ``[low, high]``, ``flips``, and ``fault``, which is
        ``same_answer``, ``not_finite`` or None; arrays stay behind.
    """
    samples = None if latency is None else latency.of(variant.variant)
    derived = {
        "flip_count": len(variant.flips),
        "bytes": size,
        "size_ratio": size_ratio,
        "latency_ms": None if samples is None else samples.median_ms,
        "latency_ratio": None if latency is None else latency.ratio(variant.variant, FLOAT32),
        "load_ms": None if memory is None else memory.load_ms,
        "peak_memory_bytes": None if memory is None else memory.peak_bytes,
        "memory_ratio": memory_ratio,
    }
    figures = {
        key: plain(derived[key] if key in derived else getattr(variant, key))
        for key in _FIGURE_KEYS
    }
    return figures | accuracy_dict(variant.accuracy) | {"fault": variant.fault}


def accuracy_dict(accuracy: Accuracy | None) -> dict[str, Any]:
    """Give an accuracy's figures with stable keys; every one is None where there is none."""
    if accuracy is None:
        return dict.fromkeys(_ACCURACY_KEYS)
    figures = (
        accuracy.top1,
        accuracy.top1_interval,
        accuracy.top5,
        accuracy.top5_interval,
        accuracy.mcnemar_p,
        accuracy.lost,
        accuracy.won,
        accuracy.reliability.error,
        accuracy.reliability.bins,
    )
    changes = [plain(change) | {"lost": change.lost} for change in accuracy.changes]
    return dict(zip(_ACCURACY_KEYS, (*map(plain, figures), changes), strict=True))


def latency_dict(timed: Latency) -> dict[str, Any]:
    """Give raw samples and the figures derived from them."""
    entries = [
        msgspec.to_builtins(entry)
        | {
            "median_ms": entry.median_ms,
            "p90_ms": entry.p90_ms,
            "spread": plain(entry.spread),
            "trusted": entry.trusted,
        }
        for entry in timed.entries
    ]
    return {**msgspec.to_builtins(timed), "entries": entries}


def plain(value: Any) -> Any:
    """Convert a figure or a record of figures.

    Not `msgspec.to_builtins`, which leaves NaN as it is and makes an `Interval` an object.
    """
    if isinstance(value, Interval):
        return [value.low, value.high]
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
