"""Accuracy: how often each variant is right, and in which classes it loses."""

import streamlit as st

from engine.reporting.text import accuracy as accuracy_sentences
from pages.inputs.labels import labels_of, show_clicking
from pages.inputs.pictures import offer_picture_set
from pages.inputs.variant import variant_pills
from pages.state.evaluation import evaluation_or_wait, show_faults, show_remarks
from pages.state.messages import no_run_yet, plain
from pages.state.session import current_run, pictures
from pages.views import accuracy

run = current_run()
if run is None:
    no_run_yet()
headline = st.container()
evaluation = evaluation_or_wait(headline)
variant = variant_pills([side.variant for side in evaluation.comparison.variants])
labels = labels_of(run, pictures())
if labels.clicked and labels.indices is not None:
    # Above the figures, whose arrival would move what a person is clicking on.
    with st.container(border=True):
        st.header("What is in this picture?")
        st.caption(
            "Keys 1 to 5 choose, s skips, u takes back. Answers are kept in the run, by the "
            "content of the picture."
        )
        show_clicking(evaluation, labels.indices)
with headline:
    title = st.container()
    show_faults(evaluation.comparison)
if labels.indices is None or not labels.count:
    title.title(plain(accuracy_sentences.accuracy_headline(evaluation.comparison, variant)))
    offer_picture_set("Give right answers")
elif labels.count < labels.minimum:
    title.title(accuracy_sentences.labelling_headline(labels.count, labels.minimum))
else:
    comparison = accuracy.compare_with_labels(evaluation, labels.indices)
    title.title(plain(accuracy_sentences.accuracy_headline(comparison, variant)))
    show_remarks(comparison)
    accuracy.show_figures(comparison, variant)
    with st.container(border=True):
        st.header("All models")
        accuracy.show_table(comparison)
    with st.container(border=True):
        accuracy.show_classes(run, accuracy.accuracies(comparison)[variant], variant)
