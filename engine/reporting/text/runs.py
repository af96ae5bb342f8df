"""Headlines and captions, made from figures.

Pure functions of records: the same data gives the same sentence, "no difference found" is said
when that is so, and few pictures are called few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.comparison.latency import Latency
from engine.comparison.recommendation import (
    TradeOffPoint,
    clearly_quicker,
    quickest_of,
    smallest_of,
    timed_of,
    timed_point,
)
from engine.conversion.onnx_from_torch import BASE_OPSET
from engine.core import formats
from engine.core.formats import counted, listed, number
from engine.core.types import SAME, Interval
from engine.quantization.calibration import CalibrationInfo
from engine.tasks.lowerings import Lowerings
from engine.tflite.artifact import Artifact

if TYPE_CHECKING:
    from engine.comparison.comparison import Comparison
    from engine.runs.manifest import Manifest

FEW_PICTURES = 100
FEW_CALIBRATION_PICTURES = 20
_FLOAT32 = "float32"
_NAMED = 3


def convert_headline(manifest: Manifest) -> str:
    """What the run on show holds."""
    smallest = min((a.bytes for a in manifest.artifacts if a.fault is None), default=None)
    count = len(manifest.artifacts)
    made = f"{manifest.model.name} became {number(count)} TFLite variant{'' if count == 1 else 's'}"
    if smallest is not None and smallest < manifest.float32_bytes:
        made += f", up to {formats.times(manifest.float32_bytes / smallest)} smaller than float32"
    if absent := len(manifest.missing):
        made += f"; {number(absent)} could not be made"
    return made


def predictions_headline(comparison: Comparison) -> str:
    """On how many pictures an answer changed, and under which variants."""
    total = len(comparison.pictures)
    if not comparison.variants:
        return "There is no variant to compare"
    broken = [v.variant for v in comparison.variants if v.non_finite]
    if broken:
        return f"{listed(broken)}: answers that are not numbers. This model is broken"
    alike = [v.variant for v in comparison.variants if v.fault == "same_answer"]
    if alike:
        verb = "answers" if len(alike) == 1 else "answer"
        return f"{listed(alike)} {verb} the same for every picture"
    if comparison.reference_non_finite:
        which = f"{comparison.reference_non_finite} of {total} picture{'' if total == 1 else 's'}"
        return f"On {which}, {reference_title(comparison)} gives answers that are not numbers"
    flipped = {flip.index for variant in comparison.variants for flip in variant.flips}
    if not flipped:
        who = (
            f"All {len(comparison.variants)} variants answer"
            if len(comparison.variants) > 1
            else f"{comparison.variants[0].variant} answers"
        )
        where = f"all {total} pictures" if total > 1 else "the one picture"
        return f"{who} like {reference_title(comparison)} on {where}: no difference found"
    changing = [variant.variant for variant in comparison.variants if variant.flips]
    verb = "changes its answer" if len(flipped) == 1 else "change their answer"
    who = listed(changing) if len(changing) <= 3 else f"{len(changing)} of the variants"
    noun = "picture" if total == 1 else "pictures"
    return f"{number(len(flipped)).capitalize()} of {total} {noun} {verb} under {who}"


def evidence(interval: Interval, pictures: int) -> str:
    """How much these pictures prove about all pictures.

    Args:
        interval: Of the agreement of the weakest variant.
        pictures: How many there were.

    Returns:
        One sentence.
    """
    subject = counted(pictures, "picture")
    verb = "proves" if pictures == 1 else "prove"
    low, high = formats.bounds(interval)
    amount = f"{verb} little: b" if pictures < FEW_PICTURES else f"{verb} this much: b"
    return (
        f"{subject} {amount}etween {low} % and "
        f"{high} % of all pictures would keep their answer under the "
        "weakest variant (95 % interval)."
    )


def logits_headline(comparison: Comparison) -> str:
    """Which variant stays closest to the reference and which moves furthest."""
    finite = [v for v in comparison.variants if not math.isnan(v.logit_rms)]
    if not finite:
        return "No variant gives logits that can be compared"
    closest = min(finite, key=lambda v: v.logit_rms)
    furthest = max(finite, key=lambda v: v.logit_rms)
    if furthest.logit_max == 0:
        return f"No difference found: every logit is that of {reference_title(comparison)}"
    if closest is furthest:
        return f"{closest.variant} moves the logits by {formats.logits(closest.logit_rms)} (rms)"
    same = [
        v.variant for v in finite if math.isclose(v.logit_rms, furthest.logit_rms, rel_tol=0.01)
    ]
    verb = "moves" if len(same) == 1 else "move"
    return (
        f"{listed(same)} {verb} the logits most, by {formats.logits(furthest.logit_rms)} (rms); "
        f"{closest.variant} moves them least"
    )


def latency_headline(latency: Latency | None, sizes: Mapping[str, int], float32_bytes: int) -> str:
    """Which variants are quickest, which smallest, against float32."""
    points = [_point(name, size, latency) for name, size in sizes.items()]
    small = smallest_of(points)
    what = f"{_who_is(small)} {_smaller(small, float32_bytes)} than float32"
    if latency is None:
        return f"{what}; {'its' if len(small) == 1 else 'their'} speed is not measured yet"
    untimed = [point for point in points if point.latency_ms is None]
    ending = f"; {_who_is(untimed)} not timed" if untimed else ""
    timed = timed_of(points)
    exact = next((point for point in timed if point.variant == _FLOAT32), None)
    if exact is None or exact.latency_ms is None:
        return what + ending
    slow = [point for point in timed if clearly_quicker(exact, point)]
    ending = (f"; {_who_is(slow)} slower" if slow else "") + ending
    quick = quickest_of(timed)
    if exact in quick:
        return f"No variant is quicker than float32 on this machine{ending}"
    gain = formats.times(exact.latency_ms / max(point.latency_ms or 0.0 for point in quick))
    speed = f"{gain if len(quick) == 1 else f'at least {gain}'} quicker"
    if both := [point for point in quick if point in small]:
        size = _smaller(both, float32_bytes)
        return f"{_who_is(both)} {size} and {speed} than float32{ending}"
    files = "file" if len(small) == 1 else "files"
    return f"{_who_is(quick)} {speed} than float32, {_names(small)} the smallest {files}{ending}"


def _point(variant: str, size: int, latency: Latency | None) -> TradeOffPoint:
    entry = None if latency is None else latency.of(variant)
    if entry is None:
        return TradeOffPoint(variant, None, size, 0.0, 1.0)
    return timed_point(entry, size)


def _smaller(points: Sequence[TradeOffPoint], float32_bytes: int) -> str:
    return f"{formats.times(float32_bytes / min(point.size_bytes for point in points))} smaller"


def _who_is(points: Sequence[TradeOffPoint]) -> str:
    return f"{_names(points)} {'is' if len(points) == 1 else 'are'}"


def _names(points: Sequence[TradeOffPoint]) -> str:
    few = len(points) <= _NAMED
    return listed([point.variant for point in points]) if few else f"{len(points)} variants"


def lowering_headline(lowerings: Lowerings) -> str:
    """What our lowering gains over onnx-tf's own, on the variants that both made."""
    if not lowerings.stock.artifacts:
        return "Only the NHWC lowering converts this model: onnx-tf's own handlers fail on it"
    if not lowerings.nhwc.artifacts:
        return "Only onnx-tf's own handlers convert this model: the NHWC lowering fails on it"
    gains = [
        (variant, speedup)
        for variant in lowerings.variants
        if (speedup := lowerings.speedup(variant)) is not None
    ]
    if not gains:
        return "The two lowerings made no variant in common"
    if all(abs(speedup - 1) < SAME for _, speedup in gains):
        return f"No difference found: both lowerings are equally quick{_transposes(lowerings)}"
    parts = [
        f"{variant} {formats.times(speedup)} quicker"
        if speedup >= 1
        else f"{variant} {formats.times(1 / speedup)} slower"
        for variant, speedup in gains
    ]
    return f"The NHWC lowering makes {listed(parts)}{_transposes(lowerings)}"


