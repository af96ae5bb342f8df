"""Why an operator loses: a table of rules, each a disease with its sign, threshold and remedy.

A rule looks at the figures of one operator (`Case`) and gives a finding or None. What a finding
costs is in decibels of signal over error, so that findings of different rules can be ranked:
6 dB is one bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from engine.layer_errors.records import CauseName, Finding, Grid, LayerError, kind_of

ONE_BIT_DB = 20 * math.log10(2)

OUTLIER_SPREAD = 4.0
WIDE_RANGE = 0.25
CLIPPED_SHARE = 0.001
CLIPPED_ENERGY = 0.5
UNCOVERED_ENERGY = 0.25
UNCOVERED_WIDTH = 0.05
SHIFT_SHARE = 0.5
SHIFT_STEPS = 0.25
KILLED_SHARE = 0.05
WEIGHT_SPREAD = 100.0
WEIGHT_SQNR_DB = 20.0
INPUT_USED = 0.5
INPUT_CLIPPED = 0.02
INHERITED_DB = 3.0
FIXED_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """The network's input as an operator reads it.

    Attributes:
        grid: Its integer grid.
        low: Smallest value of all pictures.
        high: Largest value of all pictures.
        clipped: Share of values beyond the grid by more than half a step.
    """

    grid: Grid
    low: float
    high: float
    clipped: float


@dataclass(frozen=True, slots=True)
class Case:
    """What the rules look at.

    Attributes:
        layer: The operator's figures, as yet without findings.
        network_input: Of operators that read the network's input.
        sources: The operators whose outputs it reads, with their own findings.
    """

    layer: LayerError
    network_input: NetworkInput | None = None
    sources: tuple[LayerError, ...] = ()


Rule = Callable[[Case], Finding | None]


def wrong_normalisation(case: Case) -> Finding | None:
    """The calibration's pictures were prepared otherwise than these.

    Sign: at the network's input, pictures use less than half of the grid (`INPUT_USED`), or more
    than 2 % of their values lie beyond it (`INPUT_CLIPPED`). A few natural pictures reach both
    ends of their range, so another span there means other pixels, not other motifs.
    """
    seen = case.network_input
    if seen is None:
        return None
    used = (min(seen.high, seen.grid.high) - max(seen.low, seen.grid.low)) / seen.grid.width
    if used >= INPUT_USED and seen.clipped <= INPUT_CLIPPED:
        return None
    # A clipped share counts like an error of that energy.
    lost = 10 * math.log10(1 + seen.clipped * 255**2) if seen.clipped > INPUT_CLIPPED else 0.0
    return Finding(
        "wrong_normalisation",
        f"The network's input was calibrated for values of {_real(seen.grid.low)} to "
        f"{_real(seen.grid.high)}, and these pictures have {_real(seen.low)} to "
        f"{_real(seen.high)}: the calibration's pictures were normalised otherwise",
        "Calibrate with the very preprocessing that the network gets: same mean, std and scale.",
        max(lost, 20 * math.log10(1 / max(used, 1 / 255))),
    )


def saturated_range(case: Case) -> Finding | None:
    """Values lie beyond the range, which cuts them off.

    Sign: at least 0.1 % of the float values (`CLIPPED_SHARE`) are cut off, and that is half of the
    operator's own error (`CLIPPED_ENERGY`). Ranges that cut off a little on purpose, for finer
    steps, stay below: what they lose there they gain elsewhere. Cost: against a grid that covers
    all values.
    """
    layer = case.layer
    if layer.clipped is None or not layer.own_grid or layer.grid is None:
        return None
    if layer.clipped < CLIPPED_SHARE or layer.clip_ratio < CLIPPED_ENERGY:
        return None
    return Finding(
        "saturated_range",
        f"The range is too narrow: {_share(layer.clipped)} of the values lie beyond "
        f"{_real(layer.grid.low)} to {_real(layer.grid.high)}, up to {_real(_furthest(layer))}",
        "Calibrate with pictures like these and take the whole range (min and max), or choose the "
        "range by least squared error.",
        _above_covering(layer),
    )


def calibration_does_not_cover(case: Case) -> Finding | None:
    """A few values of these pictures lie beyond what the calibration saw.

    Sign: values exceed the grid by 5 % of its width (`UNCOVERED_WIDTH`), and though they are few
    (else the range is saturated) they make a quarter of the own error (`UNCOVERED_ENERGY`).
    """
    layer = case.layer
    if layer.grid is None or not layer.own_grid or not layer.clipped:
        return None
    beyond = max(layer.high - layer.grid.high, layer.grid.low - layer.low) / layer.grid.width
    if beyond < UNCOVERED_WIDTH or layer.clip_ratio < UNCOVERED_ENERGY:
        return None
    return Finding(
        "calibration_does_not_cover",
        f"These pictures reach {_real(_furthest(layer))} where the calibrated range ends at "
        f"{_real(_nearest_end(layer))}: the calibration did not cover pictures like these",
        "Calibrate with more pictures, and with some like these.",
        10 * math.log10(1 / max(1 - layer.clip_ratio, 1e-4)),
    )


def outlier_channel(case: Case) -> Finding | None:
    """One channel, or a few, set the range for all.

    Sign: without them the range of the float values would be four times narrower
    (`OUTLIER_SPREAD`), that is, all other channels lose two bits. At most 2 % of the channels, at
    least one, count as outliers. Nothing is said of operators that pass their input's grid on.
    """
    layer, channels = case.layer, case.layer.channels
    if layer.grid is None or not layer.own_grid or channels.spread < OUTLIER_SPREAD:
        return None
    one = channels.outliers == 1
    who = "one channel" if one else f"{channels.outliers} channels"
    return Finding(
        "outlier_channel",
        f"The range of this {kind_of(layer.op)} is set by {who} out of {channels.channels}: "
        f"channel {channels.widest} reaches {_real(channels.widest_reach)}, the others stay below "
        f"{_real(channels.others_reach)}",
        "Equalize the weights across layers before conversion, keep this layer in float32 or with "
        "16-bit activations, or clip the channel if the network bears it.",
        20 * math.log10(channels.spread),
    )


def range_too_wide(case: Case) -> Finding | None:
    """The grid reaches far beyond the values.

    Sign: the float values span less than a quarter of it (`WIDE_RANGE`): two bits go unused. Not
    for operators whose grid is fixed by TFLite (see `wrong_fixed_scale`) or their input's.
    """
    layer = case.layer
    if layer.range_used is None or not layer.own_grid or layer.op in FIXED_SCALES:
        return None
    if layer.range_used >= WIDE_RANGE or layer.grid is None or layer.high <= layer.low:
        return None
    return Finding(
        "range_too_wide",
        f"The range is far wider than the values: they span {_share(layer.range_used)} of "
        f"{_real(layer.grid.low)} to {_real(layer.grid.high)}",
        "Calibrate with pictures like these; leave out damaged ones, or take a percentile "
        "instead of min and max.",
        20 * math.log10(1 / max(layer.range_used, 1 / 65535)),
    )


FIXED_SCALES: Mapping[str, tuple[float, float]] = {
    "SOFTMAX": (0.0, 1.0),
    "LOGISTIC": (0.0, 1.0),
    "TANH": (-1.0, 1.0),
    "L2_NORMALIZATION": (-1.0, 1.0),
}
"""Where the outputs of operators end whose scale TFLite's quantization specification fixes."""


