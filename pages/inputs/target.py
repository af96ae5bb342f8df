"""The target that variants are shipped to: chosen on several pages, named in the address."""

from __future__ import annotations

import streamlit as st

from engine.portability.catalog import target_named, targets
from engine.portability.records import TargetMatrix
from engine.runs.run import Run
from engine.tasks.targets import ask_targets, read_answers
from engine.workers.jobs import Job
from pages.state import session
from pages.state.evaluation import target_on_show
from pages.state.jobs import job_button

_ANY = "any target"


def choose_target(run: Run) -> None:
    """Ask what a variant is shipped to, and show the button that asks that target."""
    on_show = target_on_show()
    titles = {target.title: target.name for target in targets()}
    names = [_ANY, *titles.values()]
    words = {name: title for title, name in titles.items()}
    chosen = st.selectbox(
        "Ship to",
        names,
        index=names.index(on_show or _ANY),
        format_func=lambda name: words.get(name, _ANY),
        help="A variant that this target refuses is not recommended. Page Targets shows them all.",
        key=f"ship_to_{on_show}",
    )
    if chosen != (on_show or _ANY):
        if chosen == _ANY:
            session.unname("target")
        else:
            session.name("target", chosen)
        st.rerun()
    if on_show is not None:
        _show_button(run, on_show)


def _show_button(run: Run, name: str) -> None:
    cells = read_answers(run, (name,)).cells
    if not any(cell.answer.support == "not_asked" and not cell.answer.todo for cell in cells):
        return
    title = target_named(name).title

    def work(job: Job[TargetMatrix]) -> TargetMatrix:
        return ask_targets(run, job, names=(name,))

    job_button(f"target_{name}", f"Ask {title}", f"Asking {title}", work, icon=":material/memory:")