def _transposes(lowerings: Lowerings) -> str:
    for variant in lowerings.variants:
        before, after = lowerings.stock.artifact(variant), lowerings.nhwc.artifact(variant)
        if before is not None and after is not None:
            counts = [made.operators.get("TRANSPOSE", 0) for made in (after, before)]
            return f", with {counts[0]} TRANSPOSE operators instead of {counts[1]}"
    return ""


def details_headline(manifest: Manifest) -> str:
    """What was made from what."""
    weights = {
        "package": "with its own weights",
        "pretrained": f"with {manifest.model.kind}'s weights",
        "checkpoint": "with your checkpoint",
        "random": "with random weights",
        "file": "from your ONNX file",
        "network": "from your network",
    }[manifest.model.weights]
    size = f"{manifest.preprocess.height} × {manifest.preprocess.width}"
    return f"{manifest.model.name} {weights}, for pictures of {size}"


def float_operators_note(artifact: Artifact) -> str | None:
    """What a file of integers computes in float32 nevertheless; None where it is nothing."""
    if not artifact.float_operators:
        return None
    parts = [f"{count} {name}" for name, count in artifact.float_operators.items()]
    return f"Computed in float32: {', '.join(parts)}."


def opset_note(manifest: Manifest) -> str | None:
    """Which ONNX operator set was used, where it is not the usual one."""
    if manifest.model.weights == "file":
        before = next(stage.against for stage in manifest.stages if stage.name == "onnx")
        if before is None or not before.startswith("opset"):
            return None
        return f"The file's {before} was converted to ONNX operator set {manifest.opset}."
    if manifest.opset == BASE_OPSET:
        return None
    return f"Exported with ONNX operator set {manifest.opset}; {BASE_OPSET} is the usual one."


def calibration_notes(calibration: CalibrationInfo | None) -> tuple[str, ...]:
    """What a person has to know of the calibration pictures that they gave."""
    if calibration is None or calibration.demo:
        return ()
    notes = []
    if calibration.count < FEW_CALIBRATION_PICTURES:
        pictures = f"{calibration.count} picture" + ("s" if calibration.count != 1 else "")
        notes.append(
            f"Calibrated with {pictures}: 100 to 500 are advised, since ranges that few pictures "
            "show cut off what others need."
        )
    if calibration.passed_over:
        notes.append(
            f"Passed over in the calibration folder: {', '.join(calibration.passed_over)}. "
            "Save them as JPEG or PNG to use them."
        )
    return tuple(notes)


def reference_title(comparison: Comparison) -> str:
    """What the variants are compared with, within a sentence."""
    return "the original" if comparison.reference == "original" else comparison.reference
