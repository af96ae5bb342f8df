"""Pictures dropped on a page, one by one or in a zip: kept, or refused with a sentence."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.comparison import metrics
from engine.core.errors import EngineError, PictureError
from engine.core.limits import LIMITS, pictures_note
from engine.core.types import IntArray
from engine.core.zips import is_zip
from engine.images.pictures import PICTURE_SUFFIXES, Picture, described_picture, pictures_in
from engine.images.zip_archive import zipped_pictures
from engine.runs.pinned import pinned_digests, pinned_pictures
from engine.tasks.evaluate import warm_up
from pages.access.auth import shared
from pages.inputs.uploads import dropped_files
from pages.state import session
from pages.state.evaluation import Evaluation, disagreement, margins
from pages.state.messages import plain, show_problem

_MOST_WARNINGS = 5
_SEEN, _CAPTURED, _EMPTIED = "qlab_seen_uploads", "qlab_captured", "qlab_captured_emptied"


@dataclass(slots=True)
class _Found:
    """What a dropped file held: pictures that are kept, notes, and what was refused."""

    pictures: list[Picture] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[PictureError] = field(default_factory=list)


def uploaded_pictures(label: str, key: str) -> tuple[Picture, ...]:
    """Show the place to drop pictures, and what became of those dropped.

    Args:
        label: Of the widget.
        key: Of the widget.

    Returns:
        The pictures that can be used, each once.

    Raises:
        StorageError: The disk refuses one.
    """
    files = dropped_files(
        label,
        [*sorted(ending[1:] for ending in PICTURE_SUFFIXES), "zip"],
        key=key,
        most=LIMITS.upload_bytes,
        several=True,
    )
    st.caption(pictures_note())
    found = [_found(file) for file in files]
    problems = [str(problem) for one in found for problem in one.problems]
    for problem in problems[:_MOST_WARNINGS]:
        st.warning(plain(problem), icon=":material/broken_image:")
    if len(problems) > _MOST_WARNINGS:
        st.warning(f"{len(problems) - _MOST_WARNINGS} more pictures were left out.")
    for note in [note for one in found for note in one.notes][:_MOST_WARNINGS]:
        st.caption(plain(note))
    return tuple({picture.sha256: picture for one in found for picture in one.pictures}.values())


def captured_pictures() -> tuple[Picture, ...]:
    """Show the ways to give a picture that is no file: the clipboard and the camera.

    Returns:
        The pictures that were pasted or taken in this session, each once.

    Raises:
        EngineError: What was pasted cannot be read, or the disk refuses it.
    """
    captured: _Found = st.session_state.setdefault(_CAPTURED, _Found())
    with st.container(horizontal=True, vertical_alignment="center"):
        pasted = [_looked_into(name, content) for name, content in pasted_files()]
        camera = st.toggle("Camera", key="camera_on")
    if pasted:
        # A refusal stays on show until something else is pasted.
        captured.problems = [problem for one in pasted for problem in one.problems]
    taken = []
    if camera:
        # Another key is the only way to empty the widget.
        photo = st.camera_input(
            "Take a photo", key=f"camera_{st.session_state.get(_EMPTIED, 0)}", width=480
        )
        taken = [] if photo is None else [_found(photo)]
    known = {picture.sha256: picture for picture in captured.pictures}
    known |= {picture.sha256: picture for one in (*pasted, *taken) for picture in one.pictures}
    captured.pictures = list(known.values())
    for problem in (*captured.problems, *(problem for one in taken for problem in one.problems)):
        st.warning(plain(str(problem)), icon=":material/broken_image:")
    if captured.pictures:
        st.button(
            f"Forget what was pasted or taken ({len(captured.pictures)})",
            icon=":material/close:",
            type="tertiary",
            on_click=_forget_captured,
        )
    return tuple(captured.pictures)


def _forget_captured() -> None:
    st.session_state[_CAPTURED] = _Found()
    session.choose_pictures(())
    st.session_state[_EMPTIED] = st.session_state.get(_EMPTIED, 0) + 1


def _found(file: UploadedFile) -> _Found:
    """What a file holds; looked into once, not with every click."""
    seen: dict[str, _Found] = st.session_state.setdefault(_SEEN, {})
    known = seen.get(file.file_id)
    if known is None or not all(picture.path.exists() for picture in known.pictures):
        known = seen[file.file_id] = _looked_into(file.name, file.getvalue())
    return known


def _looked_into(name: str, content: bytes) -> _Found:
    found = _Found()
    try:
        for inner, data in _contents(name, content):
            try:
                described = described_picture(data, inner)
            except PictureError as error:
                found.problems.append(error)
            else:
                found.pictures.append(session.keep_upload(inner, data))
                found.notes.extend(described.notes)
    except PictureError as error:
        found.problems.append(error)
    return found


def _contents(name: str, content: bytes) -> Iterable[tuple[str, bytes]]:
    if not is_zip(content):
        return [(name, content)]
    return ((picture.name, picture.content) for picture in zipped_pictures(content, name))


SAMPLES, UPLOAD, FOLDER = "Sample images", "My photos", "A folder on this machine"
PINNED = "Pinned"


def choose_pictures() -> tuple[Picture, ...]:
    """Show the widgets, and below them what is wrong with what was chosen.

    Returns:
        The pictures on show, at least one; those from before where the choice cannot be read.
    """
    _show_problem_with(_choose_source())
    return session.pictures()


def choose_pictures_in_expander(label: str = "Pictures", note: str = "") -> tuple[Picture, ...]:
    """Show the widgets in a closed expander, and outside of it what is wrong with the choice.

    Args:
        label: Of the expander; the number of pictures follows.
        note: Above the widgets.

    Returns:
        As `choose_pictures`.
    """
    label = f"{label} ({len(session.pictures())})"
    with st.expander(label, icon=":material/photo_library:"):
        if note:
            st.caption(note)
        problem = _choose_source()
    _show_problem_with(problem)
    return session.pictures()


def _show_problem_with(problem: EngineError | None) -> None:
    if problem is not None:
        show_problem(problem)
        whose = "pictures from before" if session.own_pictures() else "sample images"
        st.caption(f"The {len(session.pictures())} {whose} are shown meanwhile.")


def _choose_source() -> EngineError | None:
    run = session.current_run()
    if run is not None:
        warm_up(run)
    pinned = run is not None and not shared() and bool(pinned_digests(run))
    source = st.segmented_control(
        "Pictures",
        [SAMPLES, UPLOAD, *([] if shared() else [FOLDER]), *([PINNED] if pinned else [])],
        default=SAMPLES,
        required=True,
        label_visibility="collapsed",
        key="pictures_source",
        persist_state="session",
    )
    try:
        if source == SAMPLES:
            session.choose_pictures(())
        elif source == PINNED and pinned and run is not None:
            session.choose_pictures(pinned_pictures(run))
        elif source == UPLOAD or shared():
            _uploaded()
        else:
            _from_folder()
    except EngineError as error:
        return error
    return None


def _uploaded() -> None:
    dropped = uploaded_pictures("Drop photos here. They stay on this machine.", "upload_photos")
    kept = tuple({one.sha256: one for one in (*dropped, *captured_pictures())}.values())
    st.caption(session.uploads_kept())
    if kept:
        session.choose_pictures(kept)
    elif not session.own_pictures():
        st.caption("Until then the sample images are shown.")


def _from_folder() -> None:
    folder = st.text_input(
        "Folder", key="pictures_folder", persist_state="session", placeholder="/home/me/photos"
    ).strip()
    if folder:
        session.choose_pictures(pictures_in(Path(folder)))
    elif not session.own_pictures():
        st.caption("Until then the sample images are shown.")


_HTML = '<span class="hint">Or paste a copied picture with Ctrl+V.</span>'
_CSS = """
.hint { color: var(--st-text-color); opacity: .72; font-size: .875rem;
  font-family: var(--st-font); }
