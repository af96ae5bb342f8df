"""The button that times a run, and how many threads the models get."""

from __future__ import annotations

import streamlit as st

from engine.comparison.latency import Latency
from engine.core.system import usable_cores
from engine.runs.run import Run
from engine.tasks.latency import measure
from engine.workers.jobs import Job
from pages.state import jobs
from pages.state.jobs import job_button

JOB = "latency"


def measure_controls(run: Run) -> int:
    """Show the controls.

    Returns:
        The number of threads chosen.
    """
    cores = usable_cores()
    choices = sorted({1, 2, 4, cores} & set(range(1, cores + 1)))
    busy = jobs.busy(JOB)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        threads = st.segmented_control(
            "Threads", choices, default=1, required=True, key="threads", persist_state="session"
        )
        rounds = st.segmented_control(
            "Rounds",
            [30, 50, 100, 200],
            default=50,
            required=True,
            key="rounds",
            persist_state="session",
            help="Timed calls of each model, in turns.",
        )
        if st.button("Measure", type="primary", disabled=busy, icon=":material/timer:"):

            def work(job: Job[Latency]) -> Latency:
                return measure(run, job, threads=threads, rounds=rounds)

            jobs.start(JOB, "Timing every model on this machine", work)
            st.rerun()
    return int(threads)


def offer_measuring(run: Run) -> None:
    """Where something is not timed yet: a button that times everything, and how far that is."""

    def work(job: Job[Latency]) -> Latency:
        return measure(run, job)

    title = "Timing every model on this machine"
    job_button(JOB, "Measure the speed, too", title, work, icon=":material/timer:")
