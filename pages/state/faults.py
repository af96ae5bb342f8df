"""Variants that are missing or whose answers are of no use: in red, with what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from engine.comparison.faults import fault_sentences
from engine.conversion.missing_variants import missing_sentences
from engine.core.errors import EngineError
from engine.core.types import FAULT_WORDS
from engine.reporting.text import runs as sentences
from engine.runs.request import request_of
from engine.runs.run import Run
from engine.tflite.artifact import Artifact
from pages.state.conversion import start
from pages.state.messages import plain, show_problem

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
    for note in (*manifest.notes, *sentences.calibration_notes(manifest.calibration)):
        st.info(plain(note), icon=":material/info:")


def show_red(sentences: Sequence[str]) -> None:
    """Show sentences as errors."""
    for sentence in sentences:
        st.error(plain(sentence), icon=":material/error:")


def fault_mark(artifact: Artifact) -> str:
    """What makes the answers of a file useless, as HTML for the end of its row; else nothing."""
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
    st.rerun()
