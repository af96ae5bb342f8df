"""Conversions: started, and found again when the server stopped in the middle of one."""

from __future__ import annotations

import streamlit as st

from engine.runs.request import ConvertRequest
from engine.runs.run import Run
from engine.tasks import convert as service
from engine.tasks.interrupted import UnderWay, interrupted, noted
from engine.workers.jobs import Job
from pages.state import jobs, session
from pages.state.messages import plain

JOB = "convert"
_ASKED_FOR = "qlab_convert_request"


def start(request: ConvertRequest) -> None:
    """Start a conversion in a worker."""

    def work(job: Job[Run]) -> Run:
        return service.convert_request(request, job)

    st.session_state[_ASKED_FOR] = request
    title = f"Converting {request.model.name}"
    jobs.start(JOB, title, work, during=noted(UnderWay(session.owner(), title, request)))


def forget_attempt_at_another(request: ConvertRequest | None) -> None:
    """Drop an attempt that failed or was cancelled, where something else is asked for now."""
    job = jobs.get(JOB)
    ended = job is not None and not job.active
    if ended and st.session_state.get(_ASKED_FOR, request) != request:
        jobs.forget(JOB)


def show_interrupted() -> None:
    """Show what was interrupted, with a button to go on and one to drop it."""
    for found in interrupted(session.owner()):
        with st.container(border=True):
            st.markdown(f":material/pause_circle: **{plain(found.work.title)}** was interrupted.")
            st.caption("The server stopped meanwhile. Finished stages are kept.")
            with st.container(horizontal=True):
                name = found.folder.name
                if st.button(
                    "Go on", key=f"go_on_{name}", type="primary", icon=":material/resume:"
                ):
                    found.forget()
                    start(found.work.request)
                    st.rerun()
                if st.button("Drop it", key=f"drop_{name}", icon=":material/delete:"):
                    found.forget()
                    st.rerun()
