"""Contents of the page Improve: an optimized variant and layers in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import streamlit as st

from engine.comparison.records import Flip, VariantComparison
from engine.core import formats
from engine.core.errors import EngineError
from engine.images.pictures import Picture
from engine.quantization.recipes import recipe_named
from engine.quantization.records import MixedCurve, MixedPoint
from engine.reporting import plots
from engine.reporting.text.improve import (
    curve_headline,
    flip_change,
    flips_sentence,
    float_layers_sentence,
    layer_title,
    monotone_sentence,
    overlap_note,
    worth_sentence,
)
from engine.runs.run import Run
from engine.tasks import layers as service
from engine.tasks.convert import UnderWay, write_note
from engine.tasks.improve import (
    calibration_digests,
    improvable,
    improve,
    improving_request,
    mix,
    name_mixed,
    name_optimized,
    read_curve,
    read_optimized_layers,
    time_curve,
)
from engine.workers.jobs import Job
from pages.inputs.variant import variant_pills
from pages.state import session
from pages.state.evaluation import Evaluation
from pages.state.evaluation import show_notes as show_comparison_notes
from pages.state.jobs import job_button
from pages.state.messages import cell, end_page, plain, show_errors
from pages.views.figures import align_right, show_described_figure, show_rows
from pages.views.gallery import show_gallery

JOB = "improve"
LAYERS_JOB = "improve_layers"
PAGE = "pages/dashboard/improve.py"
_MOST_SHOWN = 12


def choose_improvable(run: Run) -> str:
    """Show the variants that can be improved; the page ends here where there are none."""
    names = list(improvable(run))
    if not names:
        st.title("No variant of this run can be improved")
        st.markdown("Integer variants can: int8, uint8, int8_float_io and int16x8.")
        st.page_link("pages/dashboard/convert.py", label="Add one", icon=":material/bolt:")
        end_page()
    return variant_pills(names)


def show_button(run: Run, variant: str, *, primary: bool = True) -> None:
    """Offer to improve a variant, show the work, and come back when it is done."""

    def work(job: Job[Run]) -> Run:
        return improve(run, variant, job)

    title = f"Improving {variant}"
    job_button(
        JOB,
        f"Improve {variant}",
        title,
        work,
        icon=":material/auto_fix_high:",
        primary=primary,
        during=_note(run, variant, title),
    )


def _note(run: Run, variant: str, title: str) -> AbstractContextManager[None]:
    try:
        return write_note(UnderWay(session.owner(), title, improving_request(run, variant)))
    except EngineError:  # the work itself says why
        return nullcontext()


def link_to_improve(run: Run, variant: str | None = None) -> None:
    """Link to the page Improve, where the variant on show, or any, can be improved."""
    names = improvable(run)
    open_to = [name for name in names if name_optimized(run, name) not in run.variants]
    if variant in names and variant not in open_to:
        label = f"{variant} before and after improving"
    elif open_to:
        label = f"Improve {variant if variant in open_to else open_to[0]}"
    else:
        return
    st.page_link(PAGE, label=label, icon=":material/auto_fix_high:")


def show_before_after(before: VariantComparison, after: VariantComparison) -> None:
    """Show the figures of both, side by side."""
    cells = (
        ("Logit rms", formats.logits(before.logit_rms), formats.logits(after.logit_rms)),
        ("KL, nats", formats.small(before.kl), formats.small(after.kl)),
        ("SQNR", formats.decibels(before.logit_sqnr_db), formats.decibels(after.logit_sqnr_db)),
        ("Same answer", _same_answer(before), _same_answer(after)),
    )
    for column, (title, old, new) in zip(st.columns(len(cells)), cells, strict=True):
        column.metric(
            title, new, f"{old} before", delta_color="off", delta_arrow="off", border=True
        )


def show_notes(run: Run, evaluation: Evaluation) -> None:
    """Show what a reader of the figures has to know."""
    _show_overlap(run, evaluation)
    show_comparison_notes(evaluation.comparison)


def _show_overlap(run: Run, evaluation: Evaluation) -> None:
    """Say how many of these pictures were used for calibration."""
    try:
        digests = calibration_digests(run)
    except EngineError as error:
        st.warning(
            f"Not known: whether these pictures were used for calibration ({plain(error.got)})."
        )
        return
    shared = sum(picture.sha256 in digests for picture in evaluation.pictures)
    note = overlap_note(shared, len(evaluation.pictures))
    if shared:
        st.warning(note, icon=":material/info:")
    else:
        st.caption(note)


def show_flips(evaluation: Evaluation, before: VariantComparison, after: VariantComparison) -> None:
    """Show the pictures whose answers were won back, and those newly lost."""
    st.markdown(plain(flips_sentence(before, after)))
    change = flip_change(before, after)
    columns = (evaluation.comparison.reference, before.variant, after.variant)
    for title, flips in (("Newly lost", change.newly_lost), ("Won back", change.won_back)):
        if flips:
            with st.expander(f"{title} ({len(flips)})", expanded=True):
                show_gallery(evaluation, columns, _rows(flips), key=title)


def _rows(flips: tuple[Flip, ...]) -> list[int]:
    return [flip.index for flip in flips[:_MOST_SHOWN]]


def show_layer_lines(run: Run, variants: tuple[str, str], pictures: tuple[Picture, ...]) -> None:
    """Show the layer lines of both over each other, or the button that measures them."""
    before, after = (service.read_layer_errors(run, variant, pictures) for variant in variants)
    if before is not None and after is not None:
        caption = f"Over {before.pictures} of the pictures, against float32."
        show_described_figure("layer_lines", caption, plots.layer_lines, before, after)
        st.caption(caption)
        return
    st.caption("Where along the network the error was taken away: half a minute to measure.")

    def work(job: Job[bool]) -> bool:
        for variant in variants:
            service.layers(run, variant, pictures, job)
        return True

    job_button(
        LAYERS_JOB,
        "Compare layer by layer",
        "Comparing both with float32, operator by operator",
        work,
        icon=":material/layers:",
    )


def _same_answer(side: VariantComparison) -> str:
    pictures = len(side.reference_margins)
    return f"{round(side.top1_agreement * pictures)} of {pictures}"


def show_layers(run: Run, variant: str) -> None:
    """Show what was done to each layer."""
    rows = [
        {
            "layer": cell(layer_title(layer)),
            "changed": ", ".join(layer.done) or f"left: {layer.left}",
            "own error before": formats.small(layer.before),
            "after": formats.small(layer.after),
        }
        for layer in read_optimized_layers(run, variant)
    ]
    error = (
        "Root mean square between the layer's output and the float model's, on its integer input. "
        "The range of int8 logits has a margin, so that no answer is clipped: their error may rise."
    )
    show_rows(
        rows, align_right(names := ("own error before", "after"), dict.fromkeys(names, error))
    )


MIX_JOB = "mix"
TIMING_JOB = "mix_timing"
_FIRST_TARGET = 0.85
"""Share of the whole variant's error that is proposed as the first target."""


