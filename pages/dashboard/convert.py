"""Convert: five steps to a new run, and what became of the last one."""

import streamlit as st

from engine.reporting.text import runs as sentences
from engine.runs.run import Run
from pages.inputs.convert_form import convert_form, open_step, summary_head
from pages.state import conversion, jobs, session
from pages.state.messages import just_opened, plain


def show_made(run: Run) -> None:
    """Show what a conversion made, what is wrong with it, and where it leads."""
    with st.container(border=True, key="made"):
        st.header(plain(sentences.convert_headline(run.manifest)))
        conversion.show_faults(run)
        conversion.offer_retry(run)
        conversion.show_assumptions(run)
        with st.container(horizontal=True, key="see_result"):
            st.page_link(
                "pages/dashboard/overview.py", label="See the result", icon=":material/target:"
            )
        st.page_link(
            "pages/dashboard/run_details.py",
            label="Files, and how it was made",
            icon=":material/list_alt:",
        )
        session.scroll_to("made", run.folder.name)


finished = jobs.get(conversion.JOB)
if finished is not None and isinstance(finished.result, Run):
    session.choose_run(finished.result.folder)
    conversion.note_made(finished.result)
    jobs.forget(conversion.JOB)
    if just_opened():  # from another page, to make a new run: the result of the last one can wait
        st.rerun()
    st.switch_page("pages/dashboard/overview.py")
st.title("Convert a classifier to TFLite")
asked = convert_form()
conversion.forget_attempt_at_another(asked.request)
busy = (job := jobs.get(conversion.JOB)) is not None and job.active
with st.container(border=True):
    summary_head()
    with st.container(horizontal=True, vertical_alignment="center"):
        off = busy or asked.request is None
        if st.button("Convert", type="primary", disabled=off, icon=":material/bolt:"):
            assert asked.request is not None
            conversion.start(asked.request)
            st.rerun()
        if asked.request is not None:
            st.markdown(plain(sentences.request_sentence(asked.request)))
        else:
            st.markdown(plain(asked.problem))
            st.button("Go there", key="go_there", on_click=open_step, args=(asked.step,))
    jobs.show(conversion.JOB)
if not busy:
    conversion.show_interrupted()
    if (run := conversion.run_made()) is not None:
        show_made(run)
