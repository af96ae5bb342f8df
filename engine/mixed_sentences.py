"""What layers in float32 give and cost, in sentences made from figures."""

from __future__ import annotations

from engine.comparison.trade_offs import clearly_quicker, timed_point
from engine.core import formats
from engine.improvement_sentences import layer_title
from engine.quantization.records import MixedCurve, MixedPoint

_MOST_NAMED = 8


def curve_headline(curve: MixedCurve, chosen: MixedPoint) -> str:
    """What one point of the curve wins over the variant without a layer in float32."""
    whole, layers = curve.points[0], curve.points[-1].layers
    if not chosen.layers:
        return (
            f"No layer has to be in float32: the error of {formats.small(whole.rms)} is low enough"
        )
    return (
        f"{chosen.layers} of {layers} layers in float32 take the error from "
        f"{formats.small(whole.rms)} to {formats.small(chosen.rms)}, at "
        f"{chosen.bytes / whole.bytes:.2f} × the size"
    )


def worth_sentence(curve: MixedCurve, chosen: MixedPoint) -> str | None:
    """Whether a point is worth its latency beside float32; None where nothing was timed."""
    mixed, exact, whole = curve.timed(chosen.layers), curve.timed_float32, curve.timed(0)
    if mixed is None or exact is None or whole is None or mixed.median_ms == 0:
        return None
    took = (
        f"With {chosen.layers} layers in float32 a call takes "
        f"{formats.milliseconds(mixed.median_ms, mixed.pictures)}, against "
        f"{formats.milliseconds(whole.median_ms)} "
        f"without and {formats.milliseconds(exact.median_ms)} in float32"
    )
    if not clearly_quicker(timed_point(mixed), timed_point(exact)):
        return f"{took}: on this machine that is more than it is worth, take float32 or float16."
    return f"{took}: {exact.median_ms / mixed.median_ms:.1f} × quicker than float32."


def monotone_sentence(curve: MixedCurve) -> str | None:
    """Why the error rises somewhere along the curve; None where it does not."""
    if curve.monotone:
        return None
    where = ", ".join(str(point.layers) for point in curve.rises)
    return (
        f"The error rises at {where} layers: what those "
        "add had made up for roundings elsewhere, to which the integer model was fitted."
    )


def kept_sentence(point: MixedPoint) -> str:
    """Which layers are in float32, the one that wins most first."""
    titles = [layer_title(layer) for layer in point.kept]
    more = len(titles) - _MOST_NAMED
    if more > 1:
        titles = [*titles[:_MOST_NAMED], f"{more} more"]
    if len(titles) < 2:
        return f"In float32: {titles[0]}." if titles else "No layer is in float32."
    return f"In float32, what wins most first: {', '.join(titles[:-1])} and {titles[-1]}."
