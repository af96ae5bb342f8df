"""The answers of a run on the pictures on show: read from the run, or computed in a job."""

from __future__ import annotations

import streamlit as st

from engine.comparison import metrics
from engine.comparison import recommendation as overview
from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency
from engine.comparison.recommendation import Choice
from engine.core.types import FloatArray
from engine.images.pictures import Picture, digest_of
from engine.runs.results import answering, stored_latency
from engine.runs.run import Run
from engine.tasks import evaluate as service_module
from engine.tasks.evaluate import Evaluation as Evaluation
from engine.workers import process as host
from engine.workers.jobs import Job
from pages.state import jobs, session
from pages.state.conversion import link_to_help, show_red
from pages.state.messages import end_page, no_run_yet, plain, told

_JOB = "evaluate"
_FEW = 4


def evaluation_or_wait() -> Evaluation:
    """The answers, or the page ends here with progress, an empty state or a message."""
    run = session.current_run()
    if run is None:
        no_run_yet()
    pictures = session.pictures()
    reference = session.reference(run)
    columns = tuple(dict.fromkeys((reference, *run.columns)))
    if not service_module.evaluated(run, pictures, columns):
        _work(run, pictures, columns)
        end_page()
    with told():
        logits = service_module.evaluate(run, pictures, columns, host.Foreground())
    comparison = compared(run, pictures, reference, stored_latency(run))
    return Evaluation(run, pictures, comparison, logits)


def compared(
    run: Run, pictures: tuple[Picture, ...], reference: str, timed: Latency | None
) -> Comparison:
    """The comparison of answers that are there already, computed once a session.

    Args:
        run: The run.
        pictures: The pictures.
        reference: What the variants are compared with.
        timed: Timings to show beside.
    """
    return _compared(_key(run, pictures, reference, timed), run, pictures, reference, timed)


def _key(run: Run, pictures: tuple[Picture, ...], reference: str, timed: Latency | None) -> str:
    digests = ",".join(artifact.sha256 for artifact in run.artifacts)
    entries = () if timed is None else timed.entries
    moment = "".join(f"{entry.variant} {entry.measured_at}," for entry in entries)
    moment += "" if timed is None else f"{timed.measured_at} {timed.threads}"
    answers = answering(run, pictures, reference)
    return f"{run.folder} {digests} {digest_of(pictures)} {reference} {answers} {moment}"


def key_of(evaluation: Evaluation) -> str:
    """What tells an evaluation from every other one: models, pictures, reference, timings."""
    comparison = evaluation.comparison
    return _key(evaluation.run, evaluation.pictures, comparison.reference, comparison.latency)


@st.cache_data(scope="session", max_entries=8, show_spinner="Comparing the answers")
def _compared(
    key: str, _run: Run, _pictures: tuple[Picture, ...], _reference: str, _timed: Latency | None
) -> Comparison:
    return service_module.compare_run(
        _run, _pictures, host.Foreground(), reference=_reference, latency=_timed
    )


def _work(run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...]) -> None:
    def work(job: Job[bool]) -> bool:
        service_module.evaluate(run, pictures, columns, job)
        return True

    title = f"Showing {len(pictures)} pictures to {len(columns)} models"
    about = f"{run.folder} {digest_of(pictures)} {columns}"
    # Somebody who drops a photo waits a second or two, and would notice half of one more.
    every = 0.2 if len(pictures) <= _FEW else jobs.LOOKED_AT_EVERY
    jobs.see_through(_JOB, title, work, about=about, every=every)


def show_notes(comparison: Comparison) -> None:
    """Show what a reader of the figures has to know; what is wrong with variants in red."""
    show_faults(comparison)
    show_remarks(comparison)


def show_faults(comparison: Comparison) -> None:
    """Show what is wrong with variants, in red, with links to what can be done."""
    show_red(comparison.faults)
    if any(variant.fault is not None for variant in comparison.variants):
        link_to_help()


def show_remarks(comparison: Comparison) -> None:
    """Show the notes of a comparison that are not about variants of no use."""
    for note in comparison.notes:
        if note not in comparison.faults:
            st.warning(plain(note), icon=":material/info:")


def disagreement(evaluation: Evaluation) -> FloatArray:
    """How far the variants moved each picture; see `Evaluation.disagreement`."""
    return evaluation.disagreement()


def margins(evaluation: Evaluation) -> FloatArray:
    """The reference's first logit minus its second, shape (pictures,)."""
    found: FloatArray = metrics.margins(evaluation.outputs(evaluation.comparison.reference).answers)
    return found


def needed() -> float:
    """The share of equal first answers that the slider asks for, 0 to 1."""
    return float(st.session_state.get(NEED, 95)) / 100


def choice_on_show() -> Choice | None:
    """The choice by the answers on the pictures on show; None before they are computed."""
    run = session.current_run()
    if run is None:
        return None
    pictures, reference = session.pictures(), session.reference(run)
    if not service_module.evaluated(run, pictures, tuple(dict.fromkeys((reference, *run.columns)))):
        return None
    comparison = compared(run, pictures, reference, stored_latency(run))
    return overview.recommend(overview.candidates(comparison), needed())


NEED = "overview_need"
