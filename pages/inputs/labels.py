"""Right answers of the pictures on show: from a table, from folders, or by clicking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from engine.comparison import metrics
from engine.core.limits import LIMITS
from engine.core.store import SAMPLE_IMAGES
from engine.core.types import IntArray
from engine.images.labels import (
    UNLABELLED,
    answer_count,
    answer_names,
    labels_from_csv,
    labels_from_folders,
    unique_labels,
)
from engine.images.pictures import Picture
from engine.runs.labels import give_label, labels_table, own_labels
from engine.runs.run import Run
from pages.inputs.pictures import thumbnail_of
from pages.inputs.uploads import ask_for_files
from pages.state import session
from pages.state.evaluation import Evaluation
from pages.state.messages import keep_error, plain, show_errors, show_kept_problem

SAMPLES, TABLE, FOLDERS, CLICKS = "The samples' own", "A table (CSV)", "Folder names", "By clicking"
PAGE_SIZE = 6
_TABLE = "qlab_labels_table"
_SAMPLE_CLASSES = 1000
_CANDIDATES = 5
_CLICKS_NEEDED = 10
_PIXELS = 480


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Right answers of the pictures on show.

    Attributes:
        indices: Class index a picture, shape (pictures,), -1 for unknown; None while there are
            none.
        clicked: Whether they are given by clicking.
    """

    indices: IntArray | None
    clicked: bool

    @property
    def count(self) -> int:
        """Pictures that have a right answer."""
        return 0 if self.indices is None else int((self.indices != UNLABELLED).sum())

    @property
    def minimum(self) -> int:
        """Right answers from which on figures are shown: a few, where they are clicked one by one.

        A percentage of one picture proves nothing, and every click would change it.
        """
        pictures = 0 if self.indices is None else len(self.indices)
        return min(_CLICKS_NEEDED, pictures) if self.clicked else 1


def choose_labels(run: Run, pictures: tuple[Picture, ...]) -> Labels:
    """Show where right answers come from, and give them as far as there are some."""
    ours = not session.own_pictures() and run.manifest.model.classes == _SAMPLE_CLASSES
    sources = [SAMPLES, TABLE, FOLDERS, CLICKS] if ours else [TABLE, FOLDERS, CLICKS]
    source = st.segmented_control(
        "Right answers",
        sources,
        default=sources[0] if ours else CLICKS,
        required=True,
        key=f"labels_source_{ours}",
        persist_state="session",
    )
    names = [picture.name for picture in pictures]
    classes = answer_count(run.manifest.model.classes)
    with show_errors():
        if source == SAMPLES:
            return Labels(labels_from_csv(SAMPLE_IMAGES / "labels.csv", names, classes), False)
        if source == TABLE:
            table = _ask_for_table()
            read = None if table is None else labels_from_csv(table, names, classes)
            return Labels(read, False)
        if source == FOLDERS:
            answers = answer_names(run.manifest.labels)
            return Labels(labels_from_folders(names, answers, classes), False)
        return Labels(own_labels(run, pictures), True)


def labels_on_show(run: Run, pictures: tuple[Picture, ...]) -> IntArray:
    """Give the right answers that are known without a question: the samples', or the person's.

    Returns:
        Class index a picture, shape (pictures,); -1 for unknown.

    Raises:
        EngineError: They cannot be read.
    """
    classes = answer_count(run.manifest.model.classes)
    if session.own_pictures() or run.manifest.model.classes != _SAMPLE_CLASSES:
        return own_labels(run, pictures)
    names = [picture.name for picture in pictures]
    return labels_from_csv(SAMPLE_IMAGES / "labels.csv", names, classes)


def _ask_for_table() -> Path | None:
    files = ask_for_files(
        "A table with the columns filename,class_index",
        ["csv"],
        key="labels_table",
        most=LIMITS.text_bytes,
    )
    for file in files:
        st.session_state[_TABLE] = session.keep_upload(file.name, file.getvalue()).path
    table: Path | None = st.session_state.get(_TABLE)
    return table


def show_clicking(evaluation: Evaluation, given: IntArray) -> None:
    """Show pictures with likely answers to click on; ``given`` are those so far, -1 for none."""
    show_kept_problem()
    run, pictures = evaluation.run, evaluation.pictures
    done = int((given != UNLABELLED).sum())
    with st.container(horizontal=True, vertical_alignment="center"):
        only = st.toggle(f"Only the {len(pictures) - done} without a click", key="clicks_open")
        st.download_button(
            "Labels as CSV",
            labels_table(run, pictures, given),
            file_name=f"{run.folder.name}_labels.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="The table that python -m engine compare --labels-csv reads.",
        )
    rows = [row for row in range(len(pictures)) if not only or given[row] == UNLABELLED]
    pages = max(1, -(-len(rows) // PAGE_SIZE))
    page = 1
    if pages > 1:
        page = st.number_input(f"Page (of {pages})", 1, pages, 1, key="clicks_page", width=160)
    shown = rows[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    for start in range(0, len(shown), 3):
        for column, row in zip(st.columns(3, gap="medium"), shown[start : start + 3], strict=False):
            with column.container(border=True, height="stretch"):
                _show_picture(evaluation, row, int(given[row]))


def _show_picture(evaluation: Evaluation, row: int, given: int) -> None:
    run, picture = evaluation.run, evaluation.pictures[row]
    names = unique_labels(run.manifest.labels, run.manifest.model.classes)
    st.image(thumbnail_of(picture, _PIXELS), alt=picture.name, width="stretch")
    st.caption(plain(picture.name))
    likely = _likely(evaluation, row)
    if given != UNLABELLED and given not in likely:
        likely.append(given)
    clicks, others = f"click_{picture.sha256}", f"other_{picture.sha256}"

    def store(key: str) -> None:
        with keep_error():
            give_label(run, picture, st.session_state[key])

    st.pills(
        "Right answer",
        likely,
        default=given if given != UNLABELLED else None,
        format_func=lambda index: plain(names[index]),
        key=clicks,
        on_change=store,
        args=(clicks,),
        label_visibility="collapsed",
    )
    st.selectbox(
        "Another class",
        range(len(names)),
        index=None,
        placeholder="Another class",
        format_func=lambda index: names[index],
        key=others,
        on_change=store,
        args=(others,),
        label_visibility="collapsed",
    )


def _likely(evaluation: Evaluation, row: int) -> list[int]:
    """List the reference's first answers, and what each variant answers first."""
    reference = evaluation.outputs(evaluation.comparison.reference).answers[row : row + 1]
    best = metrics.top_k(reference, min(_CANDIDATES, reference.shape[1]))[0].tolist()
    for variant in evaluation.comparison.variants:
        answers = evaluation.outputs(variant.variant).answers[row : row + 1]
        best += metrics.top_k(answers, 1)[0].tolist()
    return [index for index in dict.fromkeys(best) if index != metrics.NO_ANSWER]
