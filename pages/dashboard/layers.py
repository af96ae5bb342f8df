"""Layers: where along the network an integer variant loses, and why."""

import streamlit as st

from engine.reporting import plots
from engine.reporting.text import layers as layer_sentences
from engine.runs.results import latency_shares
from pages.state.conversion import show_faults
from pages.state.messages import no_run_yet, plain
from pages.state.session import current_run, pictures
from pages.views import layers
from pages.views.figures import show_described_figure
from pages.views.improve import link_to_improve

run = current_run()
if run is None:
    no_run_yet()
shown = pictures()
headline = st.container()
with st.container(horizontal=True, vertical_alignment="center"):
    variant = layers.choose_variant(run)
    count = st.empty()
with headline:
    errors = layers.layers_or_wait(run, variant, shown)
    title = layer_sentences.layers_headline(errors)
    st.title(plain(title))
    if variant in run.faults:
        show_faults(run)
measured = layers.count_sentence(errors.pictures, len(shown))
count.caption(" · ".join(filter(None, (measured, layer_sentences.output_sentence(errors)))))
shares = latency_shares(run, variant)
left, right = st.columns((11, 10), gap="small")
with left.container(border=True, height="stretch"):
    st.header("From picture to logits")
    layers.show_map(errors, shares)
    link_to_improve(run, variant)
with right.container(border=True, height="stretch"):
    layers.show_detail(run, errors, shown)
layers.show_split(errors)
with st.container(border=True):
    layers.show_feature_maps(run, errors, shown)
named = layer_sentences.culprits(errors)[:3]
with st.container(border=True):
    st.header("Signal over error, from input to logits")
    show_described_figure("layer_line", title, plots.layer_line, errors, named)
with st.container(border=True):
    st.header("All operators")
    st.caption("Choose a row to see that operator beside the map.")
    layers.show_operators(run, errors, shares)
layers.show_notes(run, errors)
