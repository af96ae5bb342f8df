"""The frozen records of layer errors.

Figures that do not exist are None, never NaN: JSON knows no NaN. The one infinity, the SQNR of an
operator without any error, is the property `Deviation.sqnr_db`; rows for JSON and tables have null
there, and `error_ratio`, which is 0 then, distinguishes it from an operator without a signal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.tflite.grid import Grid
from engine.tflite.operator_times import kind_of

if TYPE_CHECKING:
    import pandas as pd

CauseName = Literal[
    "stands_still",
    "input_stands_still",
    "wrong_normalisation",
    "saturated_range",
    "calibration_does_not_cover",
    "range_clips_on_purpose",
    "outlier_channel",
    "range_too_wide",
    "wrong_fixed_scale",
    "per_tensor_weights",
    "mean_shift",
    "killed_channels",
    "dead_channels",
    "input_range",
]


@dataclass(frozen=True, slots=True)
class Deviation:
    """Real values of an integer operator's output minus those of the float one.

    Attributes:
        error_ratio: Rms of the error divided by rms of the float output; None where the float
            output is zero throughout.
        mean_shift: Mean of the error, in real units.
        channel: The channel (last axis) whose mean moved furthest.
        channel_shift: Mean of the error in that channel, in real units.
        shift_share: Share of the error's energy that lies in the channels' means, 0 to 1, less
            what means of so few samples hold by chance.
    """

    error_ratio: float | None
    mean_shift: float
    channel: int
    channel_shift: float
    shift_share: float

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantization noise ratio in dB: -20 log10(`error_ratio`).

        None without a signal, infinity without an error.
        """
        if self.error_ratio is None:
            return None
        return -20 * math.log10(self.error_ratio) if self.error_ratio else math.inf


@dataclass(frozen=True, slots=True)
class ChannelRanges:
    """Share of the channels (last axis) of a float output in its range.

    A channel's reach is its span together with 0.0, which a grid always holds.

    Attributes:
        channels: Number of channels.
        dead: Channels that never move.
        killed: Channels that move in float, and never in the integer file.
        widest: The channel that reaches furthest.
        outliers: How many channels set the range; see `spread`.
        spread: Range of all channels divided by the range without the `outliers` widest ones.
        widest_reach: Largest absolute value of the widest channel.
        others_reach: Largest absolute value of the channels that are no outliers.
    """

    channels: int
    dead: int
    killed: int
    widest: int
    outliers: int
    spread: float
    widest_reach: float
    others_reach: float


