"""Right answers of the pictures on show: from a table, from folders, or by clicking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from engine.comparison import metrics
from engine.core.checksums import digest_of_file
from engine.core.errors import EngineError
from engine.core.formats import plural
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
from engine.runs.labels import (
    Tags,
    give_label,
    give_tag,
    labels_table,
    labels_template,
    own_labels,
    own_tags,
    remove_tag,
    tags_from_csv,
)
from engine.runs.run import Run
from pages.inputs.uploads import ask_for_files
from pages.state import session
from pages.state.evaluation import Evaluation
from pages.state.messages import keep_error, plain, show_kept_problem, show_problem
from pages.state.session import thumbnail_of

SAMPLES, TABLE, FOLDERS, CLICKS = "The samples' own", "A table (CSV)", "Folder names", "By clicking"
_UPLOADED, _ROW, _UNDO = "qlab_uploaded_labels", "qlab_labels_row", "qlab_labels_undo"
_SAMPLE_CLASSES = 1000
_CANDIDATES = 5
_CLICKS_NEEDED = 10
_PIXELS = 480


@st.dialog("Tag pictures")
def ask_for_tag(run: Run, tagged: tuple[Picture, ...], every: tuple[Picture, ...]) -> None:
    """Ask for a tag of pictures: one that this person has used for any of all, or a new one."""
    st.caption(
        f"For {plural(len(tagged), 'picture')}. A tag makes a slice on Result; only you see it."
    )
    owner = session.owner()
    try:
        used = sorted({tag for tags in own_tags(run, owner, every) for tag in tags})
        theirs = own_tags(run, owner, tagged)
        for number, tag in enumerate(used):
            given = all(tag in tags for tags in theirs)
            icon = ":material/close:" if given else ":material/sell:"
            label = f"Remove {tag}" if given else tag
            if st.button(plain(label), key=f"use_tag_{number}", icon=icon, width="stretch"):
                (remove_tag if given else give_tag)(run, owner, tagged, tag)
                st.rerun()
        name = st.text_input("New tag", key=f"new_tag_{hash((tagged, theirs))}", max_chars=40)
        if name.strip():
            give_tag(run, owner, tagged, name)
            st.rerun()
    except EngineError as error:
        show_problem(error)


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


def choose_labels(run: Run, pictures: tuple[Picture, ...]) -> EngineError | None:
    """Show where right answers come from, and how many there are.

    Returns:
        What is wrong with them.
    """
    first = _first_source(run, pictures)
    source = st.segmented_control(
        "Right answers",
        [SAMPLES, TABLE, FOLDERS, CLICKS] if first == SAMPLES else [TABLE, FOLDERS, CLICKS],
        default=first,
        required=True,
        key=_source_key(first),
        persist_state="session",
    )
    try:
        if source == TABLE:
            _ask_for_table(pictures)
        labels = _read_labels(source, run, pictures)
        _read_tags(run, pictures)
    except EngineError as error:
        return error
    if labels.count:
        st.caption(f"{labels.count} of {len(pictures)} have a right answer.")
    elif labels.clicked:
        st.page_link(
            "pages/dashboard/accuracy.py", label="Label them", icon=":material/check_circle:"
        )
    return None


def labels_of(run: Run, pictures: tuple[Picture, ...]) -> Labels:
    """Give the right answers that the sidebar's choice has, which says what is wrong with them."""
    first = _first_source(run, pictures)
    try:
        return _read_labels(st.session_state.get(_source_key(first), first), run, pictures)
    except EngineError:
        return Labels(None, False)


def labels_on_show(run: Run, pictures: tuple[Picture, ...]) -> IntArray | None:
    """Give the right answers that the page Accuracy counts, where there are enough of them."""
    labels = labels_of(run, pictures)
    return labels.indices if labels.count >= max(1, labels.minimum) else None


def labels_by_row(run: Run, pictures: tuple[Picture, ...]) -> IntArray:
    """Give `labels_on_show` for every picture, `UNLABELLED` for all where there are too few."""
    labels = labels_on_show(run, pictures)
    return np.full(len(pictures), UNLABELLED) if labels is None else labels


