"""Latency and size: what each variant gains on this machine."""

import streamlit as st

from engine.core import formats
from engine.reporting import plots
from engine.reporting.text import overview, runs
from engine.runs.results import load_latency, load_timings
from pages.state import jobs
from pages.state.conversion import show_faults, show_profiling
from pages.state.messages import no_run_yet, plain
from pages.state.session import current_run
from pages.views import latency
from pages.views.figures import show_described_figure, show_figure

run = current_run()
if run is None:
    no_run_yet()
sizes = run.sizes
useful = {name: size for name, size in sizes.items() if name not in run.faults} or sizes
headline = st.container()
threads = latency.measure_controls(run)
jobs.show("latency", every=jobs.LONG_LOOKED_AT_EVERY)
timed = load_latency(run, threads)
headline.title(plain(runs.latency_headline(timed, useful, run.manifest.float32_bytes)))
with headline:
    show_faults(run)
if timed is not None:
    headline.caption(
        f"{plain(timed.host)} · {timed.cores} cores · threads: {timed.threads} · "
        f"{overview.rounds(timed)} rounds in turns · {plain(overview.moments(timed))}"
    )
    if note := overview.timing_note(timed):
        st.warning(plain(note), icon=":material/speed:")
left, right = st.columns(2, gap="medium")
with left.container(border=True, height="stretch"):
    if timed is None:
        st.header("Latency of one call")
        st.caption("Not measured yet with this number of threads. Press Measure.")
    else:
        show_figure("latency", plots.latency_bars, timed)
with right.container(border=True, height="stretch"):
    show_figure("sizes", plots.size_bars, sizes, run.manifest.float32_bytes)
latency.show_memory(run)
latency.show_trade_off(run, timed)
if timings := load_timings(run):
    with st.container(border=True):
        show_figure("threads", plots.latency_violins, timings)
show_profiling()
if timed is not None:
    latency.show_operator_times(timed)
with st.container(border=True):
    show_figure("operators", plots.operator_counts, run.artifacts)
if timed is not None:
    with st.expander("Every sample, in the order taken", icon=":material/scatter_plot:"):
        slowest = max(timed.entries, key=lambda entry: entry.p90_ms)
        time = formats.milliseconds(slowest.p90_ms, slowest.pictures)
        description = f"Slowest tenth: {slowest.variant}, {time}."
        show_described_figure("latency_samples", description, plots.latency_samples, timed)
        st.caption(description)
