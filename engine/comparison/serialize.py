"""Records of a comparison in plain Python types, ready for JSON.

NaN and infinity become None, because JSON has neither.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import msgspec

from engine.comparison.latency import Latency
from engine.comparison.records import Accuracy, VariantComparison
from engine.core.types import Interval

FLOAT32 = "float32"
"""The variant that latency ratios are taken to."""
SCALAR_KEYS = (
    "top1_agreement",
    "top5_overlap",
    "flip_count",
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
    "top1_accuracy",
    "top5_accuracy",
    "mcnemar_p",
    "lost",
    "won",
    "calibration_error",
)
"""Keys of `variant_dict` that hold one number or None."""
ACCURACY_KEYS = (
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
"""Keys of `accuracy_dict`."""


def variant_dict(
    variant: VariantComparison,
    *,
    size: int | None,
    size_ratio: float | None,
    latency: Latency | None,
) -> dict[str, Any]:
    """Give one variant's figures with stable keys.

    Args:
        variant: Its record.
        size: Bytes of its file, where known.
        size_ratio: ``size`` divided by the bytes of float32, where known.
        latency: Timings of the run, where measured; ``latency_ratio`` is to `FLOAT32`.

    Returns:
        `SCALAR_KEYS`, the intervals as ``[low, high]``, ``flips``, and ``fault``, which is
        ``same_answer``, ``not_finite`` or None; arrays stay behind.
    """
    samples = None if latency is None else latency.of(variant.variant)
    ratio = None if latency is None else latency.ratio(variant.variant, FLOAT32)
    return {
        "top1_agreement": variant.top1_agreement,
        "top1_agreement_interval": _ends(variant.top1_agreement_interval),
        "top5_overlap": variant.top5_overlap,
        "flip_count": len(variant.flips),
        "flips": [asdict(flip) for flip in variant.flips],
        "logit_rms": _figure(variant.logit_rms),
        "logit_mean": _figure(variant.logit_mean),
        "logit_max": _figure(variant.logit_max),
        "logit_sqnr_db": _figure(variant.logit_sqnr_db),
        "cosine": _figure(variant.cosine),
        "kl": _figure(variant.kl),
        "non_finite": variant.non_finite,
        "bytes": None if size is None else int(size),
        "size_ratio": _figure(size_ratio),
        "latency_ms": None if samples is None else _figure(samples.median_ms),
        "latency_ratio": _figure(ratio),
        **accuracy_dict(variant.accuracy),
        "fault": variant.fault,
    }


def accuracy_dict(accuracy: Accuracy | None) -> dict[str, Any]:
    """Give an accuracy's figures with stable keys; every one is None where there is none."""
    if accuracy is None:
        return dict.fromkeys(ACCURACY_KEYS)
    return {
        "top1_accuracy": accuracy.top1,
        "top1_accuracy_interval": _ends(accuracy.top1_interval),
        "top5_accuracy": accuracy.top5,
        "top5_accuracy_interval": _ends(accuracy.top5_interval),
        "mcnemar_p": accuracy.mcnemar_p,
        "lost": accuracy.lost,
        "won": accuracy.won,
        "calibration_error": _figure(accuracy.reliability.error),
        "calibration_bins": [
            asdict(found) | {"right_interval": _ends(found.right_interval)}
            for found in accuracy.reliability.bins
        ],
        "class_changes": [asdict(change) | {"lost": change.lost} for change in accuracy.changes],
    }


def _ends(interval: Interval) -> list[float]:
    return [interval.low, interval.high]


def _figure(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def latency_dict(timed: Latency) -> dict[str, Any]:
    """Raw samples and the figures derived from them, in plain types."""
    plain: dict[str, Any] = msgspec.to_builtins(timed)
    plain["entries"] = [
        msgspec.to_builtins(entry)
        | {
            "median_ms": entry.median_ms,
            "p90_ms": entry.p90_ms,
            "spread": entry.spread if math.isfinite(entry.spread) else None,
            "trusted": entry.trusted,
        }
        for entry in timed.entries
    ]
    return plain
