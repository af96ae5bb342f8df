"""Rules about ranges; see `engine.comparison.layers.causes`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from engine.comparison.layers.records import Finding, LayerError
from engine.core.formats import number
from engine.tflite.grid import Grid
from engine.tflite.operator_times import kind_of

ONE_BIT_DB = 20 * math.log10(2)
OUTLIER_SPREAD = 4.0
WIDE_RANGE = 0.25
CLIPPED_SHARE = 0.001
CLIPPED_ENERGY = 0.5
UNCOVERED_ENERGY = 0.25
UNCOVERED_WIDTH = 0.05
INPUT_USED = 0.5
INPUT_CLIPPED = 0.02
FIXED_TOLERANCE = 0.01


def wrong_normalisation(case: Case) -> Finding | None:
    """Find that the calibration's pictures were prepared otherwise than these.

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
        f"The network's input was calibrated for values of {real(seen.grid.low)} to "
        f"{real(seen.grid.high)}, and these pictures have {real(seen.low)} to "
        f"{real(seen.high)}: the calibration's pictures were normalised otherwise",
        "Calibrate with the very preprocessing that the network gets: same mean, std and scale.",
        max(lost, 20 * math.log10(1 / max(used, 1 / 255))),
    )


def narrow_range(case: Case) -> Finding | None:
    """Find values beyond the range, which cuts them off.

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
        f"The range is too narrow: {share_of(layer.clipped)} of the values lie beyond "
        f"{real(layer.grid.low)} to {real(layer.grid.high)}, up to {real(furthest(layer))}",
        "Calibrate with pictures like these and take the whole range (min and max), or choose the "
        "range by least squared error."
        if case.chosen_by is None
        else f"{case.chosen_by} chose this range: take the variant whose ranges are min_max and "
        "that is not optimized, or try this layer in float32.",
        above_covering(layer),
    )


def calibration_does_not_cover(case: Case) -> Finding | None:
    """Find a few values of these pictures beyond what the calibration saw.

    Sign: values exceed the grid by 5 % of its width (`UNCOVERED_WIDTH`), and though they are few
    (else the range is saturated) they make a quarter of the own error (`UNCOVERED_ENERGY`).
    """
    layer = case.layer
    if case.chosen_by is not None or not _few_beyond(layer):
        return None
    return Finding(
        "calibration_does_not_cover",
        f"These pictures reach {real(furthest(layer))} where the calibrated range ends at "
        f"{real(nearest_end(layer))}: the calibration did not cover pictures like these",
        "Calibrate with more pictures, and with some like these.",
        10 * math.log10(1 / max(1 - layer.clip_ratio, 1e-4)),
    )


def range_clips_on_purpose(case: Case) -> Finding | None:
    """Find a range that the optimizer, or a method such as `mse`, chose to clip a few values.

    Sign: that of `calibration_does_not_cover`, where the range does not follow from the smallest
    and the largest value of the calibration alone.
    """
    layer = case.layer
    if case.chosen_by is None or not _few_beyond(layer):
        return None
    clipped = layer.below + layer.above
    return Finding(
        "range_clips_on_purpose",
        f"{case.chosen_by} chose a range that ends at {real(nearest_end(layer))}, for finer steps: "
        f"{number(clipped)} of these values {'is' if clipped == 1 else 'are'} clipped, up to "
        f"{real(furthest(layer))}",
        "Leave it where the answers are good; else take the variant whose ranges are min_max and "
        "that is not optimized.",
        10 * math.log10(1 / max(1 - layer.clip_ratio, 1e-4)),
    )


def _few_beyond(layer: LayerError) -> bool:
    if layer.grid is None or not layer.own_grid or not layer.clipped:
        return False
    beyond = max(layer.high - layer.grid.high, layer.grid.low - layer.low) / layer.grid.width
    return beyond >= UNCOVERED_WIDTH and layer.clip_ratio >= UNCOVERED_ENERGY


def outlier_channel(case: Case) -> Finding | None:
    """Find one channel, or a few, that set the range for all.

    Sign: without them the range of the float values would be four times narrower
    (`OUTLIER_SPREAD`), that is, all other channels lose two bits. At most 2 % of the channels, at
    least one, count as outliers. Nothing is said of operators that pass their input's grid on.
    """
    layer, channels = case.layer, case.layer.channels
    if layer.grid is None or not layer.own_grid or channels.spread < OUTLIER_SPREAD:
        return None
    who = "one channel" if channels.outliers == 1 else f"{channels.outliers} channels"
    return Finding(
        "outlier_channel",
        f"The range of this {kind_of(layer.op)} is set by {who} out of {channels.channels}: "
        f"channel {channels.widest} reaches {real(channels.widest_reach)}, the others stay below "
        f"{real(channels.others_reach)}",
        "Equalize the weights across layers before conversion, keep this layer in float32 or with "
        "16-bit activations, or clip the channel if the network bears it.",
        20 * math.log10(channels.spread),
    )


def range_too_wide(case: Case) -> Finding | None:
    """Find a grid that reaches far beyond the values.

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
        f"The range is far wider than the values: they span {share_of(layer.range_used)} of "
        f"{real(layer.grid.low)} to {real(layer.grid.high)}",
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
"""Ends of the outputs of operators whose scale TFLite's quantization specification fixes."""


def wrong_fixed_scale(case: Case) -> Finding | None:
    """Find a softmax, sigmoid or tanh output with another scale than its range asks for.

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
        f"This {kind_of(layer.op)} gives {real(low)} to {real(high)}, and its scale is "
        f"{layer.grid.scale:.3g} instead of {right:.3g}",
        "Convert again with a converter that knows the operator's fixed output range.",
        max(20 * math.log10(off), above_covering(layer), ONE_BIT_DB),
    )


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
    """Input of the rules.

    Attributes:
        layer: The operator's figures, as yet without findings.
        network_input: Of operators that read the network's input.
        sources: The operators whose outputs it reads, with their own findings.
        chosen_by: What chose a range that may leave values out; None for that of all values seen
            in calibration.
        first_still: Whether the answers are the same for every picture from this operator on.
        still_source: An operator whose output is the same for every picture, which makes this one's
            so; None where there is none.
    """

    layer: LayerError
    network_input: NetworkInput | None = None
    sources: tuple[LayerError, ...] = ()
    chosen_by: str | None = None
    first_still: bool = False
    still_source: LayerError | None = None


def above_covering(layer: LayerError) -> float:
    """Compute the decibels of the own error above that of a grid which covers all values."""
    error = layer.own or layer.accumulated
    if layer.grid is None or not error.error_ratio:
        return 0.0
    width = max(layer.high, 0.0) - min(layer.low, 0.0)
    step = width / (layer.grid.highest - layer.grid.lowest)
    if not step:
        return 0.0
    return max(20 * math.log10(error.error_ratio * layer.rms * math.sqrt(12) / step), 0.0)


def furthest(layer: LayerError) -> float:
    """Choose the float value that lies furthest beyond the grid."""
    assert layer.grid is not None
    above = layer.high - layer.grid.high >= layer.grid.low - layer.low
    return layer.high if above else layer.low


def nearest_end(layer: LayerError) -> float:
    """Choose the end of the grid that `furthest` lies beyond."""
    assert layer.grid is not None
    above = layer.high - layer.grid.high >= layer.grid.low - layer.low
    return layer.grid.high if above else layer.grid.low


def real(value: float) -> str:
    """Write a real value for a sentence."""
    return f"{value:.3g}"


def share_of(share: float) -> str:
    """Write a share of 0 to 1 for a sentence."""
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"