"""
_JS = """
export default function ({ setTriggerValue, data }) {
  const onPaste = (event) => {
    const files = [...(event.clipboardData?.files ?? [])]
      .filter((file) => file.type.startsWith("image/") && file.size <= data.most);
    if (!files.length) return;
    event.preventDefault();
    Promise.all(files.map((file) => new Promise((done, failed) => {
      const reader = new FileReader();
      reader.onerror = failed;
      reader.onload = () => done({ name: file.name, content: reader.result.split(",")[1] });
      reader.readAsDataURL(file);
    }))).then((pictures) => setTriggerValue("pasted", pictures));
  };
  document.addEventListener("paste", onPaste);
  return () => document.removeEventListener("paste", onPaste);
}
"""
_component = st.components.v2.component("paste_pictures", html=_HTML, css=_CSS, js=_JS)


def pasted_files() -> list[tuple[str, bytes]]:
    """Show that pictures can be pasted.

    Returns:
        Name and content of what was pasted since the last run of the script, not yet looked into.

    Raises:
        PictureError: The browser sent something else.
    """
    shown = _component(
        key="paste_pictures", data={"most": LIMITS.picture_bytes}, on_pasted_change=lambda: None
    )
    try:
        return [
            (str(one["name"]), base64.b64decode(one["content"], validate=True))
            for one in shown.get("pasted") or ()
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise PictureError(
            "Pasting",
            got="a message that holds no pictures",
            expected="name and content of each",
            todo="Copy the picture again, or drop it as a file.",
        ) from error


WORST, MARGIN, NAME = "Most disagreement first", "Lowest margin first", "By name"


def choose_rows(evaluation: Evaluation) -> list[int]:
    """Show order, filters and search.

    Args:
        evaluation: The answers.

    Returns:
        Rows of the logits to list, in this order; none where nothing fits.
    """
    comparison = evaluation.comparison
    flipped = {flip.index for variant in comparison.variants for flip in variant.flips}
    first = evaluation.first_answers(comparison.reference)
    with st.container(horizontal=True, vertical_alignment="center"):
        order = st.segmented_control(
            "Order",
            [WORST, MARGIN, NAME],
            default=WORST,
            required=True,
            label_visibility="collapsed",
        )
        only = st.toggle(f"Flips only ({len(flipped)})", disabled=not flipped)
    with st.container(horizontal=True):
        answer = st.selectbox(
            "Answer",
            _answers(evaluation, first),
            index=None,
            format_func=evaluation.label,
            placeholder=f"Any answer of {comparison.reference}",
            label_visibility="collapsed",
            width=300,
        )
        words = st.text_input(
            "Search",
            placeholder="Search names and answers",
            icon=":material/search:",
            label_visibility="collapsed",
            width=300,
        )
    matching = _matching(evaluation, words.strip().lower()) if words.strip() else None
    keys = {WORST: -disagreement(evaluation), MARGIN: margins(evaluation)}
    ranked = np.argsort(keys.get(order, np.zeros(len(evaluation.pictures))), kind="stable")
    return [
        row
        for row in ranked.tolist()
        if (not only or row in flipped)
        and (answer is None or int(first[row]) == answer)
        and (matching is None or row in matching)
    ]


def _answers(evaluation: Evaluation, first: IntArray) -> list[int]:
    """The classes that the reference answers, by name."""
    return sorted(set(first.tolist()) - {metrics.NO_ANSWER}, key=evaluation.label)


def _matching(evaluation: Evaluation, words: str) -> set[int]:
    """Pictures whose name, or whose first answer by any model, holds what was searched."""
    named = {
        row for row, picture in enumerate(evaluation.pictures) if words in picture.name.lower()
    }
    first = np.stack([evaluation.first_answers(column) for column in evaluation.logits])
    answers = set(first.ravel().tolist()) - {metrics.NO_ANSWER}
    fitting = [index for index in answers if words in evaluation.label(index).lower()]
    return named | set(np.flatnonzero(np.isin(first, fitting).any(axis=0)).tolist())
