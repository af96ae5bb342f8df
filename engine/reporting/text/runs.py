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
    Candidate,
    candidate_of_costs,
    clearly_quicker,
    quickest_of,
    select_timed,
    smallest_of,
)
from engine.comparison.records import FLOAT32
from engine.conversion.onnx_from_torch import BASE_OPSET
from engine.core import formats
from engine.core.formats import all_of, join_names, number, plural, spell_count, verb
from engine.core.types import SAME, Interval
from engine.networks.load import describe_origin
from engine.networks.source import FileFacts
from engine.quantization.calibration import CalibrationInfo
from engine.tasks.lowerings import Lowerings
from engine.tflite.artifact import Artifact

if TYPE_CHECKING:
    from engine.comparison.comparison import Comparison
    from engine.runs.manifest import Manifest
    from engine.runs.request import ConvertRequest

FEW_CALIBRATION_PICTURES = 20
_ROOM = 84
"""Characters of a headline that takes three lines on a phone."""
"""Characters of a headline at most."""
MOST_NAMED = 3
"""Names that a sentence holds; of more it gives the number."""


def convert_headline(manifest: Manifest) -> str:
    """Say what the run on show holds."""
    smallest = min((a.bytes for a in manifest.artifacts if a.fault is None), default=None)
    count = len(manifest.artifacts)
    variants = spell_count(count, "TFLite variant")
    sentence = f"{manifest.model.name} became {variants[:1].lower()}{variants[1:]}"
    if smallest is not None and smallest < manifest.float32_bytes:
        ratio = formats.times(manifest.float32_bytes / smallest)
        sentence += f", up to {ratio} smaller than float32"
    if absent := len(manifest.missing):
        sentence += f"; {number(absent)} could not be made"
    return sentence


def request_sentence(request: ConvertRequest) -> str:
    """Say what a conversion will make, and of what."""
    variants = len(request.variants)
    count = f"{number(variants)} TFLite {verb(variants, 'variant', 'variants')}"
    used = request.calibration
    pictures = plural(used.count, "crop of the supplied pictures", "crops of the supplied pictures")
    if used.folder is not None:
        pictures = f"up to {plural(used.count, 'picture of yours', 'pictures of yours')}"
    return f"{request.model.name} becomes {count}, calibrated with {pictures}."


def predictions_headline(comparison: Comparison) -> str:
    """Say on how many pictures an answer changed, and under which variants."""
    total = len(comparison.pictures)
    if not comparison.variants:
        return "There is no variant to compare"
    broken = [v.variant for v in comparison.variants if v.non_finite]
    if broken:
        return f"{join_names(broken)}: answers that are not numbers. This model is broken"
    alike = [v.variant for v in comparison.variants if v.fault == "same_answer"]
    if alike:
        answer = verb(len(alike), "answers", "answer")
        return f"{join_names(alike)} {answer} the same for every picture"
    if comparison.reference_non_finite:
        which = f"{comparison.reference_non_finite} of {plural(total, 'picture')}"
        return f"On {which}, {reference_title(comparison)} gives answers that are not numbers"
    flipped = {flip.index for variant in comparison.variants for flip in variant.flips}
    if not flipped:
        who = (
            f"All {len(comparison.variants)} variants answer"
            if len(comparison.variants) > 1
            else f"{comparison.variants[0].variant} answers"
        )
        where = all_of(total, "picture")
        return f"{who} like {reference_title(comparison)} on {where}: no difference found"
    changing = [variant.variant for variant in comparison.variants if variant.flips]
    some = len(changing) <= MOST_NAMED
    who = join_names(changing, "or") if some else "at least one variant"
    of_all = f"{number(len(flipped)).capitalize()} of {total} pictures"
    which = "The one picture" if total == 1 else of_all
    return f"{which} {verb(len(flipped), 'gets', 'get')} a different answer from {who}"


def evidence(interval: Interval, pictures: int) -> str:
    """Say how much these pictures prove about all; the interval is the weakest variant's."""
    low, high = formats.bounds(interval)
    if pictures < formats.FEW_PICTURES:
        return (
            f"{spell_count(pictures, 'picture')} {verb(pictures, 'is', 'are')} too few to be sure: "
            "true agreement of the least faithful variant could be as low as "
            f"{formats.with_unit(low, '%')} (95\xa0% confidence)."
        )
    return (
        f"On {pictures} pictures agreement of the least faithful variant is {low} to "
        f"{formats.with_unit(high, '%')} (95\xa0% confidence)."
    )


def logits_headline(comparison: Comparison) -> str:
    """Say which variant stays closest to the original and which moves furthest."""
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
    who = f"{join_names(same)} {verb(len(same), 'moves', 'move')}"
    return (
        f"{who} the logits most, by {formats.logits(furthest.logit_rms)} (rms); "
        f"{closest.variant} least"
    )


def latency_headline(latency: Latency | None, sizes: Mapping[str, int], float32_bytes: int) -> str:
    """Say which variants are fastest, which smallest, against float32.

    As many are named as a headline has room for; who is slower, or not timed, comes last.
    """
    named = [_compare_costs(latency, sizes, float32_bytes, m) for m in range(MOST_NAMED, 0, -1)]
    firsts = [sentence.partition("; ")[0] for sentence in named]
    return next((each for each in (*named, *firsts) if len(each) <= _ROOM), firsts[-1])