def wrong_fixed_scale(case: Case) -> Finding | None:
    """A softmax, sigmoid or tanh output has another scale than its known range asks for.

    Sign: the scale is more than 1 % (`FIXED_TOLERANCE`) off 1/256 of the operator's range (1/65536,
    of a range around 0, for 16 bits), which the quantization specification of TFLite prescribes.
    """
    layer = case.layer
    if layer.grid is None or layer.op not in FIXED_SCALES:
        return None
    low, high = FIXED_SCALES[layer.op]
    steps = layer.grid.highest - layer.grid.lowest + 1
    if steps > 256:
        low = -high
    right = (high - low) / steps
    off = layer.grid.scale / right
    if abs(off - 1) <= FIXED_TOLERANCE:
        return None
    return Finding(
        "wrong_fixed_scale",
        f"This {kind_of(layer.op)} gives {_real(low)} to {_real(high)}, and its scale is "
        f"{layer.grid.scale:.3g} instead of {right:.3g}",
        "Convert again with a converter that knows the operator's fixed output range.",
        max(20 * math.log10(off), _above_covering(layer), ONE_BIT_DB),
    )


def per_tensor_weights(case: Case) -> Finding | None:
    """One scale for all weights, though channels differ.

    Sign: the largest weights of the channels differ a hundred times (`WEIGHT_SPREAD`), and the
    worst channel keeps less than 20 dB (`WEIGHT_SQNR_DB`).
    """
    weights = case.layer.weights
    if weights is None or weights.scales != 1 or weights.channels == 1:
        return None
    worst = weights.worst_sqnr_db
    if weights.spread < WEIGHT_SPREAD or worst is None or worst >= WEIGHT_SQNR_DB:
        return None
    return Finding(
        "per_tensor_weights",
        f"The weights have one scale for {weights.channels} channels that differ "
        f"{weights.spread:.0f} ×: channel {weights.worst_channel} keeps {worst:.1f} dB",
        "Convert with one weight scale a channel (per-channel quantization).",
        20 * math.log10(max(weights.widest, math.sqrt(weights.spread))),
    )