@dataclass(frozen=True, slots=True)
class WeightError:
    """A constant weight tensor after quantization, against the float one.

    Attributes:
        channels: Output channels.
        scales: Number of scales: 1 for one a tensor.
        worst_channel: Output channel with the lowest SQNR.
        worst_sqnr_db: Its SQNR in dB; None where no channel has an error and a signal.
        spread: Largest divided by smallest of the channels' largest absolute float weights;
            channels below a millionth of the largest do not count.
        widest: Largest divided by median of the same.
    """

    channels: int
    scales: int
    worst_channel: int
    worst_sqnr_db: float | None
    spread: float
    widest: float


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause of an operator's error, and a remedy.

    Attributes:
        cause: Name of the rule; see `engine.comparison.layers.causes`.
        sentence: What was found, in words for a person, with figures.
        remedy: What to do.
        severity_db: Decibels that it costs this operator or its weaker channels, as the rule
            estimates them; 0 for what is good to know and no fault of the operator.
    """

    cause: CauseName
    sentence: str
    remedy: str
    severity_db: float


@dataclass(frozen=True, slots=True)
class LayerError:
    """One operator of the integer file beside its float32 counterpart, over all pictures.

    Attributes:
        index: Place among the integer file's operators, QUANTIZE and DEQUANTIZE counted.
        name: The output tensor's name in the integer file.
        op: TFLite's operator name.
        shape: Of the output.
        dtype: Of the integer file's output.
        macs: Multiply-accumulates a picture.
        rms: Of the float output.
        low: Smallest float value.
        high: Largest float value.
        grid: Of the output; None where the operator computes in float.
        own_grid: Whether the grid is this operator's: False where the operator only passes its
            input's grid on.
        saturation: Share of the integer output, as the network runs, at the ends of the grid.
        clipped: Share of float values that lie beyond the grid by more than half a step.
        clip_ratio: Energy that these lose divided by the energy of the own error; 0 without.
        range_used: Share of the grid's width that the float values span.
        channels: How channels share the range.
        weights: Of the constant weights; None without, or in float.
        accumulated: Error as the network runs.
        own: Error of this operator alone: fed with float values brought to its input's grid, and
            compared with the float operator fed with the same; relative to the float output as the
            network runs. None where it cannot be run alone.
        histogram: Float values a cell: the grid in `HISTOGRAM_CELLS` equal parts.
        below: Float values below the grid.
        above: Float values above the grid.
        findings: Causes, the one that costs most first.
        movement: How far the integer output moves over the pictures as the network runs (rms of the
            distance from the first one), divided by the same of the float output; None where that
            does not move.
        module: Name of the PyTorch module that the operator computes, as the export wrote it;
            empty where that cannot be proven.
    """

    index: int
    name: str
    op: str
    shape: tuple[int, ...]
    dtype: str
    macs: int
    rms: float
    low: float
    high: float
    grid: Grid | None
    own_grid: bool
    saturation: float | None
    clipped: float | None
    clip_ratio: float
    range_used: float | None
    channels: ChannelRanges
    weights: WeightError | None
    accumulated: Deviation
    own: Deviation | None
    histogram: tuple[int, ...]
    below: int
    above: int
    findings: tuple[Finding, ...] = ()
    movement: float | None = None
    module: str = ""

    @property
    def title(self) -> str:
        """Name for people: "depthwise layer 26"."""
        return f"{kind_of(self.op)} {self.index}"

    @property
    def cause(self) -> Finding | None:
        """The finding that costs most."""
        return self.findings[0] if self.findings else None

    @property
    def standing(self) -> float:
        """Own SQNR less what the main finding costs, in dB: the lower, the likelier a culprit."""
        sqnr = self.own.sqnr_db if self.own is not None else self.accumulated.sqnr_db
        severity = self.cause.severity_db if self.cause is not None else 0.0
        return (math.inf if sqnr is None else sqnr) - severity


HISTOGRAM_CELLS = 64


@dataclass(frozen=True, slots=True)
class Unmatched:
    """An operator of either file without a counterpart that is beyond doubt.

    Attributes:
        side: ``float32``, or the name of the integer variant.
        index: Place among that file's operators.
        op: TFLite's operator name.
        name: The output tensor's name.
        shape: Of the output.
    """

    side: str
    index: int
    op: str
    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LossSplit:
    """What rounding weights alone, and activations alone, does to the logits of the float32 model.

    Attributes:
        weights: Root mean square of the logits' differences to float32's, each row's mean removed,
            in logits, when all weights and biases are those of the integer model.
        activations: The same when every operator's output is rounded to the integer model's grid.
        pictures: Pictures shown to the models.
    """

    weights: float
    activations: float
    pictures: int

    @property
    def share_of_weights(self) -> float | None:
        """Share of the weights in the sum of both errors' squares, 0 to 1; None without an error.

        Roundings are nearly independent, so that their squares nearly add up.
        """
        total = self.weights**2 + self.activations**2
        return self.weights**2 / total if total else None


@dataclass(frozen=True, slots=True)
class LayerErrors:
    """Errors of an integer variant, operator by operator.

    Attributes:
        run: Name of the run.
        variant: The integer file.
        pictures: Pictures shown to both files.
        layers: Paired operators, in the integer file's order.
        unmatched: Operators without a counterpart.
        notes: What a reader has to know.
        split: The loss of weights and of activations; None where it was not measured.
    """

    run: str
    variant: str
    pictures: int
    layers: tuple[LayerError, ...]
    unmatched: tuple[Unmatched, ...]
    notes: tuple[str, ...]
    split: LossSplit | None = None

    @property
    def by_loss(self) -> tuple[LayerError, ...]:
        """The operators, the likeliest culprit first; see `LayerError.standing`."""
        return tuple(sorted(self.layers, key=lambda layer: (layer.standing, layer.index)))

    def rows(self, latency_shares: Mapping[int, float] | None = None) -> Iterator[dict[str, Any]]:
        """Yield one flat row an operator: culprits first, then those without a counterpart.

        Args:
            latency_shares: Of the variant's time, by index of the operator, where it was profiled;
                see `engine.runs.results.latency_shares`.
        """
        for layer in self.by_loss:
            yield row_of(layer, (latency_shares or {}).get(layer.index))
        yield from map(row_of_unmatched, self.unmatched)

    def to_frame(self) -> pd.DataFrame:
        """Tabulate the paired operators in the network's order.

        Figures that do not exist are missing values there.
        """
        import pandas as pd

        rows = [row_of(layer) for layer in self.layers]
        return pd.DataFrame(rows, columns=list(COLUMNS)).drop(columns=["matched", "side"])

    def to_dict(self) -> dict[str, Any]:
        """Convert everything that is not per value, for JSON."""
        return {
            "run": self.run,
            "variant": self.variant,
            "pictures": self.pictures,
            "notes": list(self.notes),
            "layers": list(self.rows()),
        }


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
    """List one operator's figures by `COLUMNS`; None where a figure does not exist."""
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
    """Make the row of an operator without a counterpart: one without figures."""
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
