"""Plotly figures, made from records.

Every axis names quantity, unit and which way is good; a variant has the same hue and marker in
every figure; marks carry their labels. Grounds are transparent, so that a figure stands on light
and dark pages alike.
"""

from __future__ import annotations

# Plotly reads whatever `sys.modules` holds for pandas, and fails on one that another thread is
# still importing. An import waits for that thread.
import pandas as pd  # noqa: F401

from engine.comparison.recommendation import TradeOffPoint as TradeOffPoint
from engine.reporting.plots.accuracy import accuracy_intervals as accuracy_intervals
from engine.reporting.plots.accuracy import reliability_curve as reliability_curve
from engine.reporting.plots.conversion import hop_ladder as hop_ladder
from engine.reporting.plots.conversion import lowering_latency as lowering_latency
from engine.reporting.plots.conversion import lowering_operators as lowering_operators
from engine.reporting.plots.conversion import operator_counts as operator_counts
from engine.reporting.plots.frame import figure_csv as figure_csv
from engine.reporting.plots.frame import headline_of as headline_of
from engine.reporting.plots.frame import take_title_off as take_title_off
from engine.reporting.plots.frame import without_title as without_title
from engine.reporting.plots.latency import latency_bars as latency_bars
from engine.reporting.plots.latency import latency_samples as latency_samples
from engine.reporting.plots.latency import latency_violins as latency_violins
from engine.reporting.plots.latency import load_bars as load_bars
from engine.reporting.plots.latency import memory_bars as memory_bars
from engine.reporting.plots.latency import operator_times as operator_times
from engine.reporting.plots.latency import size_bars as size_bars
from engine.reporting.plots.layers import layer_histogram as layer_histogram
from engine.reporting.plots.layers import layer_line as layer_line
from engine.reporting.plots.layers import layer_lines as layer_lines
from engine.reporting.plots.layers import loss_split as loss_split
from engine.reporting.plots.logits import changed_classes as changed_classes
from engine.reporting.plots.logits import difference_distribution as difference_distribution
from engine.reporting.plots.logits import difference_heatmap as difference_heatmap
from engine.reporting.plots.logits import logit_scatter as logit_scatter
from engine.reporting.plots.logits import margin_loss as margin_loss
from engine.reporting.plots.logits import top_logits as top_logits
from engine.reporting.plots.robustness import agreement_lines as agreement_lines
from engine.reporting.plots.robustness import stability_lines as stability_lines
from engine.reporting.plots.sweep import calibration_counts as calibration_counts
from engine.reporting.plots.sweep import mixed_by_latency as mixed_by_latency
from engine.reporting.plots.sweep import mixed_by_size as mixed_by_size
from engine.reporting.plots.trade_off import mark_choice as mark_choice
from engine.reporting.plots.trade_off import trade_off as trade_off
