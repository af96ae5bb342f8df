"""Records in, Plotly figures out.

Every axis names quantity, unit and which way is good; a variant has the same hue and marker in
every figure; marks carry their labels. Grounds are transparent, so that a figure stands on light
and dark pages alike.
"""

from engine.plots.accuracy import accuracy_intervals, reliability_curve
from engine.plots.answers import (
    difference_distribution,
    difference_heatmap,
    logit_scatter,
    top_logits,
)
from engine.plots.costs import latency_bars, latency_samples, size_bars
from engine.plots.improvement import layer_lines
from engine.plots.ladder import hop_ladder
from engine.plots.layers import layer_histogram, layer_line
from engine.plots.lowerings import lowering_latency, lowering_operators
from engine.plots.trade_off import TradeOffPoint, trade_off, trade_off_by_size

__all__ = [
    "TradeOffPoint",
    "accuracy_intervals",
    "difference_distribution",
    "difference_heatmap",
    "hop_ladder",
    "latency_bars",
    "latency_samples",
    "layer_histogram",
    "layer_line",
    "layer_lines",
    "logit_scatter",
    "lowering_latency",
    "lowering_operators",
    "reliability_curve",
    "size_bars",
    "top_logits",
    "trade_off",
    "trade_off_by_size",
]
