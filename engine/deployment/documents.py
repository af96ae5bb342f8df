"""The texts of a kit: model card and snippets, filled in with a run's own figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency
from engine.comparison.records import Accuracy
from engine.core import formats
from engine.core.types import FAULT_WORDS, SAME
from engine.deployment.description import ModelDescription, raw_pixel_steps
from engine.deployment.golden_set import SMALLEST_RELATIVE, TOLERANCE_FACTOR
from engine.deployment.phone import PhoneBenchmark, benchmark_command, benchmark_log
from engine.networks.load import describe_origin
from engine.portability.records import FIGURE_TITLES, SUPPORT_WORDS, TargetMatrix
from engine.quantization.recipes import recipe_named
from engine.runs.run import Run

if TYPE_CHECKING:
    from jinja2 import Environment

KIT_FILES = Path(__file__).parent / "kit_files"
LITERT_ANDROID = "2.3.2"
"""Version of LiteRT for Android that the Kotlin snippet was written for."""
_WEIGHTS = {
    "package": "those of its package",
    "pretrained": "those that {kind} publishes",
    "checkpoint": "a person's checkpoint",
    "random": "random: it has learnt nothing",
    "file": "those of the ONNX file",
    "network": "those of a person's own network",
}
_SWIFT = {"float32": "Float", "int8": "Int8", "uint8": "UInt8", "int16": "Int16"}


@dataclass(frozen=True, slots=True)
class CardFigures:
    """Figures of a model card.

    Attributes:
        comparison: The variant, and no other, against its reference.
        latency: Timings on this machine, where there are some.
        digests: SHA-256 of the files of the kit, by name, with what each is.
        there: What the target that it is shipped to answers about it; None without any.
    """

    comparison: Comparison
    latency: Latency | None
    digests: Sequence[tuple[str, str, str]]
    there: TargetMatrix | None = None


def snippets(model: ModelDescription) -> dict[str, str]:
    """Write code for phones, by its name in the kit.

    Returns:
        ``android/ModelSpec.kt``, ``android/Classifier.kt`` and ``ios/Classifier.swift``.
    """
    entry, end, spec = model.input, model.output, model.preprocess
    limits = None if entry.scale is None else np.iinfo(entry.dtype)
    values = {
        "m": model,
        "spec": spec,
        "batch": entry.batch,
        "litert_android": LITERT_ANDROID,
        "input_bytes": _bytes(entry.dtype, entry.batch * spec.channels * spec.height * spec.width),
        "output_bytes": _bytes(end.dtype, entry.batch * model.classes),
        "input_limits": None if limits is None else (limits.min, limits.max),
        "swift_input": _SWIFT[entry.dtype],
        "swift_output": _SWIFT[end.dtype],
    }
    return {
        f"{folder}/{name}": render(name, values)
        for folder, name in (
            ("android", "ModelSpec.kt"),
            ("android", "Classifier.kt"),
            ("ios", "Classifier.swift"),
        )
    }


def _bytes(dtype: str, count: int) -> int:
    return int(np.dtype(dtype).itemsize) * count


def model_card(
    run: Run,
    model: ModelDescription,
    figures: CardFigures,
    *,
    template: str = "MODEL_CARD.md",
    **further: object,
) -> str:
    """Write the model card, in Markdown.

    Args:
        run: The run.
        model: What the kit holds.
        figures: Its figures.
        template: Of `KIT_FILES`.
        **further: What else this one needs.
    """
    manifest, card = run.manifest, run.artifact(model.variant)
    operators = Counter(dict(card.operators)).most_common()
    golden = model.golden
    floor = SMALLEST_RELATIVE * golden.largest if golden.unit == "values" else 1.0
    values = {
        "m": model,
        "spec": model.preprocess,
        "golden": golden,
        "manifest": manifest,
        "comparison": figures.comparison,
        "summary": _summary(run, model.variant),
        "size": formats.megabytes(card.bytes),
        "of_float32": formats.percent(card.bytes / manifest.float32_bytes),
        "weights": _WEIGHTS[manifest.model.weights].format(kind=manifest.model.kind),
        "operators": f"{sum(card.operators.values())}: "
        + ", ".join(f"{count} {name}" for name, count in operators),
        "float_operators": ", ".join(f"{n} {name}" for name, n in card.float_operators.items()),
        "granularity": "none" if card.weight_granularity == "none" else card.weight_granularity,
        "latency": _latency(figures.latency, model.variant),
        "memory": figures.comparison.memory.get(model.variant),
        "target": () if figures.there is None else _target_rows(figures.there, model.variant),
        "raw_pixels": raw_pixel_steps(model.preprocess, model.input),
        "reference": formats.title_of_model(figures.comparison.reference),
        "errors": _errors(figures.comparison, model.variant),
        "calibration": _calibration(run, model.variant),
        "origin": _origin(run),
        "factor": formats.small(TOLERANCE_FACTOR),
        "floor": formats.small(floor),
        "files": figures.digests,
        "benchmark": benchmark_command(model.file),
        "benchmark_log": benchmark_log(model.file),
        "made_with": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
    }
    return render(template, values | further)


def render(name: str, values: Mapping[str, object]) -> str:
    """Fill in a text of `KIT_FILES`, named without ``.jinja``."""
    return _environment().get_template(f"{name}.jinja").render(values)


def _summary(run: Run, variant: str) -> str:
    for added in run.added:
        if added.artifact.variant == variant:
            return f"A file of another tool: {added.origin}."
    return recipe_named(variant).summary


def _latency(latency: Latency | None, variant: str) -> str | None:
    timed = None if latency is None else latency.of(variant)
    if latency is None or timed is None:
        return None
    return (
        f"{formats.milliseconds(timed.median_ms, timed.pictures)}, median of "
        f"{len(timed.samples_ms)}, on {latency.host}, threads: {latency.threads}, "
        f"{latency.measured_at[:10]}"
    )


def _target_rows(there: TargetMatrix, variant: str) -> Iterator[tuple[str, str]]:
    """Yield what a variant does on a target and takes there, each figure with how it came."""
    (target,) = there.targets
    answer = there.of(variant, target.name)
    runs = SUPPORT_WORDS[answer.support]
    if answer.left:
        runs += f", without {answer.left_names}"
    yield "Target", ": ".join(filter(None, (target.title, runs, answer.reason)))
    for figure in answer.figures:
        if not figure.part:
            write = formats.milliseconds if figure.in_milliseconds else formats.megabytes
            value = f"{write(figure.value)}, {figure.how} by {figure.by}"
            yield f"{FIGURE_TITLES[figure.name]} there", value


def _errors(comparison: Comparison, variant: str) -> tuple[tuple[str, str], ...]:
    figures = comparison.variant(variant)
    same = round(figures.top1_agreement * figures.pictures)
    rows = [
        (
            "Same answer",
            f"{same} of {figures.pictures} (95\xa0% interval "
            f"{formats.interval(figures.top1_agreement_interval)})",
        ),
        ("Common among the first five", formats.percent(figures.top5_overlap)),
        ("Difference of the logits, rms", formats.logits(figures.logit_rms)),
        ("Largest difference", formats.logits(figures.logit_max)),
        ("Signal to quantization noise", formats.decibels(figures.logit_sqnr_db)),
        ("Kullback-Leibler divergence", f"{formats.small(figures.kl)} nats"),
    ]
    for name, accuracy in (
        (variant, figures.accuracy),
        (formats.title_of_model(comparison.reference), comparison.reference_accuracy),
    ):
        if accuracy is not None:
            rows.append(
                (
                    f"Right answers, {name}",
                    f"{_correct(accuracy)} "
                    f"(95\xa0% interval {formats.interval(accuracy.top1_interval)})",
                )
            )
    return tuple(rows)


def _correct(accuracy: Accuracy) -> str:
    if accuracy.pictures < formats.FEW_PICTURES:
        return formats.count_or_percent(accuracy.top1, accuracy.pictures)
    return f"{formats.percent(accuracy.top1)} of {accuracy.pictures}"


def _origin(run: Run) -> str | None:
    origin = run.manifest.preprocess_origin
    return None if origin is None else describe_origin(origin, run.manifest.preprocess)


def _calibration(run: Run, variant: str) -> str:
    if variant not in run.variants:
        return "Made by another tool; its calibration is unknown."
    if not recipe_named(variant).calibrated:
        return "This variant needs no calibration pictures."
    used = run.manifest.calibrations.get(variant, run.manifest.calibration)
    if used is None:
        return "Not known."
    source = "crops of the supplied pictures (demo calibration)" if used.demo else "pictures given"
    fallback = "" if used.fallback is None else f" By TensorFlow's own calibrator: {used.fallback}."
    return (
        f"{used.count} {source}, seed {used.seed}; SHA-256 over the pictures `{used.digest}`."
        f"{fallback}"
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(KIT_FILES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # code and Markdown, not HTML
    )
    filters: Mapping[str, Any] = {
        "kotlin_float": lambda value: f"{np.float32(value)!s}f",
        "swift_float": lambda value: str(np.float32(value)),
        "figure": lambda value: f"{value:.4g}",
        "exact": lambda value: formats.UNKNOWN if value is None else f"{value:.9g}",
        "thousands": lambda value: f"{value:,}",
        "megabytes": formats.megabytes,
        "milliseconds": formats.milliseconds,
    }
    environment.filters.update(filters)
    return environment


def deploy_headline(variant: str, size: int, float32_bytes: int) -> str:
    """Say how large the variant is beside float32."""
    smaller = float32_bytes / size
    what = f"Take {variant} to a phone: {formats.megabytes(size)}"
    if smaller < 1 + SAME:
        return f"{what}, as large as float32" if smaller > 1 - SAME else what
    return f"{what}, {formats.times(smaller)} smaller than float32"


def kit_sentence(comparison: Comparison, variant: str) -> str:
    """Say how close the variant is, for somebody who decides whether to ship it."""
    figures, reference = comparison.variant(variant), comparison.reference
    whom = formats.title_of_model(reference)
    if figures.non_finite:
        return f"{variant} gives answers that are not numbers: do not ship it."
    if figures.fault is not None:
        return f"{variant} {FAULT_WORDS[figures.fault]}: do not ship it."
    same = round(figures.top1_agreement * figures.pictures)
    whole = same == figures.pictures and same > 1
    pictures = formats.plural(figures.pictures, "picture")
    on = f"all {pictures}" if whole else f"{same} of {pictures}"
    return (
        f"It answers like {whom} on {on} (95\xa0% interval "
        f"{formats.interval(figures.top1_agreement_interval)})."
    )


def phone_sentence(
    variant: str, benchmarks: Sequence[PhoneBenchmark], latency: Latency | None
) -> str | None:
    """Compare the fastest phone with this machine; None where no phone timed the variant."""
    own = [benchmark for benchmark in benchmarks if benchmark.variant == variant]
    if not own:
        return None
    best = min(own, key=lambda benchmark: benchmark.timing.mean_ms)
    time = f"{variant} takes {formats.milliseconds(best.timing.mean_ms)} on {best.phone}"
    host = None if latency is None else latency.of(variant)
    if host is None or host.median_ms == 0:
        return f"{time}; this machine has not timed it"
    ratio = best.timing.mean_ms / host.median_ms
    here = f"the {formats.milliseconds(host.median_ms, host.pictures)} on this machine"
    if abs(ratio - 1) < SAME:
        return f"{time}, much like {here}"
    if ratio > 1:
        return f"{time}, {formats.times(ratio)} {here}"
    return f"{time}, {formats.times(1 / ratio)} faster than {here}"
