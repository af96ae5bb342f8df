"""Sentences about what an optimized or mixed variant gained."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.comparison.recommendation import candidate_of_costs, clearly_quicker, difference_of
from engine.comparison.records import Flip, VariantComparison
from engine.core import formats
from engine.core.formats import join_names, verb
from engine.core.types import FAULT_WORDS, SAME
from engine.quantization.records import FloatLayer, MixedCurve, MixedPoint, OptimizedLayer
from engine.tflite.operator_times import kind_of


@dataclass(frozen=True, slots=True)
class FlipChange:
    """How the changed answers of a variant and of its optimized counterpart differ.

    Attributes:
        won_back: Changed under the variant, right again under the counterpart.
        newly_lost: The other way round.
    """

    won_back: tuple[Flip, ...]
    newly_lost: tuple[Flip, ...]


def flip_change(before: VariantComparison, after: VariantComparison) -> FlipChange:
    """Sort the changed answers of a variant and its counterpart by who changed them."""
    first = {flip.index for flip in before.flips}
    second = {flip.index for flip in after.flips}
    return FlipChange(
        won_back=tuple(flip for flip in before.flips if flip.index not in second),
        newly_lost=tuple(flip for flip in after.flips if flip.index not in first),
    )


def improvement_headline(
    before: VariantComparison, after: VariantComparison, baseline: str = "the original"
) -> str:
    """Say how much closer the counterpart's logits are to the baseline's, or that they are not."""
    for side in (before, after):
        if side.non_finite:
            return f"{side.variant} gives answers that are not numbers: nothing can be compared"
    if after.fault is not None:
        return f"{after.variant} {FAULT_WORDS[after.fault]}: improving does not help here"
    first, second = difference_of(before), difference_of(after)
    if math.isnan(first):
        return f"Nothing can be compared: {baseline} gives answers that are not numbers"
    if first == 0:
        return f"{before.variant} answers exactly like {baseline}: nothing to gain"
    ratio = second / first
    if ratio > 1 + SAME:
        share = formats.percent(ratio - 1)
        return f"{after.variant} is {share} less faithful than {before.variant}: keep that one"
    if ratio > 1 - SAME:
        return f"No difference found between {after.variant} and {before.variant}"
    share = formats.percent(1 - ratio)
    return f"{after.variant} removes {share} of {before.variant}'s error"


def flips_sentence(before: VariantComparison, after: VariantComparison) -> str:
    """Say how many answers were won back and newly lost."""
    change = flip_change(before, after)
    won, lost = len(change.won_back), len(change.newly_lost)
    if not before.flips and not after.flips:
        return f"Neither changes an answer on {_pictures(after.pictures)}."
    if not won and not lost:
        which = verb(len(after.flips), "the same picture", "the same pictures")
        return f"Both change their answer on {which} ({len(after.flips)} of {after.pictures})."
    return (
        f"Of {_pictures(after.pictures)}, {before.variant} changes {len(before.flips)} and "
        f"{after.variant} {len(after.flips)}: {won} won back, {lost} newly lost."
    )


def overlap_note(shared: int, pictures: int) -> str:
    """Say how many of the pictures on show calibration used."""
    if shared == 0:
        return f"None of these {pictures} pictures was used for calibration."
    if shared == pictures:
        return (
            "The model was calibrated on these pictures, so the gain may look too good. Try others."
        )
    return (
        f"The model was calibrated on {shared} of these {pictures} pictures, so the gain may look "
        "too good."
    )


def layer_title(layer: OptimizedLayer | FloatLayer) -> str:
    """Name a layer as the page Layers does: "depthwise layer 26"."""
    return layer.name if layer.index is None else f"{kind_of(layer.op)} {layer.index}"


def _pictures(count: int) -> str:
    return "one picture" if count == 1 else f"{count} pictures"


_MOST_NAMED = 8


def curve_headline(curve: MixedCurve, chosen: MixedPoint) -> str:
    """Say what one point of the curve wins over the variant without a layer in float32."""
    whole, layers = curve.points[0], curve.points[-1].layers
    if not chosen.layers:
        return (
            f"No layer has to be in float32: the error of {formats.small(whole.rms)} is low enough"
        )
    return (
        f"{chosen.layers} of {layers} layers in float32 take the error from "
        f"{formats.small(whole.rms)} to {formats.small(chosen.rms)}, at "
        f"{formats.with_unit(f'{chosen.bytes / whole.bytes:.2f}', '×')} the size"
    )


def worth_sentence(curve: MixedCurve, chosen: MixedPoint) -> str | None:
    """Say whether a point is worth its latency beside float32; None without timings."""
    mixed, exact, whole = curve.latency_of(chosen.layers), curve.timed_float32, curve.latency_of(0)
    if mixed is None or exact is None or whole is None or mixed.median_ms == 0:
        return None
    took = (
        f"With {chosen.layers} layers in float32 a call takes "
        f"{formats.milliseconds(mixed.median_ms, mixed.pictures)}, against "
        f"{formats.milliseconds(whole.median_ms)} "
        f"without and {formats.milliseconds(exact.median_ms)} in float32"
    )
    costs = (candidate_of_costs(side.variant, timed=side) for side in (mixed, exact))
    if not clearly_quicker(*costs):
        return f"{took}: no faster than float32 on this machine. Take float32 or float16."
    return f"{took}: {formats.times(exact.median_ms / mixed.median_ms)} faster than float32."


def monotone_sentence(curve: MixedCurve) -> str | None:
    """Explain why the error rises somewhere along the curve; None where it does not."""
    if curve.monotone:
        return None
    counts = [point.layers for point in curve.rises]
    where = join_names([str(count) for count in counts], "or")
    layers, its = ("layer", "its") if counts == [1] else ("layers", "their")
    return (
        f"With {where} {layers} in float32 the error rises: {its} rounding had been cancelling "
        "out rounding elsewhere."
    )


def float_layers_sentence(point: MixedPoint) -> str:
    """Say which layers are in float32, the one that wins most first."""
    titles = [layer_title(layer) for layer in point.kept]
    more = len(titles) - _MOST_NAMED
    if more > 1:
        titles = [*titles[:_MOST_NAMED], f"{more} more"]
    if len(titles) < 2:
        return f"In float32: {titles[0]}." if titles else "No layer is in float32."
    return f"In float32, what wins most first: {join_names(titles)}."
