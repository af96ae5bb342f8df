"""Convert: choose a model, press one button, watch it become TFLite variants."""

import streamlit as st

from engine.reporting import plots
from engine.reporting.text import runs as sentences
from engine.runs.run import Run
from pages.inputs.convert_form import convert_form
from pages.inputs.uploads import show_files_from_elsewhere
from pages.state import conversion, jobs, session
from pages.state.messages import plain
from pages.views.figures import show_figure
from pages.views.files import show_downloads
from pages.views.improve import link_to_improve


def show_result(run: Run) -> None:
    """Show what failed, what was assumed, the error of each stage and the files."""
    conversion.show_faults(run)
    conversion.offer_retry(run)
    conversion.show_assumptions(run)
    with st.container(border=True):
        show_figure("hop_ladder", plots.hop_ladder, run.manifest.stages)
        st.caption(
            "Largest difference of any logit on the same pictures, relative to the largest logit. "
            "Quantized variants are meant to differ; float steps are not."
        )
    st.header("Files")
    show_downloads(run)
    link_to_improve(run)
    show_files_from_elsewhere(run)


finished = jobs.get(conversion.JOB)
if finished is not None and isinstance(finished.result, Run):
    session.choose_run(finished.result.folder)
    jobs.forget(conversion.JOB)
    st.rerun()
run = session.current_run()
headline = sentences.convert_headline(run.manifest) if run else "Convert a classifier to TFLite"
st.title(plain(headline))
request = convert_form()
conversion.forget_attempt_at_another(request)
busy = (job := jobs.get(conversion.JOB)) is not None and job.active
if st.button("Convert", type="primary", disabled=busy or request is None, icon=":material/bolt:"):
    assert request is not None
    conversion.start(request)
    st.rerun()
jobs.show(conversion.JOB)
if not busy:
    conversion.show_interrupted()
if run is not None and not busy:
    show_result(run)
