"""Speed and size: the button that times a run, the trade-off, operators, lowerings."""

from __future__ import annotations

import streamlit as st

from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency, latency_warnings
from engine.comparison.recommendation import Choice, candidates
from engine.comparison.trade_off import axes_with_figures
from engine.core.formats import list_some
from engine.core.system import usable_cores
from engine.portability.cpu import CPU
from engine.portability.records import TargetMatrix
from engine.reporting import plots
from engine.reporting.plots import figures
from engine.reporting.plots.titles import axes_words
from engine.reporting.text import runs as sentences
from engine.runs.run import Run
from engine.tasks.latency import measure
from engine.tasks.lowerings import (
    COMPARED,
    Lowerings,
    compare_lowerings,
    lowering_rows,
    read_lowerings,
)
from engine.tasks.targets import ask_targets, list_unmeasured, read_memory
from engine.workers.jobs import Job
from pages.state import jobs, session
from pages.state.evaluation import find_comparison
from pages.state.jobs import job_button
from pages.state.messages import plain
from pages.views.figures import align_right, show_described_figure, show_figure, show_rows

TIMING_JOB = "latency"


def measure_controls(run: Run) -> int:
    """Show threads, rounds and the button that times a run, and give the threads chosen."""
    cores = usable_cores()
    choices = sorted({1, 2, 4, cores} & set(range(1, cores + 1)))
    busy = jobs.busy(TIMING_JOB)
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
                return _measure(run, job, threads=threads, rounds=rounds)

            jobs.start(TIMING_JOB, "Timing every model on this machine", work)
            st.rerun()
    return int(threads)


def _measure(run: Run, job: Job[Latency], *, threads: int = 1, rounds: int = 50) -> Latency:
    """Time everything, and measure the memory of what was not measured yet."""
    timed = measure(run, job, threads=threads, rounds=rounds)
    ask_targets(run, job, names=(CPU,))
    return timed


def offer_measuring_memory(run: Run) -> None:
    """Show a button that measures the memory of every variant, and how far that is."""

    def work(job: Job[TargetMatrix]) -> TargetMatrix:
        return ask_targets(run, job, names=(CPU,))

    title = "Measuring the memory of every variant"
    job_button("memory", "Measure", title, work, icon=":material/memory:")


def offer_measuring(run: Run, label: str) -> None:
    """Show a button that times everything, and how far that is."""

    def work(job: Job[Latency]) -> Latency:
        return _measure(run, job)

    title = "Timing every model on this machine"
    job_button(TIMING_JOB, label, title, work, icon=":material/timer:")


def show_trade_off(run: Run, timed: Latency | None) -> None:
    """Show any two figures of each variant, as far as the pictures on show were compared."""
    pictures = session.pictures()
    comparison = find_comparison(run, timed)
    with st.container(border=True):
        if comparison is None:
            st.caption("The answers on the pictures on show are not computed yet.")
            st.page_link("pages/dashboard/predictions.py", label="Compare the answers first")
            return
        show_axes(comparison)
        st.caption(f"Answers on {len(pictures)} pictures; a larger mark is a larger file.")


def show_axes(comparison: Comparison, choice: Choice | None = None) -> None:
    """Show any two figures of each variant, and which two they are, to be chosen.

    Args:
        comparison: The variants.
        choice: What is recommended.
    """
    offered = {"-".join(axes): axes for axes in axes_with_figures(candidates(comparison))}
    names, wanted = list(offered), session.named("axes")
    first = wanted if wanted in names else names[0]
    box = st.container()
    if len(names) > 1:
        name = st.selectbox(
            "Axes",
            names,
            index=names.index(first),
            format_func=lambda name: axes_words(offered[name]),
            key="trade_off_axes",
            width=220,
        )
        if name != first:
            session.name("axes", name)
    else:
        name = names[0]
    with box:
        show_figure("trade_off", figures.trade_off, comparison, choice, offered[name])


