"""The answers of a run on the pictures on show: read from the run, or computed in a job."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from engine import service
from engine.comparison import metrics
from engine.comparison.comparison import Comparison
from engine.images import Picture, digest_of
from engine.jobs import Job
from engine.runs import Run
from engine.types import FloatArray
from pages.components import jobs, session
from pages.components.problems import no_run_yet, plain, told

_JOB = "evaluate"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that a page about answers shows.

    Attributes:
        run: The run on show.
        pictures: The pictures on show.
        comparison: Its variants against the reference.
        logits: What each column gave, shape (pictures, classes).
    """

    run: Run
    pictures: tuple[Picture, ...]
    comparison: Comparison
    logits: dict[str, FloatArray]

    def comparable(self, column: str) -> FloatArray:
        """What the comparison looked at: logits, or logarithms of a softmax's output."""
        if self.comparison.probabilities:
            return metrics.log_probabilities(self.logits[column])
        return self.logits[column]

    def probabilities(self, column: str, row: int) -> FloatArray:
        """What a column believes of one picture, shape (classes,)."""
        values = np.asarray(self.logits[column][row], dtype=np.float64)
        if self.comparison.probabilities:
            return values
        exponents = np.exp(values - values.max())
        shares: FloatArray = exponents / exponents.sum()
        return shares


def evaluation_or_wait() -> Evaluation:
    """The answers, or the page ends here with progress, an empty state or a message."""
    run = session.current_run()
    if run is None:
        no_run_yet()
    assert run is not None
    pictures = session.pictures()
    reference = session.reference(run)
    columns = tuple(dict.fromkeys((reference, *run.columns)))
    if not service.evaluated(run, pictures, columns):
        _work(run, pictures, columns)
        st.stop()
    with told():
        logits = service.evaluate(run, pictures, columns, service.Foreground())
    digests = ",".join(artifact.sha256 for artifact in run.artifacts)
    key = f"{run.folder} {digests} {digest_of(pictures)} {reference}"
    comparison = _compared(key, run, pictures, reference)
    return Evaluation(run, pictures, comparison, logits)


@st.cache_data(scope="session", max_entries=8, show_spinner="Comparing the answers")
def _compared(key: str, _run: Run, _pictures: tuple[Picture, ...], _reference: str) -> Comparison:
    return service.compare_run(
        _run,
        _pictures,
        service.Foreground(),
        reference=_reference,
        latency=service.stored_latency(_run),
    )


def _work(run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...]) -> None:
    wanted = f"{run.folder} {digest_of(pictures)} {columns}"
    jobs.stop_others(_JOB, about=wanted)
    if jobs.get(_JOB, about=wanted) is None:

        def work(job: Job[bool]) -> bool:
            service.evaluate(run, pictures, columns, job)
            return True

        title = f"Showing {len(pictures)} pictures to {len(columns)} models"
        jobs.start(_JOB, title, work, about=wanted)
    jobs.show(_JOB)
    job = jobs.get(_JOB)
    if job is not None and not job.active and st.button("Try again", icon=":material/refresh:"):
        jobs.forget(_JOB)
        st.rerun()


def show_notes(comparison: Comparison) -> None:
    """Show what a reader of the figures has to know; findings about NaN in red."""
    for note in comparison.notes:
        broken = "NaN" in note
        show = st.error if broken else st.warning
        show(plain(note), icon=":material/error:" if broken else ":material/info:")


def disagreement(evaluation: Evaluation) -> FloatArray:
    """How far the variants moved each picture: the largest rms, plus a step for every flip.

    Returns:
        Shape (pictures,); larger is worse, NaN counts as worst.
    """
    worst = np.zeros(len(evaluation.pictures))
    flips = np.zeros(len(evaluation.pictures))
    for variant in evaluation.comparison.variants:
        worst = np.maximum(worst, np.nan_to_num(variant.picture_rms, nan=np.inf))
        for flip in variant.flips:
            flips[flip.index] += 1
    order: FloatArray = flips * 1e6 + worst
    return order


def margins(evaluation: Evaluation) -> FloatArray:
    """The reference's first logit minus its second, shape (pictures,)."""
    found: FloatArray = metrics.margins(evaluation.logits[evaluation.comparison.reference])
    return found