def mean_shift(case: Case) -> Finding | None:
    """The outputs are off on average, which later layers amplify.

    Sign: at least half of the own error's energy lies in the means of the channels
    (`SHIFT_SHARE`), and their rms is at least a quarter of a step (`SHIFT_STEPS`); rounding alone
    has a mean near 0. Cut-off values shift the mean, too: then the range is the cause.
    """
    layer, own = case.layer, case.layer.own
    if own is None or not own.error_ratio or layer.grid is None:
        return None
    shift = own.error_ratio * layer.rms * math.sqrt(own.shift_share)
    if own.shift_share < SHIFT_SHARE or shift < SHIFT_STEPS * layer.grid.scale:
        return None
    if layer.clip_ratio >= CLIPPED_ENERGY:
        return None
    all_alike = abs(own.mean_shift) >= shift / 2
    amount = own.mean_shift if all_alike else own.channel_shift
    where = "Its outputs are" if all_alike else f"Channel {own.channel} of its outputs is"
    return Finding(
        "mean_shift",
        f"{where} {_real(abs(amount))} too {'high' if amount > 0 else 'low'} on average "
        f"({abs(amount) / layer.grid.scale:.1f} steps): a bias that the next layers amplify",
        "Correct the bias, so that the mean after the activation equals that of float32.",
        -10 * math.log10(max(1 - own.shift_share, 1e-4)),
    )


def killed_channels(case: Case) -> Finding | None:
    """Channels that say something in float, and nothing on the grid.

    Sign: more than 5 % of the channels (`KILLED_SHARE`) move by less than the grid can tell.
    """
    layer = case.layer
    killed, channels = layer.channels.killed, layer.channels.channels
    if not layer.own_grid or killed <= KILLED_SHARE * channels:
        return None
    return Finding(
        "killed_channels",
        f"{_counted(killed, channels)} of {channels} move in float32 by less than one step of the "
        "grid: the integer file has lost them",
        "Narrow the range, or equalize the weights across layers before conversion.",
        -10 * math.log10(max(1 - killed / channels, 1e-3)),
    )


def dead_channels(case: Case) -> Finding | None:
    """Channels that never move, in float neither: good to know, and no loss.

    Sign: more than 5 % of the channels (`KILLED_SHARE`) keep one value for every picture and place,
    in a layer with weights of its own; others only pass dead channels on.
    """
    layer = case.layer
    dead, channels = layer.channels.dead, layer.channels.channels
    if layer.macs == 0 or dead <= KILLED_SHARE * channels or layer.low == layer.high:
        return None
    return Finding(
        "dead_channels",
        f"{_counted(dead, channels)} of {channels} never move, in float32 neither: dead channels",
        "They cost time and gain nothing: prune them before conversion.",
        0.0,
    )


