"""Sentences about layer errors."""

from __future__ import annotations

import math
from statistics import median

from engine.comparison.layers.records import LayerError, LayerErrors, LossSplit
from engine.core import formats
from engine.core.formats import join_names, number, plural, verb
from engine.core.types import SAME
from engine.tasks.inspect_operator import FeatureMaps, FloatTrial

STANDS_OUT_DB = 3.0
"""Half a bit: what costs less, or brings an operator less below the others, is not worth a name."""
_NAMED = 2


def culprits(errors: LayerErrors) -> tuple[LayerError, ...]:
    """List operators whose own cause brings them below most others, the worst first."""
    ratios = [layer.own.sqnr_db for layer in errors.layers if layer.own is not None]
    usual = median([value for value in ratios if value is not None] or [math.inf])
    return tuple(
        layer
        for layer in errors.by_loss
        if layer.cause is not None
        and layer.cause.severity_db >= STANDS_OUT_DB
        and layer.standing <= usual - STANDS_OUT_DB
    )


def first_still(errors: LayerErrors) -> tuple[LayerError, ...]:
    """List the operators from which on the answers are the same for every picture."""
    return tuple(
        layer for layer in errors.layers if layer.cause and layer.cause.cause == "stands_still"
    )


def layers_headline(errors: LayerErrors) -> str:
    """Say which operators stand out, in three lines of a phone."""
    if all(layer.accumulated.error_ratio in (0.0, None) for layer in errors.layers):
        return f"No difference found: every layer of {errors.variant} gives what float32 gives"
    if still := first_still(errors):
        where = join_names([layer.title for layer in still])
        return f"{errors.variant} answers the same for every picture from {where} on"
    total, named = len(errors.layers), culprits(errors)
    if not named:
        return f"None of {errors.variant}'s {total} layers stands out: rounding adds up"
    titles = [layer.title for layer in named]
    if len(named) <= _NAMED:
        return f"{errors.variant} loses most in {join_names(titles)}"
    some = f"{number(len(named))} of {total} layers"
    return f"{errors.variant} loses most in {some}, {titles[0]} first"


def output_sentence(errors: LayerErrors) -> str:
    """Say what is left of the signal at the end; empty where nothing can be said."""
    end = errors.layers[-1].accumulated.sqnr_db
    return "" if end is None else f"{formats.decibels(end)} at the output"


def where_lost(errors: LayerErrors) -> str:
    """Say which operator loses most on one picture, what is left at the end, and why."""
    worst = (culprits(errors) or errors.by_loss)[0]
    own = worst.own.sqnr_db if worst.own is not None else None
    sentence = f"On this picture {worst.title} loses most"
    if own is not None:
        sentence += f": {formats.decibels(own)} on its own"
    if left := output_sentence(errors):
        sentence += f"; {left}"
    return f"{sentence}. {why(worst)}"


def why(layer: LayerError) -> str:
    """Explain why an operator loses; without a rule that says so, by rounding alone."""
    if layer.cause is not None:
        return f"{formats.keep_units(layer.cause.sentence)}."
    own = layer.own.sqnr_db if layer.own is not None else None
    if layer.grid is None:
        return "It computes in float32, and loses nothing of its own."
    if own is None or math.isinf(own):
        return "It adds no error of its own."
    steps = layer.grid.highest - layer.grid.lowest + 1
    return (
        f"Ordinary rounding, to {steps} steps over {layer.grid.low:.3g} to {layer.grid.high:.3g}; "
        "no fix known."
    )


def histogram_caption(layer: LayerError) -> str:
    """Say what the histogram of an operator's float values shows."""
    if layer.grid is None:
        return "This operator computes in float32: there is no grid."
    used = formats.percent(layer.range_used)
    text = (
        f"The values span {used} of the grid of {layer.grid.low:.3g} to {layer.grid.high:.3g}; "
        f"one step is {layer.grid.scale:.2g}."
    )
    beyond = layer.below + layer.above
    if beyond:
        text += f" {beyond:,} {verb(beyond, 'value is', 'values are')} clipped."
    channels = layer.channels
    if channels.outliers:
        text += (
            f" Channel {channels.widest} reaches {channels.widest_reach:.3g}, the others stay "
            f"below {channels.others_reach:.3g}."
        )
    return text


_LEVEL_SHARE = 0.4
"""From here to the rest of one, neither of two shares is called the larger one."""


def split_sentence(split: LossSplit) -> str:
    """Say whether the loss comes from weights or from activations."""
    share = split.share_of_weights
    pictures = plural(split.pictures, "picture")
    if share is None:
        return f"Neither weights nor activations lose anything on {pictures}"
    weights, rest = formats.whole_percent(round(share * 100) / 100), 1 - share
    activations = formats.whole_percent(round(rest * 100) / 100)
    if min(share, rest) >= _LEVEL_SHARE:
        return f"Weights and activations lose about the same: {weights} and {activations}"
    if share > rest:
        return f"Weights cause most of the loss: {weights}; activations cause {activations}"
    return f"Activations cause most of the loss: {activations}; weights cause {weights}"


def split_note(split: LossSplit) -> str:
    """Say how the split was measured."""
    return (
        "Each was rounded alone in the float32 model, on "
        f"{plural(split.pictures, 'picture')}. Shares are of the squared errors, which nearly add "
        "up."
    )


def trial_headline(trial: FloatTrial) -> str:
    """Say what one layer in float32 wins."""
    before, after = trial.before, trial.after
    if not before.rms:
        return "There is no error to take away"
    ratio = after.rms / before.rms
    if ratio > 1 + SAME:
        return f"In float32 the error rises by {formats.percent(ratio - 1)}: leave it in integers"
    if ratio > 1 - SAME:
        return f"In float32 the error stays within {formats.whole_percent(SAME)}: no gain"
    return f"In float32 it takes {formats.percent(1 - ratio)} of the error away"


def trial_figures(trial: FloatTrial) -> str:
    """List error, answers, size and latency of a trial, before and after."""
    before, after = trial.before, trial.after
    answers = f"{before.same_answers} → {after.same_answers} of {plural(trial.pictures, 'picture')}"
    return " · ".join(
        (
            f"logit rms {formats.logits(before.rms)} → {formats.logits(after.rms)}",
            f"same answer on {answers}",
            f"{formats.megabytes(before.bytes)} → {formats.megabytes(after.bytes)}",
            f"{formats.milliseconds(before.median_ms)} → "
            f"{formats.milliseconds(after.median_ms)} a call",
        )
    )


def maps_sentence(maps: FeatureMaps) -> str:
    """Say which channels of an operator differ most on a picture."""
    if not maps.maps:
        return "Its output has no height and width: there is nothing to draw"
    furthest = maps.maps[0]
    if not furthest.difference:
        return f"None of the {plural(maps.channels, 'channel')} differs on this picture"
    share = f"of {maps.channels}" if maps.channels > 1 else "alone"
    return (
        f"Channel {furthest.channel} {share} differs most on this picture, by "
        f"{furthest.difference:.2g} (rms)"
    )
