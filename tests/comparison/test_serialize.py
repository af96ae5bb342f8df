"""The very text of the JSON that `compare --json` and `latency --json` write: others read it."""

from __future__ import annotations

import json
import math

import numpy as np

from engine.comparison.latency import Latency, LatencySamples
from engine.comparison.records import (
    Accuracy,
    ClassChange,
    ConfidenceBin,
    Flip,
    MemoryUse,
    Reliability,
    VariantComparison,
    accuracy_dict,
    latency_dict,
    variant_dict,
)
from engine.core.types import Interval
from engine.tflite.operator_times import OperatorTime

HALF = Interval(0.25, 0.75)
ACCURACY = Accuracy(
    pictures=4,
    top1=0.5,
    top1_interval=HALF,
    top5=1.0,
    top5_interval=Interval(0.5, 1.0),
    mcnemar_p=0.125,
    lost=2,
    won=0,
    reliability=Reliability((ConfidenceBin(0.5, 0.75, 4, 0.625, 0.5, HALF),), math.nan, 0),
    changes=(ClassChange(3, 4, 4, 2, None),),
)
VARIANT = VariantComparison(
    variant="int8",
    pictures=4,
    top1_agreement=0.5,
    top1_agreement_interval=HALF,
    top5_overlap=0.75,
    flips=(Flip('a "b".png', 1, 0, 2, 1.5, 0.25),),
    logit_rms=math.nan,
    logit_mean=float(np.float64(0.125)),
    logit_max=2.0,
    logit_sqnr_db=math.inf,
    cosine=1.0,
    kl=0.0,
    non_finite=1,
    picture_rms=np.zeros(4),
    picture_kl=np.zeros(4),
    class_rms=np.zeros(3),
    reference_margins=np.zeros(4),
    kept_margins=np.zeros(4),
    accuracy=ACCURACY,
    fault="not_finite",
)
OPERATORS = (OperatorTime(0, "CONV_2D", "XNNPACK", 2.5),)
TIMED = Latency(
    "a machine",
    2,
    1,
    "2026-01-02T03:04:05+00:00",
    (
        LatencySamples("float32", (8.0, 8.0)),
        LatencySamples("int8", (4.0, 4.0), operators=OPERATORS, pictures=2),
        LatencySamples("coarse", (0.0,)),
    ),
)


def test_a_variant() -> None:
    plain = variant_dict(
        VARIANT,
        size=100,
        size_ratio=0.25,
        latency=TIMED,
        memory=MemoryUse(300.0, 1.5, "a tool"),
        memory_ratio=0.75,
    )
    assert json.dumps(plain) == (
        '{"top1_agreement": 0.5, "top1_agreement_interval": [0.25, 0.75], "top5_overlap": '
        '0.75, "flip_count": 1, "flips": [{"picture": "a \\"b\\".png", "index": 1, '
        '"reference_class": 0, "variant_class": 2, "reference_margin": 1.5, '
        '"variant_margin": 0.25}], "logit_rms": null, "logit_mean": 0.125, "logit_max": 2.0, '
        '"logit_sqnr_db": null, "cosine": 1.0, "kl": 0.0, "non_finite": 1, "bytes": 100, '
        '"size_ratio": 0.25, "latency_ms": 4.0, "latency_ratio": 0.5, "load_ms": 1.5, '
        '"peak_memory_bytes": 300.0, "memory_ratio": 0.75, "top1_accuracy": 0.5, '
        '"top1_accuracy_interval": [0.25, 0.75], "top5_accuracy": 1.0, '
        '"top5_accuracy_interval": [0.5, 1.0], "mcnemar_p": 0.125, "lost": 2, "won": 0, '
        '"calibration_error": null, "calibration_bins": [{"low": 0.5, "high": 0.75, '
        '"pictures": 4, "confidence": 0.625, "right": 0.5, "right_interval": [0.25, 0.75]}], '
        '"class_changes": [{"index": 3, "pictures": 4, "reference_right": 4, '
        '"variant_right": 2, "taken_for": null, "lost": 2}], "fault": "not_finite"}'
    )


def test_an_accuracy_that_is_not_known() -> None:
    assert json.dumps(accuracy_dict(None)) == (
        '{"top1_accuracy": null, "top1_accuracy_interval": null, "top5_accuracy": null, '
        '"top5_accuracy_interval": null, "mcnemar_p": null, "lost": null, "won": null, '
        '"calibration_error": null, "calibration_bins": null, "class_changes": null}'
    )


def test_timings() -> None:
    assert json.dumps(latency_dict(TIMED)) == (
        '{"host": "a machine", "cores": 2, "threads": 1, "measured_at": '
        '"2026-01-02T03:04:05+00:00", "entries": [{"variant": "float32", "samples_ms": [8.0, '
        '8.0], "operators": [], "unprofiled": "", "measured_at": "", "pictures": 1, '
        '"median_ms": 8.0, "p90_ms": 8.0, "spread": 0.0, "trusted": true}, {"variant": '
        '"int8", "samples_ms": [4.0, 4.0], "operators": [{"index": 0, "op": "CONV_2D", '
        '"kernel": "XNNPACK", "microseconds": 2.5}], "unprofiled": "", "measured_at": "", '
        '"pictures": 2, "median_ms": 4.0, "p90_ms": 4.0, "spread": 0.0, "trusted": true}, '
        '{"variant": "coarse", "samples_ms": [0.0], "operators": [], "unprofiled": "", '
        '"measured_at": "", "pictures": 1, "median_ms": 0.0, "p90_ms": 0.0, "spread": null, '
        '"trusted": false}]}'
    )
