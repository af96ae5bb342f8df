"""Result: which variant to ship, what it trades, and how far the pictures prove it."""

import streamlit as st

from engine.reporting import tables
from engine.reporting.text import overview as sentences
from pages.shell.navigation import enter_demo
from pages.state import conversion as first_start
from pages.state.evaluation import evaluation_or_wait, show_faults, show_remarks
from pages.state.messages import plain
from pages.state.session import current_run
from pages.views import overview
from pages.views.accuracy import show_slices, with_labels_on_show
from pages.views.latency import show_axes
from pages.views.logits import show_comparison
from pages.views.opportunities import show_opportunities
from pages.views.stage import show_stage

run = current_run()
if run is None or first_start.under_way():
    first_start.show_making()
evaluation = evaluation_or_wait()
choice = overview.recommend_at_need(evaluation)
about = choice.about
st.title(plain(sentences.headline(evaluation.comparison, choice)))
st.markdown(plain(sentences.proof(choice)))
labelled = with_labels_on_show(evaluation)
comparison = labelled.comparison
show_faults(comparison)
overview.show_verdict(labelled, choice)
with st.container(horizontal=True, vertical_alignment="center"):
    st.caption(plain(sentences.describe_measurement(comparison, run.manifest.created_at)))
    st.button("Show as slides", type="tertiary", icon=":material/slideshow:", on_click=enter_demo)
stage = st.container()
left, right = st.columns([9, 5], gap="medium")
with left.container(border=True, height="stretch"):
    show_axes(evaluation.comparison, choice)
with right.container(border=True, height="stretch"):
    overview.show_advice(evaluation, choice)
    if about is not None:
        overview.show_weakest(evaluation, about)
show_opportunities(labelled, choice)
if about is not None:
    show_slices(labelled, about.variant)
show_comparison(comparison, tables.OVERVIEW)
show_remarks(comparison)
if about is not None:
    with stage:  # at last: the verdict does not wait for its pictures
        show_stage(evaluation, about.variant, key="hero")
