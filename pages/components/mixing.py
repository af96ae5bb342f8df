"""Closer still: an integer variant with some layers in float32, and what each number costs."""

from __future__ import annotations

import streamlit as st

from engine.core import formats
from engine.quantization.recipes import recipe_named
from engine.quantization.records import MixedCurve
from engine.reporting import plots
from engine.reporting.text.improve import (
    curve_headline,
    kept_sentence,
    monotone_sentence,
    worth_sentence,
)
from engine.runs.run import Run
from engine.tasks.improve import mix, mixed_name, stored_curve, time_curve
from engine.workers.jobs import Job
from pages.components.figures import show_described_figure
from pages.components.job_button import job_button
from pages.components.problems import plain, told

MIX_JOB = "mix"
TIMING_JOB = "mix_timing"
_FIRST_TARGET = 0.85
"""Share of the whole variant's error that is proposed as the first target."""


def show_mixing(run: Run, whole_rms: float) -> None:
    """Offer layers in float32, or show what they gave.

    Args:
        run: The run.
        whole_rms: Logit rms of the optimized variant, for the first proposal.
    """
    mixed = [name for name in run.variants if recipe_named(name).mixed]
    if not mixed:
        st.markdown(
            "What is left of the error is mostly the rounding of activations to 8 bits. Some "
            "layers in float32 bring it down further: the file grows, and the layers are slower. "
            "Every rounding is measured alone, and as few layers as your target needs are chosen."
        )
        target = st.number_input(
            "Logit rms to reach",
            min_value=0.0001,
            value=max(round(_FIRST_TARGET * whole_rms, 4), 0.0001),
            step=0.001,
            format="%.4f",
            help="Root mean square of the differences between logits and float32's, on "
            "calibration pictures.",
        )
        # Steps in the browser leave 0.0467 as 0.046700000000000005.
        _offer(run, mixed_name(target_rms=round(target, 4)), "Find the fewest layers")
        return
    with told():
        curve = stored_curve(run, mixed[-1])
        assert curve is not None, "a mixed variant is chosen from a curve"
        _show_curve(run, curve, mixed)


def _show_curve(run: Run, curve: MixedCurve, mixed: list[str]) -> None:
    choices = [point.layers for point in curve.points if point.layers]
    made = curve.of_size(run.sizes[mixed[-1]]).layers
    layers = st.select_slider(
        "Layers in float32",
        choices,
        value=made if made in choices else choices[0],
        key="mixed_layers",
    )
    point = next(point for point in curve.points if point.layers == layers)
    headline = curve_headline(curve, point)
    st.markdown(f"**{plain(headline)}.**")
    by_size, by_latency = st.columns(2)
    with by_size:
        show_described_figure("mixed_by_size", headline, plots.mixed_by_size, curve.points, layers)
    with by_latency:
        if curve.latency is not None:
            show_described_figure(
                "mixed_by_latency",
                headline,
                plots.mixed_by_latency,
                curve.points,
                curve.latency,
                layers,
            )
            st.caption(f"On {plain(curve.latency.host)}.")
        else:
            _offer_timing(run, mixed[-1])
    for sentence in (worth_sentence(curve, point), monotone_sentence(curve)):
        if sentence is not None:
            st.markdown(plain(sentence))
    st.caption(
        f"{plain(kept_sentence(point))} On calibration pictures; the same answer as float32 on "
        f"{formats.percent(point.agreement)} of them."
    )
    name = mixed_name(layers=layers)
    if layers != made and name not in run.variants:
        _offer(run, name, f"Add {name} to the run")
    else:
        st.caption(f"In this run: {', '.join(mixed)}. Every page shows them beside the others.")


def _offer(run: Run, name: str, label: str) -> None:
    def work(job: Job[Run]) -> Run:
        return mix(run, name, job)

    job_button(MIX_JOB, label, f"Making {name}", work, icon=":material/blender:")


def _offer_timing(run: Run, variant: str) -> None:
    st.caption("What the layers cost in time, on this machine: under a minute to measure.")

    def work(job: Job[MixedCurve]) -> MixedCurve:
        return time_curve(run, variant, job)

    title = "Timing points of the curve, in turns"
    job_button(TIMING_JOB, "Measure the latency", title, work, icon=":material/timer:")
