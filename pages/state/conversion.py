"""Conversions: started, and found again when the server stopped in the middle of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn

import streamlit as st

from engine.comparison.faults import fault_sentences
from engine.comparison.latency import Latency
from engine.conversion.missing_variants import missing_sentences
from engine.core import store
from engine.core.errors import EngineError
from engine.core.types import FAULT_WORDS
from engine.networks.load import describe_origin
from engine.portability.cpu import CPU
from engine.quantization.calibration import CalibrationChoice
from engine.reporting.text import runs as sentences
from engine.runs.request import ConvertRequest, request_of
from engine.runs.results import load_latency
from engine.runs.run import Run
from engine.tasks import convert as service
from engine.tasks.convert import UnderWay, list_interrupted, write_note
from engine.tasks.first_run import first_comparison
from engine.tasks.latency import profile_operators
from engine.tasks.targets import ask_targets
from engine.tflite.artifact import Artifact
from engine.workers.jobs import BOARD, Job
from pages.state import jobs, session
from pages.state.messages import end_page, plain, show_problem

JOB = "convert"
_ASKED_FOR, _MADE = "qlab_convert_request", "qlab_made_run"


def start(request: ConvertRequest) -> None:
    """Start a conversion in a worker."""

    def work(job: Job[Run]) -> Run:
        return service.convert_request(request, job)

    st.session_state[_ASKED_FOR] = request
    st.session_state.pop(_MADE, None)
    title = f"Converting {request.model.name}"
    jobs.start(JOB, title, work, during=write_note(UnderWay(session.owner(), title, request)))


def note_made(run: Run) -> None:
    """Remember that this session has just converted a run."""
    st.session_state[_MADE] = run.folder.name


def run_made() -> Run | None:
    """Return the run that this session has just converted, while it is on show."""
    run = session.current_run()
    return run if run and run.folder.name == st.session_state.get(_MADE) else None


def forget_attempt_at_another(request: ConvertRequest | None) -> None:
    """Drop an attempt that failed or was cancelled, where something else is asked for now."""
    job = jobs.get(JOB)
    ended = job is not None and not job.active
    if ended and st.session_state.get(_ASKED_FOR, request) != request:
        jobs.forget(JOB)


def show_interrupted() -> None:
    """Show what was interrupted, with a button to go on and one to drop it."""
    for note in list_interrupted(session.owner()):
        with st.container(border=True):
            st.markdown(f":material/pause_circle: **{plain(note.work.title)}** was interrupted.")
            st.caption("The server stopped meanwhile. Finished stages are kept.")
            with st.container(horizontal=True):
                name = note.folder.name
                if st.button(
                    "Go on", key=f"go_on_{name}", type="primary", icon=":material/resume:"
                ):
                    note.forget()
                    start(note.work.request)
                    st.rerun()
                if st.button("Drop it", key=f"drop_{name}", icon=":material/delete:"):
                    note.forget()
                    st.rerun()


_HELPING = (
    ("layers", "Which layers did it?", ":material/layers:"),
    ("improve", "Improve a variant", ":material/auto_fix_high:"),
    ("calibration", "How many calibration pictures?", ":material/tune:"),
)
RED_GROUND = "background-color:#c62659;color:#ffffff"
"""Style of words and rows about models of no use."""
_EDGE = "border-radius:6px;padding:0 .35rem"


def show_faults(run: Run) -> None:
    """Show what is wrong with variants of a run by its manifest."""
    show_red((*missing_sentences(run.missing), *fault_sentences(run.faults)))
    if run.faults:
        link_to_help()


def show_assumptions(run: Run) -> None:
    """Show what was assumed, changed or left out when a run was made, one sentence each."""
    manifest = run.manifest
    if (note := sentences.opset_note(manifest)) is not None:
        st.caption(plain(note))
    if (origin := manifest.preprocess_origin) is not None and origin.how != "assumed":
        st.caption(plain(describe_origin(origin, manifest.preprocess)))
    for note in (*manifest.notes, *sentences.calibration_notes(manifest.calibration)):
        st.info(plain(note), icon=":material/info:")


def show_red(sentences: Sequence[str]) -> None:
    """Show sentences as errors."""
    for sentence in sentences:
        st.error(plain(sentence), icon=":material/error:")


def fault_mark(artifact: Artifact) -> str:
    """Say what makes the answers of a file useless, as HTML for the end of its row."""
    if artifact.fault is None:
        return ""
    return f'<br><span style="{RED_GROUND};{_EDGE}">{FAULT_WORDS[artifact.fault]}</span>'


def link_to_help() -> None:
    """Point to the pages that say why answers are of no use, and bring them back."""
    with st.container(horizontal=True):
        for page, label, icon in _HELPING:
            st.page_link(f"pages/dashboard/{page}.py", label=label, icon=icon)


def offer_retry(run: Run) -> None:
    """Show a button that tries the missing variants of a run once more."""
    names = tuple(record.variant for record in run.missing)
    if not names or not st.button("Try what is missing again", icon=":material/refresh:"):
        return
    try:
        request = replace(request_of(run), variants=names, retry=True, out=str(run.folder))
    except EngineError as error:
        show_problem(error)
        return
    start(request)
    st.switch_page("pages/dashboard/convert.py")  # which shows how far it is


def offer_calibrating(run: Run, choose: Callable[[], CalibrationChoice], label: str) -> None:
    """Show a button that converts the model of a run again, with calibration pictures of a choice.

    ``choose`` is called once the button is pressed: many uploads take a while to put together.
    """
    if not st.button(label, key="calibrate_again", icon=":material/conversion_path:"):
        return
    try:
        request = replace(request_of(run), calibration=choose(), out=None, retry=False)
    except EngineError as error:
        show_problem(error)
        return
    start(replace(request, owner=session.uploads_owner(request)))
    st.switch_page("pages/dashboard/convert.py")  # which shows how far it is, then the result


FIRST_JOB = "first"
PROFILE_JOB = "profile"


def _first() -> Job[object] | None:
    return jobs.get(FIRST_JOB, about=str(store.home()))


def _make_first(job: Job[Run]) -> Run:
    """Make the first comparison; memory and times of operators, not shown first, follow."""
    run = first_comparison(job)
    timed = load_latency(run)
    if timed is not None and not timed.profiled:

        def measure_more(later: Job[Latency]) -> Latency:
            ask_targets(run, later, names=(CPU,))
            return profile_operators(run, timed, later)

        profile = Job("Measuring the memory and the operators of every variant", measure_more)
        BOARD.add(jobs.EVERYBODY, PROFILE_JOB, str(store.home()), profile.start())
    return run


def show_profiling() -> None:
    """Show how far the measuring is that follows the first comparison."""
    jobs.show(PROFILE_JOB, about=str(store.home()), every=jobs.LONG_LOOKED_AT_EVERY)


def show_making() -> NoReturn:
    """Without any run: make the first comparison, and show how far it is; the page ends here."""
    first, home = _first(), str(store.home())
    # Done without a run on show: somebody deleted it meanwhile.
    if first is None or first.state == "done":
        title = "Converting, comparing and timing"
        jobs.start(FIRST_JOB, title, _make_first, about=home, owner=jobs.EVERYBODY)
    st.title("Making the first comparison")
    st.markdown(
        "EfficientNet-Lite0 becomes eight TFLite variants on this machine, all of them see the "
        "sample images, and each is timed. It takes a minute or so, once, and needs no network. "
        "You may leave and come back."
    )
    jobs.show(FIRST_JOB, about=home, every=jobs.LONG_LOOKED_AT_EVERY)
    first = _first()
    if (first is None or not first.active) and st.button("Try again", icon=":material/refresh:"):
        jobs.forget(FIRST_JOB, about=home)
        st.rerun()
    st.page_link(
        "pages/dashboard/convert.py",
        label="Convert a model of your own instead",
        icon=":material/conversion_path:",
    )
    end_page()


def wait_for_first_run(page: str) -> None:
    """Show how far the first comparison is, while it works, on a page that needs a run.

    Args:
        page: Title of the page; on Convert a person may go on meanwhile.
    """
    if page != "Convert" and under_way() and _is_first(session.current_run()):
        show_making()


def _is_first(run: Run | None) -> bool:
    """Whether there is no run but everybody's, which is not timed yet."""
    return run is None or (run.public and load_latency(run) is None)


def under_way() -> bool:
    """Whether the first comparison is being made now."""
    first = _first()
    return first is not None and first.active
