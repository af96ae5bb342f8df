"""Layer errors as flat rows, for JSON and tables.

``mean_shift`` and ``sqnr_db`` are those of the network as it runs, keys with ``own_`` those of the
operator alone. Shifts, ``rms``, ends of ranges and ``scale`` are in real units; keys that end in
``_ratio`` are relative to the rms of the float output; ``saturation``, ``clipped``,
``range_used`` and ``latency_share`` are shares of 0 to 1; ``movement`` is relative to float32's.
"""

from __future__ import annotations

import math
from typing import Any

from engine.layer_errors.records import LayerError, Unmatched

COLUMNS = (
    "name",
    "op",
    "sqnr_db",
    "own_sqnr_db",
    "mean_shift",
    "saturation",
    "range_used",
    "weight_sqnr_db_worst",
    "cause",
    "cause_name",
    "remedy",
    "causes",
    "index",
    "shape",
    "dtype",
    "macs",
    "error_ratio",
    "own_error_ratio",
    "own_mean_shift",
    "own_mean_shift_ratio",
    "own_shift_channel",
    "own_channel_shift",
    "mean_shift_ratio",
    "shift_channel",
    "channel_shift",
    "channel_shift_ratio",
    "rms",
    "float_min",
    "float_max",
    "grid_min",
    "grid_max",
    "scale",
    "clipped",
    "dead_channels",
    "killed_channels",
    "weight_worst_channel",
    "movement",
    "latency_share",
    "matched",
    "side",
)
"""Keys of a row of `LayerErrors.rows`, in order."""


def row_of(layer: LayerError, latency_share: float | None = None) -> dict[str, Any]:
    """One operator's figures by `COLUMNS`; None where a figure does not exist.

    Args:
        layer: The operator.
        latency_share: Of the variant's time, where it was profiled.
    """
    run, own, grid, weights = layer.accumulated, layer.own, layer.grid, layer.weights
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "name": layer.name,
        "op": layer.op,
        "sqnr_db": _finite(run.sqnr_db),
        "mean_shift": run.mean_shift,
        "saturation": layer.saturation,
        "range_used": layer.range_used,
        "causes": [finding.cause for finding in layer.findings],
        "index": layer.index,
        "shape": list(layer.shape),
        "dtype": layer.dtype,
        "macs": layer.macs,
        "error_ratio": run.error_ratio,
        "mean_shift_ratio": _ratio(run.mean_shift, layer.rms),
        "shift_channel": run.channel,
        "channel_shift": run.channel_shift,
        "channel_shift_ratio": _ratio(run.channel_shift, layer.rms),
        "rms": layer.rms,
        "float_min": layer.low,
        "float_max": layer.high,
        "clipped": layer.clipped,
        "dead_channels": layer.channels.dead,
        "killed_channels": layer.channels.killed,
        "movement": layer.movement,
        "latency_share": latency_share,
        "matched": True,
    }
    if own is not None:
        row |= {
            "own_sqnr_db": _finite(own.sqnr_db),
            "own_error_ratio": own.error_ratio,
            "own_mean_shift": own.mean_shift,
            "own_mean_shift_ratio": _ratio(own.mean_shift, layer.rms),
            "own_shift_channel": own.channel,
            "own_channel_shift": own.channel_shift,
        }
    if grid is not None:
        row |= {"grid_min": grid.low, "grid_max": grid.high, "scale": grid.scale}
    if weights is not None:
        row |= {
            "weight_sqnr_db_worst": weights.worst_sqnr_db,
            "weight_worst_channel": weights.worst_channel,
        }
    if layer.cause is not None:
        row |= {
            "cause": layer.cause.sentence,
            "cause_name": layer.cause.cause,
            "remedy": layer.cause.remedy,
        }
    return row


def row_of_unmatched(missing: Unmatched) -> dict[str, Any]:
    """An operator without a counterpart: a row without figures."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    return row | {
        "name": missing.name,
        "op": missing.op,
        "index": missing.index,
        "shape": list(missing.shape),
        "matched": False,
        "side": missing.side,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _ratio(value: float, rms: float) -> float | None:
    return value / rms if rms else None
