"""Causes of an operator's error: a table of rules, each with its sign, threshold and remedy.

A rule looks at the figures of one operator (`Case`) and gives a finding or None. What a finding
costs is in decibels of signal over error, so that findings of different rules can be ranked:
6 dB is one bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from engine.comparison.layers.range_causes import (
    CLIPPED_ENERGY,
    Case,
    calibration_does_not_cover,
    narrow_range,
    outlier_channel,
    range_clips_on_purpose,
    range_too_wide,
    real,
    share_of,
    wrong_fixed_scale,
    wrong_normalisation,
)
from engine.comparison.layers.records import CauseName, Finding, LayerError

SHIFT_SHARE = 0.5
SHIFT_STEPS = 0.25
KILLED_SHARE = 0.05
WEIGHT_SPREAD = 100.0
WEIGHT_SQNR_DB = 20.0
INHERITED_DB = 3.0
COLLAPSE_DB = 150.0
"""Loss where nothing is left of the signal: as much as float32 itself can distinguish."""
Rule = Callable[[Case], Finding | None]


def stands_still(case: Case) -> Finding | None:
    """Find the operator from which on the answers are the same for every picture.

    Sign: the outputs of the last operator, of this one and of all between move over the pictures by
    at most a hundredth (`engine.comparison.layers.analysis.STILL`) of what those of float32 do,
    and what
    this one reads moves by more. The costliest of the other causes is said with it.
    """
    if not case.first_still:
        return None
    findings = [finding for rule in _OTHERS if (finding := rule(case)) is not None]
    cause = max(findings, key=lambda finding: finding.severity_db, default=None)
    moved = share_of(case.layer.movement or 0.0)
    sentence = (
        f"Its output stands still: over the pictures it moves by {moved} of what float32's does, "
        "and from here on the answers are the same for every picture"
    )
    remedy = "Keep this layer in float32 or with 16-bit activations."
    if cause is not None:
        sentence, remedy = f"{sentence}. {cause.sentence}", cause.remedy
    return Finding("stands_still", sentence, remedy, COLLAPSE_DB)


def input_stands_still(case: Case) -> Finding | None:
    """Mark a victim: what it reads is the same for every picture.

    Sign: an operator before it stands still.
    """
    if case.still_source is None:
        return None
    return Finding(
        "input_stands_still",
        f"What it reads stands still already, since {case.still_source.title}",
        f"Mend {case.still_source.title}.",
        0.0,
    )


def per_tensor_weights(case: Case) -> Finding | None:
    """Find one scale for all weights, though channels differ.

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
    """Find outputs that are off on average, which later layers amplify.

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
        f"{where} {real(abs(amount))} too {'high' if amount > 0 else 'low'} on average "
        f"({abs(amount) / layer.grid.scale:.1f} steps): a bias that the next layers amplify",
        "Correct the bias, so that the mean after the activation equals that of float32.",
        -10 * math.log10(max(1 - own.shift_share, 1e-4)),
    )


def channels_killed(case: Case) -> Finding | None:
    """Find channels that carry a signal in float, and none on the grid.

    Sign: more than 5 % of the channels (`KILLED_SHARE`) move by less than one step of the grid.
    """
    layer = case.layer
    killed, channels = layer.channels.killed, layer.channels.channels
    if not layer.own_grid or killed <= KILLED_SHARE * channels:
        return None
    return Finding(
        "killed_channels",
        f"{_channels(killed, channels)} of {channels} move in float32 by less than one step of the "
        "grid: the integer file has lost them",
        "Narrow the range, or equalize the weights across layers before conversion.",
        -10 * math.log10(max(1 - killed / channels, 1e-3)),
    )


def dead_channels(case: Case) -> Finding | None:
    """Find channels that never move, in float neither: good to know, and no loss.

    Sign: more than 5 % of the channels (`KILLED_SHARE`) keep one value for every picture and place,
    in a layer with weights of its own; others only pass dead channels on.
    """
    layer = case.layer
    dead, channels = layer.channels.dead, layer.channels.channels
    if layer.macs == 0 or dead <= KILLED_SHARE * channels or layer.low == layer.high:
        return None
    return Finding(
        "dead_channels",
        f"{_channels(dead, channels)} of {channels} never move, in float32 neither: dead channels",
        "They cost time and gain nothing: prune them before conversion.",
        0.0,
    )


def input_range(case: Case) -> Finding | None:
    """Mark a victim: its input comes through a range that an operator before it spoils.

    Sign: an operator that it reads has a finding about its range that costs at least 3 dB
    (`INHERITED_DB`), and this one has no such finding itself.
    """
    source = _spoiling_source(case)
    if source is None or source.cause is None:
        return None
    return Finding(
        "input_range",
        f"It suffers from the range of what it reads, {source.title}",
        f"Mend that one. {source.cause.remedy}",
        0.0,
    )


RULES: Mapping[CauseName, Rule] = {
    "stands_still": stands_still,
    "input_stands_still": input_stands_still,
    "wrong_normalisation": wrong_normalisation,
    "saturated_range": narrow_range,
    "calibration_does_not_cover": calibration_does_not_cover,
    "range_clips_on_purpose": range_clips_on_purpose,
    "outlier_channel": outlier_channel,
    "range_too_wide": range_too_wide,
    "wrong_fixed_scale": wrong_fixed_scale,
    "per_tensor_weights": per_tensor_weights,
    "mean_shift": mean_shift,
    "killed_channels": channels_killed,
    "dead_channels": dead_channels,
    "input_range": input_range,
}
"""Every rule, by the name of its cause."""
_OTHERS = tuple(rule for rule in RULES.values() if rule is not stands_still)
_WITHIN: Mapping[CauseName, frozenset[CauseName]] = {
    "calibration_does_not_cover": frozenset({"saturated_range"}),
    "range_clips_on_purpose": frozenset({"saturated_range"}),
    "mean_shift": frozenset({"saturated_range", "wrong_fixed_scale"}),
    "killed_channels": frozenset({"outlier_channel", "range_too_wide", "per_tensor_weights"}),
    "range_too_wide": frozenset({"wrong_normalisation"}),
}
"""Findings that say nothing more where another explains them."""
_OF_A_RANGE: frozenset[CauseName] = frozenset(
    {"saturated_range", "outlier_channel", "range_too_wide", "wrong_normalisation", "input_range"}
)


def diagnose(case: Case) -> LayerError:
    """Add every finding to an operator's figures, the one that costs most first."""
    victim = input_stands_still(case)
    if victim is not None:
        return replace(case.layer, findings=(victim,))
    findings = [finding for rule in RULES.values() if (finding := rule(case)) is not None]
    names = {finding.cause for finding in findings}
    findings = [f for f in findings if not names & _WITHIN.get(f.cause, frozenset())]
    order = list(RULES)
    findings.sort(key=lambda finding: (-finding.severity_db, order.index(finding.cause)))
    return replace(case.layer, findings=tuple(findings))


def _spoiling_source(case: Case) -> LayerError | None:
    """Find the worst operator before this one that spoils the range which this one reads."""

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


def _channels(count: int, channels: int) -> str:
    return "The only channel" if channels == 1 else f"{count} channels"
