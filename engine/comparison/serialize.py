"""Records of a comparison in plain Python types, ready for JSON.

NaN and infinity become None, because JSON has neither.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from engine.comparison.latency import Latency
from engine.comparison.records import Accuracy, VariantComparison
from engine.core.types import Interval

FLOAT32 = "float32"
"""The variant that latency ratios are taken to."""
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
    derived = {
        "flip_count": len(variant.flips),
        "bytes": size,
        "size_ratio": size_ratio,
        "latency_ms": None if samples is None else samples.median_ms,
        "latency_ratio": None if latency is None else latency.ratio(variant.variant, FLOAT32),
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