def tags_on_show(run: Run, pictures: tuple[Picture, ...]) -> Tags:
    """Give the tags of the pictures on show: this person's own, and those of a table."""
    try:
        return _read_tags(run, pictures)
    except EngineError:  # the sidebar says what is wrong
        return ((),) * len(pictures)


def _read_tags(run: Run, pictures: tuple[Picture, ...]) -> Tags:
    own, table = own_tags(run, session.owner(), pictures), _table_on_show()
    if table is None:
        return own
    given = _read_tag_table(_key_of_table(table, pictures), table, pictures)
    return tuple(tuple(dict.fromkeys((*a, *b))) for a, b in zip(own, given, strict=True))


def _table_on_show() -> Path | None:
    table: Path | None = st.session_state.get(_UPLOADED) or session.table_of_pictures()
    return table


def _first_source(run: Run, pictures: tuple[Picture, ...]) -> str:
    """Find where right answers are without a choice: with the samples, a table, or folders."""
    if not session.own_pictures():
        return SAMPLES if run.manifest.model.classes == _SAMPLE_CLASSES else CLICKS
    if session.table_of_pictures() is not None:
        return TABLE
    try:
        _read_labels(FOLDERS, run, pictures)
    except EngineError:
        return CLICKS
    return FOLDERS


def _source_key(first: str) -> str:
    return f"labels_source_{first}"


def _read_labels(source: str, run: Run, pictures: tuple[Picture, ...]) -> Labels:
    if source in (SAMPLES, TABLE):
        table = SAMPLE_IMAGES / "labels.csv" if source == SAMPLES else _table_on_show()
        if table is None:
            return Labels(None, False)
        key = f"{run.folder} {_key_of_table(table, pictures)}"
        return Labels(_read_label_table(key, table, run, pictures), False)
    if source == FOLDERS:
        names = [picture.name for picture in pictures]
        answers = answer_names(run.manifest.labels)
        classes = answer_count(run.manifest.model.classes)
        return Labels(labels_from_folders(names, answers, classes), False)
    return Labels(own_labels(run, pictures), True)


def _key_of_table(table: Path, pictures: tuple[Picture, ...]) -> str:
    """Tell a table and the names looked up in it from all others."""
    try:
        digest = digest_of_file(table)
    except OSError:  # what reads it says so
        digest = ""
    return "\0".join((digest, table.name, *(picture.name for picture in pictures)))


# A page asks for labels and tags several times, and of a thousand pictures each takes long.
@st.cache_data(scope="session", max_entries=8, show_spinner=False)
def _read_label_table(
    key: str, _table: Path, _run: Run, _pictures: tuple[Picture, ...]
) -> IntArray:
    names, manifest = [picture.name for picture in _pictures], _run.manifest
    classes, answers = answer_count(manifest.model.classes), answer_names(manifest.labels)
    return labels_from_csv(_table, names, classes, answers)


@st.cache_data(scope="session", max_entries=8, show_spinner=False)
def _read_tag_table(key: str, _table: Path, _pictures: tuple[Picture, ...]) -> Tags:
    return tags_from_csv(_table, [picture.name for picture in _pictures])


def _ask_for_table(pictures: tuple[Picture, ...]) -> None:
    st.download_button(
        "A table to fill in",
        labels_template(pictures),
        file_name="labels.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    files = ask_for_files(
        "A table with the columns filename and class_index, class_name or tag",
        ["csv"],
        key="labels_table",
        most=LIMITS.text_bytes,
    )
    for file in files:
        st.session_state[_UPLOADED] = session.keep_upload(file.name, file.getvalue()).path


def show_clicking(evaluation: Evaluation, given: IntArray) -> None:
    """Show one picture with likely answers, by buttons or the keys 1 to 5; then the next one.

    Args:
        evaluation: The answers on show.
        given: Right answers so far, shape (pictures,), -1 for none.
    """
    show_kept_problem()
    pictures, done = evaluation.pictures, int((given != UNLABELLED).sum())
    row = _row_on_show(given)
    picture = pictures[row]
    left, right = st.columns([1, 1], gap="medium")
    left.image(thumbnail_of(picture, _PIXELS), alt=picture.name, width="stretch")
    with right:
        st.progress(done / len(pictures), text=f"{done} of {len(pictures)} labelled")
        st.caption(f"{plain(picture.name)}, picture {row + 1} of {len(pictures)}")
        _show_answers(evaluation, row, given)
        _show_ways(evaluation, row, given)