def _compare_costs(
    latency: Latency | None, sizes: Mapping[str, int], float32_bytes: int, most: int
) -> str:
    points = [
        candidate_of_costs(name, size, None if latency is None else latency.of(name))
        for name, size in sizes.items()
    ]
    small = smallest_of(points)
    what = f"{_who_is(small, most)} {_smaller(small, float32_bytes)} than float32"
    if latency is None:
        return f"{what}; {verb(len(small), 'its', 'their')} speed is not measured yet"
    untimed = [point for point in points if point.latency_ms is None]
    ending = f"; {_who_is(untimed, most)} not timed" if untimed else ""
    timed = select_timed(points)
    exact = next((point for point in timed if point.variant == FLOAT32), None)
    if exact is None or exact.latency_ms is None:
        return what + ending
    slow = [point for point in timed if clearly_quicker(exact, point)]
    ending = (f"; {_who_is(slow, most)} slower" if slow else "") + ending
    quick = quickest_of(timed)
    if exact in quick:
        return f"No variant is faster than float32 on this machine{ending}"
    gain = formats.times(exact.latency_ms / max(point.latency_ms or 0.0 for point in quick))
    speed = f"{gain if len(quick) == 1 else f'at least {gain}'} faster"
    if both := [point for point in quick if point in small]:
        size = _smaller(both, float32_bytes)
        return f"{_who_is(both, most)} {size} and {speed} than float32{ending}"
    files = f"{_names(small, most)} the smallest {verb(len(small), 'file', 'files')}"
    return f"{_who_is(quick, most)} {speed} than float32, {files}{ending}"


def _smaller(points: Sequence[Candidate], float32_bytes: int) -> str:
    size = min(point.size_bytes or 0 for point in points)
    return f"{formats.times(float32_bytes / size)} smaller"


def _who_is(points: Sequence[Candidate], most: int) -> str:
    return f"{_names(points, most)} {verb(len(points), 'is', 'are')}"


def _names(points: Sequence[Candidate], most: int) -> str:
    return names_or_count([point.variant for point in points], most)


def names_or_count(variants: Sequence[str], most: int = MOST_NAMED) -> str:
    """List a few variants by name, and count more of them."""
    return join_names(variants) if len(variants) <= most else f"{len(variants)} variants"


def lowering_headline(lowerings: Lowerings) -> str:
    """Say what our lowering gains over onnx-tf's own, on the variants that both made."""
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
        return f"No difference found: both lowerings are equally fast{_transposes(lowerings)}"
    parts = [
        f"{variant} {formats.times(speedup)} faster"
        if speedup >= 1
        else f"{variant} {formats.times(1 / speedup)} slower"
        for variant, speedup in gains
    ]
    return f"The NHWC lowering makes {join_names(parts)}{_transposes(lowerings)}"


def _transposes(lowerings: Lowerings) -> str:
    for variant in lowerings.variants:
        before, after = lowerings.stock.artifact(variant), lowerings.nhwc.artifact(variant)
        if before is not None and after is not None:
            counts = [side.operators.get("TRANSPOSE", 0) for side in (after, before)]
            return f", with {counts[0]} TRANSPOSE operators instead of {counts[1]}"
    return ""


def details_headline(manifest: Manifest) -> str:
    """Say what was made from what."""
    weights = {
        "package": "with its own weights",
        "pretrained": f"with {manifest.model.kind}'s weights",
        "checkpoint": "with your checkpoint",
        "random": "with random weights",
        "file": "from your ONNX file",
        "network": "from your network",
    }[manifest.model.weights]
    size = formats.sides((manifest.preprocess.height, manifest.preprocess.width))
    return f"{manifest.model.name} {weights}, for pictures of {size}"


def preprocess_sentence(manifest: Manifest) -> str | None:
    """Say how the preprocessing was determined; None for runs that do not hold it."""
    origin = manifest.preprocess_origin
    return None if origin is None else describe_origin(origin, manifest.preprocess)


def fact_rows(facts: FileFacts) -> tuple[tuple[str, str], ...]:
    """Write what was read from a model file: name and value of each fact."""
    shape = formats.sides("any" if size is None else size for size in facts.shape)
    rows = [
        ("Input", f"{facts.input}: {shape}" if facts.input else shape),
        ("Type", facts.dtype),
        ("Layout", facts.layout),
        ("Output", facts.output),
        ("Classes", f"{facts.classes:,}"),
        ("Operator set", "" if facts.opset is None else str(facts.opset)),
        ("Parameters", f"{facts.parameters:,}"),
        ("Size", formats.megabytes(facts.bytes)),
    ]
    return tuple((name, value) for name, value in rows if value)


def float_operators_note(artifact: Artifact) -> str | None:
    """Say what a file of integers computes in float32 nevertheless; None for nothing."""
    if not artifact.float_operators:
        return None
    parts = [f"{count} {name}" for name, count in artifact.float_operators.items()]
    return f"Computed in float32: {', '.join(parts)}."


def opset_note(manifest: Manifest) -> str | None:
    """Name the ONNX operator set, where it is not the usual one."""
    if manifest.model.weights == "file":
        before = next(stage.against for stage in manifest.stages if stage.name == "onnx")
        if before is None or not before.startswith("opset"):
            return None
        return f"The file's {before} was converted to ONNX operator set {manifest.opset}."
    if manifest.opset == BASE_OPSET:
        return None
    return f"Exported with ONNX operator set {manifest.opset}; {BASE_OPSET} is the usual one."


def calibration_notes(calibration: CalibrationInfo | None) -> tuple[str, ...]:
    """Say what a person has to know of the calibration pictures that they gave."""
    if calibration is None or calibration.demo:
        return ()
    notes = []
    if calibration.count < FEW_CALIBRATION_PICTURES:
        pictures = plural(calibration.count, "picture")
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


def reference_at_start(comparison: Comparison) -> str:
    """Name what the variants are compared with, at the start of a sentence."""
    return formats.title_at_start(comparison.reference)


def reference_title(comparison: Comparison) -> str:
    """Name what the variants are compared with, within a sentence."""
    return formats.title_of_model(comparison.reference)
