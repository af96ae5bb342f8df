"""What it takes to change an answer: a section for one picture, and for all of them."""

from __future__ import annotations

import streamlit as st

from engine.core import formats
from engine.images.changes import (
    CHANGE_KINDS,
    SCALES,
    ChangeKind,
)
from engine.images.pictures import DEFAULT_CURVE_COUNT
from engine.reporting import plots
from engine.reporting.text import robustness as sentences
from engine.tasks.robustness import (
    measure_robustness,
    models_of,
    read_robustness,
)
from engine.workers.jobs import Job
from pages.state import jobs
from pages.state.evaluation import Evaluation
from pages.state.messages import plain
from pages.views.changed_picture import show_changed_picture
from pages.views.figures import show_figure

CURVE_JOB = "changed_curve"
QUESTION = "What does it take to flip it?"
ONE, ALL = "One picture", "All pictures"


@st.fragment
def show_robustness(evaluation: Evaluation) -> None:
    """Show in an expander what it takes to change answers; a slider draws this part alone again."""
    section = st.expander(
        QUESTION, icon=":material/blur_on:", key="changed_section", on_change="rerun"
    )
    if not section.open:
        return
    with section:
        what = st.segmented_control(
            "Pictures to change",
            [ONE, ALL],
            default=ONE,
            required=True,
            label_visibility="collapsed",
            key="changed_what",
        )
        if what == ALL:
            _show_set(evaluation)
        else:
            show_changed_picture(evaluation)


def _show_set(evaluation: Evaluation) -> None:
    """Show how far models stay with the reference and themselves under one kind of change."""
    kind: ChangeKind | None = st.segmented_control(
        "Change",
        CHANGE_KINDS,
        default="blur",
        required=True,
        format_func=lambda name: SCALES[name].title,
        label_visibility="collapsed",
        key="changed_kind",
    )
    assert kind is not None, "a choice is required"
    measured = read_robustness(evaluation)
    scale = SCALES[kind]
    if measured is None or kind not in measured.kinds:
        _offer_curve(evaluation, kind)
        return
    left, right = st.columns(2, gap="medium")
    with left:
        show_figure(f"same_{kind}", plots.agreement_lines, measured, kind)
    with right:
        show_figure(f"stable_{kind}", plots.stability_lines, measured, kind)
    st.caption(
        f"On {formats.plural(len(measured.pictures), 'picture')}, with 95\xa0% intervals. "
        f"{scale.title}: {scale.meaning}."
    )
    for note in measured.notes:
        if note not in evaluation.comparison.notes:
            st.caption(plain(note))


def _offer_curve(evaluation: Evaluation, kind: ChangeKind) -> None:
    comparison, models = evaluation.comparison, models_of(evaluation)
    count = min(len(evaluation.pictures), DEFAULT_CURVE_COUNT)
    pictures = formats.plural(count, "picture")

    def work(job: Job[bool]) -> bool:
        measure_robustness(
            evaluation.run,
            evaluation.pictures,
            job,
            kinds=(kind,),
            reference=comparison.reference,
            variants=tuple(name for name in models if name != comparison.reference),
        )
        return True

    base = formats.title_of_model(comparison.reference)
    st.markdown(
        f"{SCALES[kind].title} in {len(SCALES[kind].curve)} strengths: does each variant still "
        f"answer like {plain(base)}, and like itself before?"
    )
    jobs.job_button(
        CURVE_JOB,
        f"Show {pictures} to {len(models)} models",
        f"Changing {pictures} by {sentences.kind_in_sentence(kind)}",
        work,
        icon=":material/show_chart:",
    )
