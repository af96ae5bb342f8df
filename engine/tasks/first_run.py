"""The comparison that a fresh installation makes of itself: the default model, sample images."""

from __future__ import annotations

from engine.core.store import SAMPLE_IMAGES
from engine.images.pictures import pictures_in
from engine.runs.request import ConvertRequest
from engine.runs.results import load_latency
from engine.runs.run import Run
from engine.tasks import convert
from engine.tasks.evaluate import compute_logits
from engine.tasks.latency import measure
from engine.workers import process as host_module

OPTIMIZED = "int8_optimized"
_ROUNDS, _WARMUP = 20, 2
"""Few rounds: int16x8 takes a quarter of a second a call where it has no quick kernels."""


def first_comparison(host: host_module.Host) -> Run:
    """Convert the default model, show all variants the sample images, and time them.

    The optimized variant is among them: a verdict that another one follows is none. What is in
    the store already is not made again.
    """
    request = ConvertRequest(variants=("all", OPTIMIZED))
    return complete(convert.convert_request(request, host), host)


def complete(run: Run, host: host_module.Host) -> Run:
    """Show the sample images to all columns of a run and time them, as far as that is not done."""
    compute_logits(run, pictures_in(SAMPLE_IMAGES), run.columns, host)
    timed = load_latency(run)
    if timed is None or any(timed.of(name) is None for name in run.runnable):
        measure(run, host, rounds=_ROUNDS, warmup=_WARMUP)
    return run
