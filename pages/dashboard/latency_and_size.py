"""Latency and size: what each variant gains on this machine."""

import streamlit as st

from engine import formats, plots, sentences, service
from engine.comparison.latency import latency_warnings
from pages.components import jobs
from pages.components.measuring import measure_controls
from pages.components.problems import no_run_yet, plain
from pages.components.session import current_run
from pages.components.trade_off import show_trade_off

run = current_run()
if run is None:
    no_run_yet()
assert run is not None
sizes = run.sizes
headline = st.container()
threads = measure_controls(run)
jobs.show("latency")
timed = service.stored_latency(run, threads)
headline.title(plain(sentences.latency_headline(timed, sizes, run.manifest.float32_bytes)))
if timed is not None:
    headline.caption(
        f"{plain(timed.host)} · {timed.cores} cores · threads: {timed.threads} · "
        f"{len(timed.entries[0].samples_ms)} rounds in turns · "
        f"{plain(timed.measured_at[:16]).replace('T', ' ')} UTC"
    )
    for warning in latency_warnings(timed):
        st.warning(plain(warning), icon=":material/speed:")
left, right = st.columns(2, gap="medium")
with left.container(border=True):
    st.subheader("Latency of one picture")
    if timed is None:
        st.caption("Not measured yet with this number of threads. Press Measure.")
    else:
        st.plotly_chart(plots.latency_bars(timed))
with right.container(border=True):
    st.subheader("File size")
    st.plotly_chart(plots.size_bars(sizes, run.manifest.float32_bytes))
with st.container(border=True):
    st.subheader("What each variant trades")
    show_trade_off(run, timed)
if timed is not None:
    with st.expander("Every sample", icon=":material/scatter_plot:"):
        st.plotly_chart(plots.latency_samples(timed))
        slowest = max(timed.entries, key=lambda entry: entry.p90_ms)
        st.caption(f"Slowest tenth: {slowest.variant}, {formats.milliseconds(slowest.p90_ms)}.")
