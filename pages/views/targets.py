"""Contents of the page Targets: the matrix, one target with all variants, a tool's own words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from engine.core.formats import join_names, megabytes
from engine.images.pictures import Picture
from engine.portability.catalog import target_named
from engine.portability.records import Answer, How, TargetMatrix, TargetTitle
from engine.reporting.text.targets import (
    cell_words,
    figures_words,
    head_of,
    matrix_words,
    not_asked_sentences,
    source_sentence,
    why_sentence,
)
from engine.runs.run import Run
from engine.tasks.compile_for_target import compile_for_target, compiled_file, compiled_name
from engine.tasks.targets import ask_targets, is_asked
from engine.workers.jobs import Job
from pages.state.evaluation import target_on_show
from pages.state.jobs import job_button
from pages.state.messages import cell, plain
from pages.views.figures import show_rows

JOB = "targets"
_NAME_WIDTH, _FIGURE_WIDTH, _WORD_WIDTH, _CHARACTER_WIDTH, _ROW_HEIGHT = 120, 77, 68, 8.3, 66
"""Pixels: eleven targets stand side by side at 1440; lines of this height wrap their text.

Narrower columns would part a figure from the last letter of its unit.
"""
_HOW: dict[How, str] = {"measured": "measured", "estimated": "estimated", "rule": "by rule"}


def show_promise() -> None:
    """Show what will be asked, before anything was."""
    st.markdown(
        "Ask real tools whether each file runs whole, in part or not at all: TFLite Micro for "
        "microcontrollers, Arm's compiler for Ethos-U, the rules of the Coral Edge TPU, "
        "TensorFlow's analyzer for Android's GPU, the table of operator versions for old "
        "runtimes, and LiteRT for this machine's CPU and GPU. Every figure says whether it is "
        "measured, estimated or by rule."
    )


def show_button(run: Run, pictures: tuple[Picture, ...]) -> None:
    """Show the button that asks what was not asked yet; nothing where all was."""

    def work(job: Job[TargetMatrix]) -> TargetMatrix:
        return ask_targets(run, job, pictures=pictures)

    if not is_asked(run, pictures):
        job_button(
            JOB, "Ask the targets", "Asking targets", work, icon=":material/memory:", primary=True
        )


def choose_targets(matrix: TargetMatrix) -> tuple[TargetTitle, ...]:
    """Ask which targets are of interest; all where none is named."""
    titles = [target.title for target in matrix.targets]
    chosen = st.multiselect(
        "My targets",
        titles,
        placeholder="All targets",
        key="qlab_my_targets",
        persist_state="session",
    )
    return tuple(target for target in matrix.targets if not chosen or target.title in chosen)


def show_matrix(matrix: TargetMatrix, targets: Sequence[TargetTitle]) -> None:
    """Show a line a variant, whose number grows, and a narrow column a target."""
    rows = [
        {"variant": cell(variant)}
        | {head_of(t): matrix_words(matrix.of(variant, t.name)) for t in targets}
        for variant in matrix.variants
    ]
    text = st.column_config.TextColumn
    columns = {"variant": text(width=_NAME_WIDTH, pinned=True)}
    for target in targets:
        head, about = head_of(target), f"{target.title}: {_HOW[target.how]}, {target.by}"
        figures = any(matrix.of(v, target.name).memory is not None for v in matrix.variants)
        width = max(_FIGURE_WIDTH if figures else _WORD_WIDTH, _CHARACTER_WIDTH * len(head))
        columns[head] = text(width=int(width), help=about)
    show_rows(rows, columns, row_height=_ROW_HEIGHT)
    heads = {how: [head_of(t) for t in targets if t.how == how] for how in _HOW}
    how = "; ".join(f"{_HOW[how]} for {join_names(names)}" for how, names in heads.items() if names)
    st.caption(plain(f"Figures are {how}."))
    for sentence in not_asked_sentences(matrix):
        st.caption(plain(sentence))


def show_target(run: Run, matrix: TargetMatrix, targets: Sequence[TargetTitle]) -> None:
    """Show one target: what each variant needs there, why, and the tool's own words."""
    titles = [target.title for target in targets]
    st.header("One target, all variants")
    title = st.selectbox("Target", titles, index=_first(targets), key="qlab_target_on_show")
    target = next(target for target in targets if target.title == title)
    st.caption(plain(f"What stands here is {_HOW[target.how]}: {target.by}."))
    answers = {variant: matrix.of(variant, target.name) for variant in matrix.variants}
    rows = [
        {"variant": cell(variant), "there": cell_words(answer)}
        | ({"needs": figures_words(answer)} if any(a.figures for a in answers.values()) else {})
        for variant, answer in answers.items()
    ]
    show_rows(rows, {})
    for variant, answer in answers.items():
        if sentence := why_sentence(answer):
            st.markdown(f"**{plain(variant)}**: {plain(sentence)}")
    with st.expander("Operators that stay behind, parts of the memory, and the tool's own words"):
        variant = st.selectbox("Variant", matrix.variants, key="qlab_target_variant")
        _show_compiled(run, variant, target, answers[variant])
        _show_answer(answers[variant])


def _show_compiled(run: Run, variant: str, target: TargetTitle, answer: Answer) -> None:
    """Show the download of the file that the target's compiler makes, or the button to make it."""
    asked = target_named(target.name)
    if asked.compile is None or answer.support not in {"whole", "part"}:
        return
    file = compiled_file(run, variant, asked)
    if file is None:

        def work(job: Job[Path]) -> Path:
            return compile_for_target(run, variant, target.name, job)

        title = f"Compiling {variant} for {target.title}"
        key = f"compile_{variant}_{target.name}"
        job_button(key, f"Compile {variant} to take home", title, work, icon=":material/build:")
        return
    st.download_button(
        f"Download {variant} for {target.title} ({megabytes(file.stat().st_size)})",
        file.read_bytes,
        file_name=compiled_name(run, variant, target.name),
        mime="application/octet-stream",
        icon=":material/download:",
        on_click="ignore",
        key="compiled",
    )


def _first(targets: Sequence[TargetTitle]) -> int:
    """Where the target that variants are shipped to stands among those on show; else 0."""
    names = [target.name for target in targets]
    chosen = target_on_show()
    return names.index(chosen) if chosen in names else 0


def _show_answer(answer: Answer) -> None:
    if operators := answer.left or answer.plain:
        rows = [
            {"operator": cell(op.opcode), "output": cell(op.name), "reason": cell(op.reason)}
            for op in operators
        ]
        show_rows(rows, {})
    parts = [figure for figure in answer.figures if figure.part]
    if parts:
        show_rows([{"part": cell(p.part), "bytes": round(p.value)} for p in parts], {})
    for sentence in dict.fromkeys(map(source_sentence, answer.figures)):
        st.caption(plain(sentence))
    st.code(answer.words or "(nothing was printed)", language=None, wrap_lines=True)