def show_mixing(run: Run, whole_rms: float) -> None:
    """Offer layers in float32, or show what they gave.

    ``whole_rms``, the logit rms of the optimized variant, gives the first proposal.
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
        _offer(run, name_mixed(target_rms=round(target, 4)), "Find the layers")
        return
    with show_errors():
        curve = read_curve(run, mixed[-1])
        assert curve is not None, "a mixed variant is chosen from a curve"
        _show_curve(run, curve, mixed)


def offer_mixing(run: Run, whole_rms: float) -> None:
    """Show the button that finds the fewest layers for the first target."""
    target = max(round(_FIRST_TARGET * whole_rms, 4), 0.0001)
    _offer(run, name_mixed(target_rms=target), "Find the layers")


def _show_curve(run: Run, curve: MixedCurve, mixed: list[str]) -> None:
    choices = [point.layers for point in curve.points if point.layers]
    in_run = curve.of_size(run.sizes[mixed[-1]]).layers
    layers = st.select_slider(
        "Layers in float32",
        choices,
        value=in_run if in_run in choices else choices[0],
        key="mixed_layers",
    )
    point = next(point for point in curve.points if point.layers == layers)
    headline = curve_headline(curve, point)
    st.markdown(f"**{plain(headline)}.**")
    _show_point(curve, point)
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
        f"{plain(float_layers_sentence(point))} Error and answers are those on calibration "
        "pictures, against float32."
    )
    name = name_mixed(layers=layers)
    if layers != in_run and name not in run.variants:
        _offer(run, name, f"Add {name} to the run")
    else:
        st.caption(f"In this run: {', '.join(mixed)}. Every page shows them beside the others.")


def _show_point(curve: MixedCurve, point: MixedPoint) -> None:
    """Show size, latency, error and agreement of a point of the curve at once."""
    whole = curve.points[0]
    timed, before = curve.latency_of(point.layers), curve.latency_of(0)
    cells = (
        ("Size", formats.megabytes(point.bytes), formats.megabytes(whole.bytes)),
        (
            "Latency",
            "not measured" if timed is None else formats.milliseconds(timed.median_ms),
            "not measured" if before is None else formats.milliseconds(before.median_ms),
        ),
        ("Logit rms", formats.small(point.rms), formats.small(whole.rms)),
        ("Same answer", formats.percent(point.agreement), formats.percent(whole.agreement)),
    )
    for column, (title, value, without) in zip(st.columns(len(cells)), cells, strict=True):
        column.metric(
            title, value, f"{without} without", delta_color="off", delta_arrow="off", border=True
        )


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
