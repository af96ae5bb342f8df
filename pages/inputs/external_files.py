"""Files from elsewhere: a TFLite file of another tool, put beside the variants of a run."""

from __future__ import annotations

import streamlit as st

from engine.core import formats
from engine.core.errors import OptionError
from engine.core.limits import LIMITS, models_note
from engine.reporting.plots.palette import marker_image
from engine.runs.external_files import name_for, remove_file
from engine.runs.manifest import AddedFile
from engine.runs.run import Run
from engine.tasks.add_file import add_file
from engine.tasks.litert_torch import add_litert_torch, check_route
from engine.workers import sandbox
from engine.workers.jobs import Job
from pages.access.auth import shared
from pages.inputs.uploader import dropped_files
from pages.state import jobs, session
from pages.state.faults import fault_mark
from pages.state.messages import html, plain, told

JOB = "also"


def show_files_from_elsewhere(run: Run) -> None:
    """Show the files that were added, and the widgets to add one.

    Args:
        run: The run on show.
    """
    st.header("Files from elsewhere")
    busy = jobs.busy(JOB)
    for added in run.added:
        _show_added(run, added)
    if shared() and run.public:
        st.caption(
            "On a shared dashboard files can be added to runs of your own uploads alone: everybody "
            "sees this one."
        )
        return
    with st.container(border=True):
        st.caption(
            "A .tflite that another tool made of the same model becomes one more column on every "
            "page. It gets the pictures as this run prepares them. "
            f"{models_note()} {sandbox.note()}"
        )
        files = dropped_files("TFLite file", ["tflite"], key="also_file", most=LIMITS.upload_bytes)
        if files:
            file = files[0]
            name = st.text_input("Name", name_for(file.name), key=f"also_name_{file.file_id}")
            if st.button("Add to the comparison", disabled=busy, icon=":material/add:"):
                with told():
                    kept = session.keep_upload(file.name, file.getvalue())

                def work(job: Job[Run]) -> Run:
                    return add_file(run, name.strip(), kept.path, job, origin=kept.name)

                jobs.start(JOB, f"Adding {name}", work)
                st.rerun()
        _show_route(run, busy=busy)
        jobs.show(JOB)


def _show_route(run: Run, *, busy: bool) -> None:
    """The button of the second converter, or what is missing for it."""
    try:
        check_route(run.manifest.model.kind)
    except OptionError as error:
        st.caption(f"The second converter, litert-torch, is not at hand here. {plain(error.todo)}")
        return
    if st.button("Convert with litert-torch, too", disabled=busy, icon=":material/alt_route:"):

        def work(job: Job[Run]) -> Run:
            return add_litert_torch(run, job)

        jobs.start(JOB, "Converting with litert-torch", work)
        st.rerun()


def _show_added(run: Run, added: AddedFile) -> None:
    card, name = added.artifact, added.artifact.variant
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.html(
            f'<div style="min-width:10rem">{marker_image(name)} <b>{html(name)}</b> '
            f"&nbsp;{formats.megabytes(card.bytes)}"
            f'<br><span style="opacity:.7">from {html(added.origin)}</span>{fault_mark(card)}</div>'
        )
        if shared() and run.public:
            return
        if st.button("Remove", key=f"remove_{name}", icon=":material/delete:", width="content"):
            with told():
                remove_file(run, name)
            st.rerun()
