"""Predictions: what each variant answers, picture by picture."""

from functools import partial

import streamlit as st

from engine.reporting.text import runs as sentences
from engine.tasks.evaluate import warm_up
from pages.inputs.pictures import offer_picture_set
from pages.inputs.variant import variant_pills
from pages.state.evaluation import evaluation_or_wait, show_notes
from pages.state.messages import no_run_yet, plain
from pages.state.session import current_run
from pages.views.gallery import choose_rows, show_gallery
from pages.views.robustness import show_robustness
from pages.views.stage import show_coming_photo, show_stage

run = current_run()
if run is None:
    no_run_yet()
headline = st.container()
warm_up(run)
evaluation = evaluation_or_wait(headline, partial(show_coming_photo, run))
comparison = evaluation.comparison
with headline:
    st.title(plain(sentences.predictions_headline(comparison)))
    if comparison.variants:
        show_stage(evaluation, variant_pills([v.variant for v in comparison.variants]))
        worst = min(comparison.variants, key=lambda v: v.top1_agreement)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(sentences.evidence(worst.top1_agreement_interval, len(comparison.pictures)))
            offer_picture_set("Show other pictures")
    show_notes(comparison)

selection = choose_rows(evaluation)
if not selection.rows:
    st.info("No picture fits. Take a filter back.", icon=":material/filter_alt_off:")
show_gallery(evaluation, selection.columns, selection.rows)
show_robustness(evaluation)