def show_memory(run: Run) -> None:
    """Show peak memory and load time of the variants, and the button that measures the rest."""
    memory, waiting = read_memory(run), list_unmeasured(run)
    if memory:
        left, right = st.columns(2, gap="medium")
        with left.container(border=True, height="stretch"):
            show_figure("memory", plots.memory_bars, memory)
            by = "; ".join(dict.fromkeys(use.by for use in memory.values()))
            st.caption(plain(f"Above that of an empty file, in a process of its own: {by}."))
        with right.container(border=True, height="stretch"):
            show_figure("load", plots.load_bars, memory)
    if waiting:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            missing = f" of {list_some(waiting, 2)}" if memory else " and load time"
            st.markdown(plain(f"Peak memory{missing}: not measured."), width="stretch")
            offer_measuring_memory(run)


def show_operator_times(timed: Latency) -> None:
    """Show operators' times, and why a file has none; nothing where no profile was taken."""
    unprofiled = [entry for entry in timed.entries if entry.unprofiled]
    if not timed.profiled and not unprofiled:
        return
    with st.container(border=True):
        if timed.profiled:
            show_figure("operator_times", plots.operator_times, timed)
        else:
            st.header("The operators of no variant could be timed")
        for entry in unprofiled:
            st.caption(plain(f"Not {entry.variant}. {entry.unprofiled}"))


LOWERINGS_JOB = "lowerings"


def show_lowerings(run: Run) -> None:
    """Show what the two lowerings cost, or the button that finds out."""

    def work(job: Job[Lowerings]) -> Lowerings:
        return compare_lowerings(run, job)

    lowerings = read_lowerings(run)
    with st.container(border=True):
        st.header("What the NHWC lowering gains")
        if not set(COMPARED) & set(run.variants):
            st.caption("This is shown for runs with float32 or int8. Add one on the page Convert.")
            return
        if lowerings is None:
            st.caption(
                "PyTorch and ONNX put channels first, TFLite last. onnx-tf's own handlers turn "
                "every convolution's input and output; ours keep one order through the graph. "
                "Convert this model the other way, too, and time both: it takes a minute or two."
            )
        else:
            _show_gains(lowerings)
        label = "Compare stock and NHWC" if lowerings is None else "Measure again"
        title = "Comparing stock and NHWC lowering"
        job_button(LOWERINGS_JOB, label, title, work, icon=":material/compare_arrows:")


def _show_gains(lowerings: Lowerings) -> None:
    headline = sentences.lowering_headline(lowerings)
    st.markdown(f"**{plain(headline)}**")
    for name, side in (
        ("onnx-tf's own handlers", lowerings.stock),
        ("The NHWC lowering", lowerings.nhwc),
    ):
        for variant, reason in side.failures.items():
            st.info(
                f"{name} cannot make {plain(variant)}. {plain(reason)}", icon=":material/block:"
            )
    left, right = st.columns(2, gap="medium")
    with left:
        show_described_figure("lowering_latency", headline, plots.lowering_latency, lowerings)
    with right:
        both = [
            variant
            for variant in lowerings.variants
            if lowerings.stock.artifact(variant) and lowerings.nhwc.artifact(variant)
        ]
        if both:
            description = f"Operators of {both[0]} whose number differs."
            show_described_figure(
                "lowering_operators", description, plots.lowering_operators, lowerings, both[0]
            )
            st.caption(description)
    rows = [(row.title, row.stock, row.nhwc, row.ratio) for row in lowering_rows(lowerings)]
    columns = ["figure", "stock", "NHWC", "stock ÷ NHWC"]
    show_rows([dict(zip(columns, row, strict=True)) for row in rows], align_right(columns[1:]))
    st.caption(
        f"{plain(lowerings.latency.host)} · threads: {lowerings.latency.threads} · "
        f"{len(lowerings.latency.entries[0].samples_ms)} rounds in turns · "
        f"{lowerings.latency.measured_at[:16].replace('T', ' ')} UTC"
    )
    for warning in latency_warnings(lowerings.latency):
        st.warning(plain(warning), icon=":material/speed:")
