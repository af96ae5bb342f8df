"""Records in, Plotly figures out.

Every axis names quantity, unit and which way is good; a variant has the same hue and marker in
every figure; marks carry their labels. Grounds are transparent, so that a figure stands on light
and dark pages alike.
"""

from __future__ import annotations

# Plotly reads whatever `sys.modules` holds for pandas, and fails on one that another thread is
# still importing. An import waits for that thread.
import pandas as pd  # noqa: F401

from engine.comparison.recommendation import TradeOffPoint
from engine.reporting.plots.accuracy import accuracy_intervals, reliability_curve
from engine.reporting.plots.conversion import (
    hop_ladder,
    lowering_latency,
    lowering_operators,
    operator_counts,
)
from engine.reporting.plots.frame import figure_csv, headline_of, take_title_off, without_title
from engine.reporting.plots.latency import (
    latency_bars,
    latency_samples,
    latency_violins,
    operator_times,
    size_bars,
)
from engine.reporting.plots.layers import layer_histogram, layer_line, layer_lines
from engine.reporting.plots.logits import (
    difference_distribution,
    difference_heatmap,
    logit_scatter,
    top_logits,
)
from engine.reporting.plots.margins import changed_classes, margin_loss
from engine.reporting.plots.sweep import calibration_counts, mixed_by_latency, mixed_by_size
from engine.reporting.plots.trade_off import trade_off, trade_off_by_size

__all__ = [
    "TradeOffPoint",
    "accuracy_intervals",
    "calibration_counts",
    "changed_classes",
    "difference_distribution",
    "difference_heatmap",
    "figure_csv",
    "headline_of",
    "hop_ladder",
    "latency_bars",
    "latency_samples",
    "latency_violins",
    "layer_histogram",
    "layer_line",
    "layer_lines",
    "logit_scatter",
    "lowering_latency",
    "lowering_operators",
    "margin_loss",
    "mixed_by_latency",
    "mixed_by_size",
    "operator_counts",
    "operator_times",
    "reliability_curve",
    "size_bars",
    "take_title_off",
    "top_logits",
    "trade_off",
    "trade_off_by_size",
    "without_title",
]
