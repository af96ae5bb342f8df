"""What to do about a run, each thing with a button that does it or a way to where it is done."""

from __future__ import annotations

import streamlit as st

from engine.comparison.recommendation import Choice
from engine.quantization.calibration import CalibrationChoice
from engine.reporting.text.opportunities import Kind, Opportunity, find_opportunities
from engine.tasks.evaluation import Evaluation
from pages.inputs.pictures import offer_picture_set
from pages.state import session
from pages.state.conversion import offer_calibrating
from pages.state.messages import plain
from pages.views import improve, latency

_WAYS: dict[Kind, tuple[str, str, str]] = {
    "label": ("accuracy", "Label", ":material/check_circle:"),
    "calibrate": ("convert", "Convert again", ":material/conversion_path:"),
}


def show_opportunities(evaluation: Evaluation, choice: Choice) -> None:
    """Show what would make the run better, and folded what was checked and needs nothing."""
    checked = find_opportunities(evaluation.run, evaluation.comparison, choice)
    with st.container(border=True, key="opportunities"):
        count = len(checked.offered)
        st.header("What would make it better" if count else "Nothing left to do", anchor=False)
        for item in checked.offered:
            _show(evaluation, item)
        if checked.passed:
            with st.expander(
                f"Checked and passed ({len(checked.passed)})", icon=":material/check:"
            ):
                st.markdown("\n".join(f"- {plain(line)}" for line in checked.passed))


def _show(evaluation: Evaluation, item: Opportunity) -> None:
    words, way = st.columns([4, 1], vertical_alignment="center")
    words.markdown(f"**{plain(item.what)}**: {plain(item.gain)}. {plain(item.cost)}.")
    with way:
        if item.kind == "optimize":
            improve.show_button(evaluation.run, item.variant, primary=False)
        elif item.kind == "mix":
            improve.offer_mixing(
                evaluation.run, evaluation.comparison.variant(item.variant).logit_rms
            )
        elif item.kind == "time":
            latency.offer_measuring(evaluation.run, "Measure")
        elif item.kind == "memory":
            latency.offer_measuring_memory(evaluation.run)
        elif item.kind == "calibrate" and session.own_pictures():
            offer_calibrating(evaluation.run, _calibrate_with_pictures_on_show, "Convert again")
        elif item.kind == "prove":
            offer_picture_set("Add pictures")
        else:
            page, label, icon = _WAYS[item.kind]
            st.page_link(f"pages/dashboard/{page}.py", label=label, icon=icon)


def _calibrate_with_pictures_on_show() -> CalibrationChoice:
    shown = session.pictures()
    return CalibrationChoice(folder=str(session.folder_of(shown)), count=len(shown))
