"""Improve: a better integer variant at the same size and speed, before and after."""

import streamlit as st

from engine.reporting.text.improve import improvement_headline
from engine.reporting.text.runs import reference_title
from engine.tasks.improve import name_optimized
from pages.state.conversion import show_faults
from pages.state.evaluation import evaluation_or_wait
from pages.state.messages import end_page, no_run_yet, plain, show_errors
from pages.state.session import current_run
from pages.views import improve as improving

run = current_run()
if run is None:
    no_run_yet()
headline = st.container()
variant = improving.choose_improvable(run)
better = name_optimized(run, variant)
if better not in run.variants:
    headline.title(f"Could {plain(variant)} answer closer to the original?")
    show_faults(run)
    st.markdown(
        "Weights are rounded so that each layer's output changes least, biases are set so that "
        "its mean stays, and ranges so that clipping and rounding cost least. The file keeps its "
        "operators, size and speed. About a minute; several for int16x8."
    )
    improving.show_button(run, variant)
    end_page()
evaluation = evaluation_or_wait(headline)
sides = {side.variant: side for side in evaluation.comparison.variants}
before, after = sides[variant], sides[better]
headline.title(plain(improvement_headline(before, after, reference_title(evaluation.comparison))))
improving.show_before_after(before, after)
improving.show_notes(run, evaluation)
with st.container(border=True):
    st.header("Answers won back, and newly lost")
    improving.show_flips(evaluation, before, after)
with st.container(border=True):
    st.header("Signal over error, before and after")
    improving.show_layer_lines(run, (variant, better), evaluation.pictures)
with st.container(border=True):
    st.header("Closer still: some layers in float32")
    improving.show_mixing(run, after.logit_rms)
with st.container(border=True), show_errors():
    st.header("What was done, layer by layer")
    improving.show_layers(run, better)
