"""Layers: where along the network an integer variant loses, and why."""

import streamlit as st

from engine.reporting import plots
from engine.reporting.text import layers as layer_sentences
from engine.runs.results import latency_shares
from pages.inputs.pictures import choose_pictures_in_expander
from pages.state.conversion import show_faults
from pages.state.messages import no_run_yet, plain
from pages.state.session import current_run
from pages.views import layers
from pages.views.figures import show_described_figure
from pages.views.improve import link_to_improve

run = current_run()
if run is None:
    no_run_yet()
headline = st.container()
with st.container(horizontal=True, vertical_alignment="center"):
    variant = layers.choose_variant(run)
    count = st.empty()
shown = choose_pictures_in_expander()
with headline:
    found = layers.layers_or_wait(run, variant, shown)
    said = layer_sentences.layers_headline(found)
    st.title(plain(said))
    if variant in run.faults:
        show_faults(run)
count.caption(f"{found.pictures} pictures")
named = layer_sentences.culprits(found)[:3]
with st.container(border=True):
    st.header("Signal over error, from input to logits")
    show_described_figure("layer_line", said, plots.layer_line, found, named)
left, right = st.columns(2, gap="medium")
with left.container(border=True, height="stretch"):
    st.header("Who loses most")
    layers.show_worst(found)
    link_to_improve(run, variant)
chart = right.container(border=True, height="stretch")
with st.container(border=True):
    st.header("All operators")
    st.caption("Choose a row to see that operator's values over its integer grid.")
    chosen = layers.show_operators(found, latency_shares(run, variant))
with chart:
    layers.show_operator(chosen, variant)
layers.show_notes(run, found)