def input_range(case: Case) -> Finding | None:
    """A victim: its input comes through a range that an operator before it spoils.

    Sign: an operator that it reads has a finding about its range that costs at least 3 dB
    (`INHERITED_DB`), and this one has no such finding itself.
    """
    source = _inherited(case)
    if source is None or source.cause is None:
        return None
    return Finding(
        "input_range",
        f"It suffers from the range of what it reads, {source.title}",
        f"Mend that one. {source.cause.remedy}",
        0.0,
    )


RULES: Mapping[CauseName, Rule] = {
    "wrong_normalisation": wrong_normalisation,
    "saturated_range": saturated_range,
    "calibration_does_not_cover": calibration_does_not_cover,
    "outlier_channel": outlier_channel,
    "range_too_wide": range_too_wide,
    "wrong_fixed_scale": wrong_fixed_scale,
    "per_tensor_weights": per_tensor_weights,
    "mean_shift": mean_shift,
    "killed_channels": killed_channels,
    "dead_channels": dead_channels,
    "input_range": input_range,
}
"""Every rule, by the name of its cause."""

_WITHIN: Mapping[CauseName, frozenset[CauseName]] = {
    "calibration_does_not_cover": frozenset({"saturated_range"}),
    "mean_shift": frozenset({"saturated_range", "wrong_fixed_scale"}),
    "killed_channels": frozenset({"outlier_channel", "range_too_wide", "per_tensor_weights"}),
    "range_too_wide": frozenset({"wrong_normalisation"}),
}
"""Findings that say nothing more where another explains them."""

_OF_A_RANGE: frozenset[CauseName] = frozenset(
    {"saturated_range", "outlier_channel", "range_too_wide", "wrong_normalisation", "input_range"}
)


def diagnosed(case: Case) -> LayerError:
    """An operator's figures with every finding, the one that costs most first."""
    found = [finding for rule in RULES.values() if (finding := rule(case)) is not None]
    names = {finding.cause for finding in found}
    kept = [f for f in found if not names & _WITHIN.get(f.cause, frozenset())]
    order = list(RULES)
    kept.sort(key=lambda finding: (-finding.severity_db, order.index(finding.cause)))
    return replace(case.layer, findings=tuple(kept))


def _inherited(case: Case) -> LayerError | None:
    """The worst operator before this one that spoils the range which this one reads."""

    def spoils(source: LayerError) -> Iterable[float]:
        for finding in source.findings:
            # What the network's input suffers, its first reader suffers too, not its range.
            if finding.cause in _OF_A_RANGE - {"wrong_normalisation", "input_range"}:
                yield finding.severity_db

    worst = {i: max(spoils(source), default=0.0) for i, source in enumerate(case.sources)}
    chosen = max(worst, key=lambda i: worst[i], default=None)
    if chosen is None or worst[chosen] < INHERITED_DB:
        return None
    return case.sources[chosen]


def _above_covering(layer: LayerError) -> float:
    """Decibels of the own error above that of a grid which covers all values."""
    error = layer.own or layer.accumulated
    if layer.grid is None or not error.error_ratio:
        return 0.0
    width = max(layer.high, 0.0) - min(layer.low, 0.0)
    step = width / (layer.grid.highest - layer.grid.lowest)
    if not step:
        return 0.0
    return max(20 * math.log10(error.error_ratio * layer.rms * math.sqrt(12) / step), 0.0)


def _furthest(layer: LayerError) -> float:
    assert layer.grid is not None
    above = layer.high - layer.grid.high >= layer.grid.low - layer.low
    return layer.high if above else layer.low


def _nearest_end(layer: LayerError) -> float:
    assert layer.grid is not None
    above = layer.high - layer.grid.high >= layer.grid.low - layer.low
    return layer.grid.high if above else layer.grid.low


def _counted(count: int, channels: int) -> str:
    return "The only channel" if channels == 1 else f"{count} channels"


def _real(value: float) -> str:
    return f"{value:.3g}"


def _share(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"
