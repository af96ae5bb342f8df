"""The answers of a run on the pictures on show: read from the run, or computed in a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.comparison import metrics
from engine.comparison import recommendation as overview
from engine.comparison.comparison import DEMO_CALIBRATION_NOTE, Comparison
from engine.comparison.destination import Destination
from engine.comparison.latency import Latency
from engine.comparison.recommendation import Choice
from engine.comparison.records import MemoryUse
from engine.core.types import FloatArray
from engine.images.pictures import Picture, digest_of
from engine.portability.catalog import targets
from engine.reporting.text.destination import destination_of
from engine.runs.results import answering, load_latency
from engine.runs.run import Run
from engine.tasks.evaluate import evaluate
from engine.tasks.evaluation import Evaluation as Evaluation
from engine.tasks.targets import read_answers, read_memory
from engine.workers.jobs import Job
from pages.state import jobs, session
from pages.state.conversion import link_to_help, show_red
from pages.state.messages import end_page, no_run_yet, plain, show_errors

_JOB, _SHOWN = "evaluate", "qlab_evaluations"
_FEW = 4
_MOST_SHOWN = 3
"""Evaluations that a session keeps open: each holds a file a model."""


def evaluation_or_wait(
    box: DeltaGenerator | None = None, meanwhile: Callable[[], None] | None = None
) -> Evaluation:
    """Give the answers, or end the page with progress, an empty state or a message.

    Args:
        box: The container to show progress in; where the page has come to, by default.
        meanwhile: Shows what stands above the progress.
    """
    run = session.current_run()
    if run is None:
        no_run_yet()
    pictures, reference = session.pictures(), session.reference(run)
    about = f"{run.folder} {digest_of(pictures)} {reference} {run.columns}"
    finished = jobs.take(_JOB, about=about)
    if isinstance(finished, Evaluation):
        _remember(finished)
    with show_errors():
        evaluation = _find(run, load_latency(run))
    if evaluation is None:
        with box or nullcontext():
            st.title("Comparing the answers")
            if meanwhile is not None:
                meanwhile()
            _work(run, pictures, reference, about)
        end_page()
    return evaluation


def find_comparison(run: Run, timed: Latency | None) -> Comparison | None:
    """Compare the answers on the pictures on show, where they were computed.

    Args:
        run: The run on show.
        timed: Timings to show beside.
    """
    evaluation = _find(run, timed)
    return None if evaluation is None else evaluation.comparison


def _find(run: Run, timed: Latency | None) -> Evaluation | None:
    """Look for the evaluation in the session, then in the run."""
    pictures, reference = session.pictures(), session.reference(run)
    shown: dict[str, Evaluation] = st.session_state.get(_SHOWN, {})
    evaluation = shown.get(_key(run, pictures, reference, timed, read_memory(run)))
    if evaluation is not None:
        return replace(evaluation, run=run)
    with st.spinner("Comparing the answers"):
        evaluation = evaluate(
            run, pictures, None, reference=reference, beside=run.columns, latency=timed
        )
    return None if evaluation is None else _remember(evaluation)


def _remember(evaluation: Evaluation) -> Evaluation:
    shown: dict[str, Evaluation] = st.session_state.setdefault(_SHOWN, {})
    shown[key_of(evaluation)] = evaluation
    while len(shown) > _MOST_SHOWN:
        del shown[next(iter(shown))]
    return evaluation


def _key(
    run: Run,
    pictures: tuple[Picture, ...],
    reference: str,
    timed: Latency | None,
    memory: Mapping[str, MemoryUse],
) -> str:
    digests = ",".join(artifact.sha256 for artifact in run.artifacts)
    entries = () if timed is None else timed.entries
    moment = "".join(f"{entry.variant} {entry.measured_at}," for entry in entries)
    moment += "" if timed is None else f"{timed.measured_at} {timed.threads}"
    answers = answering(run, pictures, reference)
    measured = f"{moment} {dict(memory)}"
    return f"{run.folder} {digests} {digest_of(pictures)} {reference} {answers} {measured}"


def key_of(evaluation: Evaluation) -> str:
    """Tell an evaluation from every other one by models, pictures, reference and measurements."""
    shown = evaluation.comparison
    return _key(evaluation.run, evaluation.pictures, shown.reference, shown.latency, shown.memory)


def _work(run: Run, pictures: tuple[Picture, ...], reference: str, about: str) -> None:
    timed = load_latency(run)

    def work(job: Job[Evaluation]) -> Evaluation:
        return evaluate(run, pictures, job, reference=reference, beside=run.columns, latency=timed)

    title = f"Showing {len(pictures)} pictures to {len({reference, *run.columns})} models"
    # Somebody who drops a photo waits a second or two, and would notice a part of one more.
    every = 0.1 if len(pictures) <= _FEW else jobs.LOOKED_AT_EVERY
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
    """Show the notes of a comparison that are not about variants of no use.

    That calibration was a demo is said beside every page, by `pages.shell.sidebar.show_marks`.
    """
    for note in comparison.notes:
        if note not in (*comparison.faults, DEMO_CALIBRATION_NOTE):
            st.warning(plain(note), icon=":material/info:")


def disagreement(evaluation: Evaluation) -> FloatArray:
    """How far the variants moved each picture; see `Evaluation.disagreement`."""
    return evaluation.disagreement()


def margins(evaluation: Evaluation) -> FloatArray:
    """Compute the reference's first logit minus its second, shape (pictures,)."""
    answers = evaluation.outputs(evaluation.comparison.reference).answers
    reference_margins: FloatArray = metrics.margins(answers)
    return reference_margins


def needed() -> float:
    """Return the share of equal first answers that the slider asks for, 0 to 1."""
    return float(st.session_state.get(NEED, 95)) / 100


def choice_on_show() -> Choice | None:
    """Recommend a variant by the answers on the pictures on show; None before they are computed."""
    run = session.current_run()
    if run is None:
        return None
    comparison = find_comparison(run, load_latency(run))
    if comparison is None:
        return None
    candidates = overview.candidates(comparison)
    return overview.recommend(candidates, needed(), destination_on_show(run))


def target_on_show() -> str | None:
    """Name the target that variants are shipped to; None where any will do."""
    name = session.named("target")
    return name if name in {target.name for target in targets()} else None


def destination_on_show(run: Run) -> Destination | None:
    """Read what the chosen target answers about the files of a run; None where any will do."""
    name = target_on_show()
    return None if name is None else destination_of(read_answers(run, (name,)), run.artifacts)


NEED = "overview_need"
