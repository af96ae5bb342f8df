"""Targets: where each file of the run works, and what it needs there."""

import streamlit as st

from engine.reporting.text.targets import targets_headline
from engine.tasks.targets import read_targets
from pages.inputs.target import choose_target
from pages.state.messages import no_run_yet, plain
from pages.state.session import current_run, pictures
from pages.views import targets

run = current_run()
if run is None:
    no_run_yet()
matrix = read_targets(run)
if matrix is None:
    st.title("Where will these files run?")
    targets.show_promise()
else:
    st.title(plain(targets_headline(matrix)))
targets.show_button(run, pictures())
if matrix is not None:
    left, right = st.columns(2)  # one above the other on a phone, which would cut a name
    with left:
        choose_target(run)
    with right:
        mine = targets.choose_targets(matrix)
    with st.container(border=True):
        st.header("Variants on targets")
        targets.show_matrix(matrix, mine)
    with st.container(border=True):
        targets.show_target(run, matrix, mine)
