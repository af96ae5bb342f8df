"""Calibration: how many pictures are enough, and how ranges should follow from them."""

import streamlit as st

from pages.state.conversion import show_faults
from pages.state.messages import no_run_yet, plain
from pages.state.session import current_run
from pages.views import sweep as sweeping

run = current_run()
if run is None:
    no_run_yet()
headline = st.container()
shown = sweeping.measured_pictures(run)
plan = sweeping.plan_controls(run, shown)
if plan is not None:
    sweeping.show_button(run, shown, plan)
measured = sweeping.sweep_of(run, plan)
recipe = sweeping.recipe_of(measured, plan)
headline.title(plain(sweeping.headline(measured, recipe)))
with headline:
    show_faults(run)
if measured is None or recipe is None:
    st.markdown(
        "The float32 model is quantized for several numbers of pictures, several choices of them "
        "and several ways to choose ranges, and each result is compared with float32 on pictures "
        "that calibration has not seen. Nothing is added to the run."
    )
else:
    sweeping.show_sweep(run, measured, recipe, plan)
