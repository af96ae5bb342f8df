"""Sidebar of every page: the entries, the run, its reference, and what limits its figures."""

from __future__ import annotations

import streamlit as st

from engine.comparison.comparison import DEMO_CALIBRATION_NOTE
from engine.core import formats
from engine.core.formats import spell_count
from engine.runs.cleanup import UPKEEP
from engine.runs.run import Run
from pages.shell.navigation import chapter_named, preload_scripts, show_entries
from pages.state import jobs, session
from pages.state.messages import end_page, plain
from pages.state.session import read_address

_FOLDER = "qlab_run_of_frame"
_CLOSE_ON_PHONES = """
<script>
/* {view} */
if (window.qlabPlace && window.innerWidth < 768) {{
  document.querySelector("[data-testid=stSidebarCollapseButton] button")?.click();
}}
window.qlabPlace = true;
</script>
"""
"""Streamlit leaves the sidebar open, over the page, when a page or a run is chosen in it."""


def show_sidebar(page: str) -> Run | None:
    """Show the entries, the run and its reference beside the page of a title.

    Returns:
        The run on show.
    """
    run = keep_session()
    folder = None if run is None else run.folder
    if st.session_state.setdefault(_FOLDER, folder) != folder:
        st.session_state[_FOLDER] = folder
        jobs.forget_failed()  # what failed for one run is not said beside another
    with st.sidebar:
        preload_scripts()
        show_entries(chapter_named(page))
        _choose_run(run)
        # The browser runs a script once: the page and the run make another of it.
        view = hash((page, folder))
        st.html(_CLOSE_ON_PHONES.format(view=view), unsafe_allow_javascript=True)
        if run is not None:
            _choose_reference(run)
    return run


def keep_session() -> Run | None:
    """Read what the address names, and name it there for a link; give the run on show."""
    UPKEEP.begin()
    session.keep_alive()
    read_address()
    session.read_run_address()
    session.keep_in_address()
    return session.current_run()


def show_marks(run: Run) -> None:
    """Say in the sidebar what a run holds, and what limits the meaning of its figures."""
    others = f" · {len(run.added)} added" if run.added else ""
    st.caption(f"{len(run.variants)} variants{others}")
    calibration = run.manifest.calibration
    for count, what in ((len(run.missing), "missing"), (len(run.faults), "of no use")):
        if count:
            st.badge(
                f"{spell_count(count, 'variant')} {what}", icon=":material/error:", color="red"
            )
    if run.manifest.model.random:
        st.badge("Random weights", icon=":material/casino:", color="red")
        st.caption("Size and latency only: agreement and accuracy mean nothing.")
    if calibration is not None and calibration.demo:
        st.badge(
            "Demo calibration", icon=":material/info:", color="orange", help=DEMO_CALIBRATION_NOTE
        )


def _choose_run(run: Run | None) -> None:
    on_show = () if run is None else (run,)
    runs = {str(each.folder): each for each in (*on_show, *session.visible_runs())}
    if not runs:
        st.caption("No run yet")
        return
    chosen = st.selectbox(
        "Run",
        list(runs),
        index=None if run is None else 0,
        placeholder="Choose a run",
        format_func=lambda folder: run_title(runs[folder], tuple(runs.values())),
        key=f"run_{session.missing_run() if run is None else run.folder}",
    )
    if chosen is not None and (run is None or chosen != str(run.folder)):
        session.choose_run(runs[chosen].folder)
        st.rerun()


def demand_run_of_link() -> None:
    """End the page here with a message, where the run that the link names is gone."""
    name = session.missing_run()
    if name is None:
        return
    st.title("This run is not here")
    st.error(
        f"The link or this tab names the run {plain(name)}. It is not on this machine any more, "
        "cannot be read, or is not yours to see.",
        icon=":material/link_off:",
    )
    runs = session.visible_runs()
    if runs:
        newest = run_title(runs[0], runs)
        if st.button(f"Show the newest: {newest}", type="primary", icon=":material/history:"):
            session.choose_run(runs[0].folder)
            st.rerun()
    elif st.button("Go on without it", type="primary", icon=":material/arrow_forward:"):
        session.choose_no_run()
        st.rerun()
    end_page()


def run_title(run: Run, runs: tuple[Run, ...]) -> str:
    """Name a run for people as no other of ``runs`` is: Streamlit tells options by their text.

    It is the model's name; with size and time where several are of the same model, and with the
    folder's name where these are the same, too.
    """
    for title in (_model_title, _title_with_date):
        if sum(title(each) == title(run) for each in runs) == 1:
            return title(run)
    return f"{_title_with_date(run)} · {run.folder.name}"


def _model_title(run: Run) -> str:
    return run.manifest.model.name


def _title_with_date(run: Run) -> str:
    date = run.manifest.created_at[5:16].replace("T", " ")
    sides = dict.fromkeys((run.manifest.preprocess.height, run.manifest.preprocess.width))
    size = formats.sides(sides)
    return f"{run.manifest.model.name} · {size} px · {date}"


def _choose_reference(run: Run) -> None:
    on_show = session.reference(run)
    chosen = st.selectbox(
        "Baseline",
        run.columns,
        index=run.columns.index(on_show),
        format_func=lambda column: original_title(run) if column == "original" else column,
        help="The model whose answers count as right when variants are compared. The original is "
        "what PyTorch answers, or ONNX Runtime for an ONNX file.",
        key=f"reference_{run.folder}_{on_show}",
    )
    if chosen != on_show:
        session.choose_reference(chosen)
        st.rerun()


def original_title(run: Run) -> str:
    """Name the original."""
    model = run.manifest.model
    kind = "ONNX" if model.kind == "onnx" else "PyTorch"
    return f"the original ({'your network' if model.weights == 'network' else kind})"
