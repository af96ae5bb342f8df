"""Headlines of the page Deploy, made from figures."""

from __future__ import annotations

from collections.abc import Sequence

from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency
from engine.core import formats
from engine.core.types import FAULT_WORDS, SAME
from engine.deployment.phone import PhoneBenchmark


def deploy_headline(variant: str, size: int, float32_bytes: int) -> str:
    """What a person is about to take home.

    Args:
        variant: Its name.
        size: Bytes of its file.
        float32_bytes: Bytes of the float32 file.

    Returns:
        One sentence.
    """
    smaller = float32_bytes / size
    what = f"Take {variant} to a phone: {formats.megabytes(size)}"
    if smaller < 1 + SAME:
        return f"{what}, as large as float32" if smaller > 1 - SAME else what
    return f"{what}, {formats.times(smaller)} smaller than float32"


def kit_sentence(comparison: Comparison, variant: str) -> str:
    """How close the variant is, for somebody who decides whether to ship it."""
    found, reference = comparison.variant(variant), comparison.reference
    whom = "the original" if reference == "original" else reference
    if found.non_finite:
        return f"{variant} gives answers that are not numbers: do not ship it."
    if found.fault is not None:
        return f"{variant} {FAULT_WORDS[found.fault]}: do not ship it."
    same = round(found.top1_agreement * found.pictures)
    on = (
        f"all {found.pictures} pictures"
        if same == found.pictures and same > 1
        else f"{same} of {found.pictures} picture{'' if found.pictures == 1 else 's'}"
    )
    return (
        f"It answers like {whom} on {on} (95 % interval "
        f"{formats.interval(found.top1_agreement_interval)})."
    )


def phone_sentence(
    variant: str, benchmarks: Sequence[PhoneBenchmark], latency: Latency | None
) -> str | None:
    """The quickest phone beside this machine; None where no phone timed the variant."""
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
    return f"{time}, {formats.times(1 / ratio)} quicker than {here}"
