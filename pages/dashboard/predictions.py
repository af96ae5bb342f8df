"""Predictions: what each variant answers, picture by picture."""

import streamlit as st

from engine.reporting.text import runs as sentences
from pages.inputs.pictures import choose_pictures, choose_rows
from pages.state.evaluation import evaluation_or_wait, show_notes
from pages.state.messages import no_run_yet, plain
from pages.state.session import current_run
from pages.views.gallery import show_gallery
from pages.views.robustness import show_robustness

if current_run() is None:
    no_run_yet()
headline = st.container()
choose_pictures()
evaluation = evaluation_or_wait()
comparison = evaluation.comparison
with headline:
    st.title(plain(sentences.predictions_headline(comparison)))
    if comparison.variants:
        worst = min(comparison.variants, key=lambda v: v.top1_agreement)
        st.caption(sentences.evidence(worst.top1_agreement_interval, len(comparison.pictures)))
    show_notes(comparison)

selection = choose_rows(evaluation)
if not selection.rows:
    st.info("No picture fits. Take a filter back.", icon=":material/filter_alt_off:")
show_gallery(evaluation, selection.columns, selection.rows)
show_robustness(evaluation)