def _row_on_show(given: IntArray) -> int:
    """Give the picture that was gone to, or the first without a label."""
    row = st.session_state.get(_ROW)
    if row is None or row >= len(given):
        open_rows = np.flatnonzero(given == UNLABELLED)
        row = int(open_rows[0]) if len(open_rows) else 0
    return int(row)


def _next_row(given: IntArray, row: int) -> int:
    """Give the next picture without a label, from the first one again at the end."""
    rows = [*range(row + 1, len(given)), *range(row)]
    return next((at for at in rows if given[at] == UNLABELLED), min(row + 1, len(given) - 1))


def _show_answers(evaluation: Evaluation, row: int, given: IntArray) -> None:
    run, picture, before = evaluation.run, evaluation.pictures[row], int(given[row])
    names = unique_labels(run.manifest.labels, run.manifest.model.classes)

    def store(index: int) -> None:
        with keep_error():
            give_label(run, picture, index)
            st.session_state.setdefault(_UNDO, []).append((picture.sha256, before))
            st.session_state[_ROW] = _next_row(given, row)

    def store_another() -> None:
        if (index := st.session_state[another]) is not None:
            store(index)

    likely = _likely(evaluation, row)[:_CANDIDATES]
    if before != UNLABELLED and before not in likely:
        likely.append(before)
    for number, index in enumerate(likely, 1):
        st.button(
            plain(names[index]),
            key=f"label_{number}",
            shortcut=str(number),
            type="primary" if index == before else "secondary",
            on_click=store,
            args=(index,),
            width="stretch",
        )
    another = f"other_{picture.sha256}"
    st.selectbox(
        "Another class",
        range(len(names)),
        index=None,
        placeholder="Another class",
        format_func=lambda index: names[index],
        key=another,
        on_change=store_another,
        label_visibility="collapsed",
    )


def _show_ways(evaluation: Evaluation, row: int, given: IntArray) -> None:
    run, pictures = evaluation.run, evaluation.pictures
    undone: list[tuple[str, int]] = st.session_state.get(_UNDO, [])

    def undo() -> None:
        digest, before = undone.pop()
        at = next((i for i, picture in enumerate(pictures) if picture.sha256 == digest), None)
        if at is not None:
            with keep_error():
                give_label(run, pictures[at], None if before == UNLABELLED else before)
                st.session_state[_ROW] = at

    def go_to(at: int) -> None:
        st.session_state[_ROW] = at

    with st.container(horizontal=True):
        last = len(pictures) - 1
        st.button(
            "Back", icon=":material/arrow_back:", disabled=row == 0, on_click=go_to, args=(row - 1,)
        )
        st.button(
            "Skip",
            icon=":material/arrow_forward:",
            disabled=row == last,
            on_click=go_to,
            args=(row + 1,),
            shortcut="s",
        )
        st.button("Undo", icon=":material/undo:", disabled=not undone, on_click=undo, shortcut="u")
        st.download_button(
            "Labels as CSV",
            labels_table(run, pictures, given),
            file_name=f"{run.folder.name}_labels.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="The table that python -m engine compare --labels-csv reads.",
        )


def _likely(evaluation: Evaluation, row: int) -> list[int]:
    """List the reference's first answers, and what each variant answers first."""
    reference = evaluation.outputs(evaluation.comparison.reference).answers[row : row + 1]
    best = metrics.top_k(reference, min(_CANDIDATES, reference.shape[1]))[0].tolist()
    for variant in evaluation.comparison.variants:
        answers = evaluation.outputs(variant.variant).answers[row : row + 1]
        best += metrics.top_k(answers, 1)[0].tolist()
    return [index for index in dict.fromkeys(best) if index != metrics.NO_ANSWER]
