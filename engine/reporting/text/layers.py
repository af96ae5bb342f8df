"""Sentences about layer errors, made from figures; see `engine.reporting.text.runs`."""

from __future__ import annotations

import math
from statistics import median

from engine.comparison.layers.records import LayerError, LayerErrors
from engine.core import formats
from engine.core.formats import counted, listed

STANDS_OUT_DB = 3.0
"""Half a bit: what costs less, or brings an operator less below the others, is not worth a name."""
_NAMED = 3


def culprits(found: LayerErrors) -> tuple[LayerError, ...]:
    """Operators with a cause of their own that brings them below most others, the worst first."""
    known = [layer.own.sqnr_db for layer in found.layers if layer.own is not None]
    usual = median([value for value in known if value is not None] or [math.inf])
    return tuple(
        layer
        for layer in found.by_loss
        if layer.cause is not None
        and layer.cause.severity_db >= STANDS_OUT_DB
        and layer.standing <= usual - STANDS_OUT_DB
    )


def first_still(found: LayerErrors) -> tuple[LayerError, ...]:
    """The operators from which on the answers are the same for every picture."""
    return tuple(
        layer for layer in found.layers if layer.cause and layer.cause.cause == "stands_still"
    )


def layers_headline(found: LayerErrors) -> str:
    """Which operators stand out, and what is left of the signal at the end."""
    if all(layer.accumulated.error_ratio in (0.0, None) for layer in found.layers):
        return f"No difference found: every operator of {found.variant} gives what float32 gives"
    if still := first_still(found):
        where = listed([layer.title for layer in still])
        return f"{found.variant} answers the same for every picture from {where} on"
    end = found.layers[-1].accumulated.sqnr_db
    left = "" if end is None else f"the signal ends {formats.decibels(end)} above the error"
    total, named = len(found.layers), culprits(found)
    if not named:
        plain = f"No operator of {found.variant} stands out among {total}: rounding adds up"
        return f"{plain}, and {left}" if left else plain
    verb = "stands" if len(named) == 1 else "stand"
    number = counted(len(named), "").strip().removesuffix(" s")
    who = f"{number} of {total} operators {verb} out in {found.variant}"
    first = listed([layer.title for layer in named[:_NAMED]])
    first = first if len(named) <= _NAMED else f"{first} first"
    return f"{who}: {first}" + (f"; {left}" if left else "")


def where_lost(found: LayerErrors) -> str:
    """Where along the network one picture's signal is lost.

    Args:
        found: Layer errors on that picture alone.

    Returns:
        Two sentences: the operator that loses most with what is left at the end, and why.
    """
    worst = (culprits(found) or found.by_loss)[0]
    own = worst.own.sqnr_db if worst.own is not None else None
    end = found.layers[-1].accumulated.sqnr_db
    said = f"On this picture {worst.title} loses most"
    if own is not None:
        said += f": alone, its signal stays {formats.decibels(own)} above the error"
    if end is not None:
        said += f"; {formats.decibels(end)} are left at the end"
    return f"{said}. {why(worst)}"


def why(layer: LayerError) -> str:
    """Why an operator loses, in plain words; without a rule that says so, rounding alone."""
    if layer.cause is not None:
        return f"{layer.cause.sentence}."
    own = layer.own.sqnr_db if layer.own is not None else None
    if layer.grid is None:
        return "It computes in float32, and loses nothing of its own."
    if own is None or math.isinf(own):
        return "It adds no error of its own."
    steps = layer.grid.highest - layer.grid.lowest + 1
    return (
        f"Rounding alone: {steps} steps over {layer.grid.low:.3g} to {layer.grid.high:.3g}, "
        "weights and input rounded, too. No rule finds a cause that could be mended."
    )


def histogram_caption(layer: LayerError) -> str:
    """What the histogram of an operator's float values shows."""
    if layer.grid is None:
        return "This operator computes in float32: there is no grid."
    used = formats.percent(layer.range_used)
    text = (
        f"The values span {used} of the grid of {layer.grid.low:.3g} to {layer.grid.high:.3g}; "
        f"one step is {layer.grid.scale:.2g}."
    )
    beyond = layer.below + layer.above
    if beyond:
        verb = "value lies beyond it and is" if beyond == 1 else "values lie beyond it and are"
        text += f" {beyond:,} {verb} cut off."
    channels = layer.channels
    if channels.outliers:
        text += (
            f" Channel {channels.widest} reaches {channels.widest_reach:.3g}, the others stay "
            f"below {channels.others_reach:.3g}."
        )
    return text
