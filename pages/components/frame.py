"""The sidebar that every page has: which run, compared with what, on which pictures."""

from __future__ import annotations

import streamlit as st

from engine.runs import Run
from engine.upkeep import UPKEEP
from pages.components import session
from pages.components.address import read_address
from pages.components.preloading import preload_scripts


def show_frame() -> None:
    """Show the sidebar."""
    UPKEEP.begin()
    session.keep_alive()
    read_address()
    run = session.current_run()
    with st.sidebar:
        preload_scripts()
        if run is None:
            st.caption("No run yet")
            return
        run = _choose_run(run)
        _choose_reference(run)
        session.keep_in_address(run)
        count = len(session.pictures())
        whose = "your" if session.own_pictures() else "sample"
        others = f" · {len(run.added)} from elsewhere" if run.added else ""
        st.caption(f"{len(run.variants)} variants{others} · {count} {whose} pictures")
        show_marks(run)


def show_marks(run: Run) -> None:
    """Say what limits the meaning of a run's figures."""
    calibration = run.manifest.calibration
    if run.manifest.model.random:
        st.badge("Random weights", icon=":material/casino:", color="red")
        st.caption("Size and latency only: agreement and accuracy mean nothing.")
    if calibration is not None and calibration.demo:
        st.badge("Demo calibration", icon=":material/info:", color="orange")
        st.caption("Calibrated on crops of the sample images.")


def _choose_run(run: Run) -> Run:
    runs = {str(found.folder): found for found in (run, *session.known_runs())}
    chosen = st.selectbox(
        "Run",
        list(runs),
        index=0,
        format_func=lambda folder: run_title(runs[folder], tuple(runs.values())),
        key=f"run_{run.folder}",
    )
    if chosen != str(run.folder):
        session.choose_run(runs[chosen].folder)
        st.rerun()
    return run


def run_title(run: Run, others: tuple[Run, ...]) -> str:
    """A run's name for people: its model, and its time where several are of the same model."""
    name = run.manifest.model.name
    if sum(other.manifest.model.name == name for other in others) == 1:
        return name
    made = run.manifest.created_at[5:16].replace("T", " ")
    return f"{name} · {run.manifest.preprocess.height} px · {made}"


def _choose_reference(run: Run) -> None:
    chosen = st.selectbox(
        "Compared with",
        run.columns,
        index=run.columns.index(session.reference(run)),
        format_func=lambda column: original_title(run) if column == "original" else column,
        help="The model whose answers count as right when variants are compared.",
        key=f"reference_{run.folder}",
    )
    session.choose_reference(chosen)


def original_title(run: Run) -> str:
    """What the original is."""
    kind = "ONNX" if run.manifest.model.kind == "onnx" else "PyTorch"
    return f"the original ({kind})"
