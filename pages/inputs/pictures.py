"""Widgets that choose pictures: uploads, the clipboard, the camera, folders."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.core.errors import EngineError, PictureError
from engine.core.formats import plural
from engine.core.limits import LIMITS, pictures_note
from engine.core.zips import is_zip
from engine.images.pictures import (
    PICTURE_SUFFIXES,
    Picture,
    decode_with_notes,
    pictures_in,
)
from engine.images.zip_archive import read_zip_pictures
from engine.runs.pinned import list_pinned, list_pinned_digests
from engine.runs.run import Run
from engine.tasks.evaluate import warm_up
from pages.access.auth import shared
from pages.inputs.labels import choose_labels
from pages.inputs.uploads import ask_for_files
from pages.state import session
from pages.state.messages import plain, show_problem

_MOST_WARNINGS = 5
_ENDINGS = (*sorted(ending[1:] for ending in PICTURE_SUFFIXES), "zip")
_SEEN, _CAPTURED, _EMPTIED = "qlab_seen_uploads", "qlab_captured", "qlab_captured_emptied"


_PLACE = "pictures_of_the_sidebar"
_BRING_INTO_VIEW = """
<script>
/* {moment} */
setTimeout(() => {{
  document.querySelector("[data-testid=stExpandSidebarButton]")?.click();
  setTimeout(() => {{
    document.querySelector(".st-key-{key}")?.scrollIntoView({{ block: "nearest" }});
    document.querySelector(".st-key-{key} summary")?.focus();
  }}, 400);
}}, 100);
</script>
"""
"""On a phone the sidebar is closed, and where it is low it scrolls."""


@dataclass(slots=True)
class _Contents:
    """What a file holds: pictures that were stored, notes, and what was refused."""

    pictures: list[Picture] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[PictureError] = field(default_factory=list)


def ask_for_pictures(label: str, key: str) -> tuple[Picture, ...]:
    """Show a file uploader for pictures, and what is wrong with those in it.

    Returns:
        The pictures that can be used, each once.

    Raises:
        StorageError: The disk refuses one.
    """
    files = ask_for_files(label, _ENDINGS, key=key, most=LIMITS.upload_bytes, several=True)
    st.caption(pictures_note())
    return _show_pictures_of(files)


def _show_pictures_of(files: Iterable[UploadedFile]) -> tuple[Picture, ...]:
    """Give the pictures in files, each once, and show what is wrong with the others."""
    contents = [_contents_of(file) for file in files]
    problems = [str(problem) for each in contents for problem in each.problems]
    for problem in problems[:_MOST_WARNINGS]:
        st.warning(plain(problem), icon=":material/broken_image:")
    if len(problems) > _MOST_WARNINGS:
        st.warning(f"{len(problems) - _MOST_WARNINGS} more pictures were left out.")
    for note in [note for each in contents for note in each.notes][:_MOST_WARNINGS]:
        st.caption(plain(note))
    return _distinct(picture for each in contents for picture in each.pictures)


def _distinct(pictures: Iterable[Picture]) -> tuple[Picture, ...]:
    return tuple({picture.sha256: picture for picture in pictures}.values())


def capture_pictures() -> tuple[Picture, ...]:
    """Show the ways to give a picture that is no file: the clipboard and the camera.

    Returns:
        The pictures that were pasted or taken in this session, each once.

    Raises:
        EngineError: What was pasted cannot be read, or the disk refuses it.
    """
    captured: _Contents = st.session_state.setdefault(_CAPTURED, _Contents())
    with st.container(horizontal=True, vertical_alignment="center"):
        pasted = [_store_pictures(name, content) for name, content in read_pasted_files()]
        camera = st.toggle("Camera", key="camera_on")
    if pasted:
        # A refusal stays on show until something else is pasted.
        captured.problems = [problem for each in pasted for problem in each.problems]
    taken = []
    if camera:
        # Another key is the only way to empty the widget.
        photo = st.camera_input(
            "Take a photo", key=f"camera_{st.session_state.get(_EMPTIED, 0)}", width=480
        )
        taken = [] if photo is None else [_contents_of(photo)]
    new = [picture for each in (*pasted, *taken) for picture in each.pictures]
    captured.pictures = list(_distinct([*captured.pictures, *new]))
    for problem in (*captured.problems, *(problem for each in taken for problem in each.problems)):
        st.warning(plain(str(problem)), icon=":material/broken_image:")
    if captured.pictures:
        st.button(
            f"Forget what was pasted or taken ({len(captured.pictures)})",
            icon=":material/close:",
            type="tertiary",
            on_click=_forget_captured,
        )
    return tuple(captured.pictures)


def take_photos(message: Any) -> None:
    """Take photos that a person dropped beside the uploader, and show the person's own pictures.

    It is for a callback: the widget that chooses the source is set, which no script may do later.

    Args:
        message: What the browser sent.
    """
    captured: _Contents = st.session_state.setdefault(_CAPTURED, _Contents())
    st.session_state[_SOURCE] = UPLOAD
    st.session_state[_SOURCE_SET] = True
    try:
        contents = [_store_pictures(name, content) for name, content in _files_of(message)]
    except PictureError as error:
        contents = [_Contents(problems=[error])]
    captured.problems = [problem for each in contents for problem in each.problems]
    new = [picture for each in contents for picture in each.pictures]
    captured.pictures = list(_distinct([*captured.pictures, *new]))


def _forget_captured() -> None:
    st.session_state[_CAPTURED] = _Contents()
    session.choose_pictures(())
    st.session_state[_EMPTIED] = st.session_state.get(_EMPTIED, 0) + 1


def _contents_of(file: UploadedFile) -> _Contents:
    """Store the pictures of a file once, not with every click."""
    seen: dict[str, _Contents] = st.session_state.setdefault(_SEEN, {})
    contents = seen.get(file.file_id)
    if contents is None or not all(picture.path.exists() for picture in contents.pictures):
        contents = seen[file.file_id] = _store_pictures(file.name, file.getvalue())
    return contents


def _store_pictures(name: str, content: bytes) -> _Contents:
    contents = _Contents()
    try:
        for inner, data in _members(name, content):
            try:
                described = decode_with_notes(data, inner)
            except PictureError as error:
                contents.problems.append(error)
            else:
                picture = session.keep_upload(inner, data)
                contents.pictures.append(picture)
                # From these pixels, so that nothing on a page need decode the file once more.
                for side in (session.GALLERY_SIDE,) if is_zip(content) else session.SIDES:
                    session.draw_thumbnail(picture.sha256, side, picture, described.pixels)
                contents.notes.extend(described.notes)
    except PictureError as error:
        contents.problems.append(error)
    return contents


def _members(name: str, content: bytes) -> Iterable[tuple[str, bytes]]:
    if not is_zip(content):
        return [(name, content)]
    return ((picture.name, picture.content) for picture in read_zip_pictures(content, name))


LABELS_TABLE = "labels.csv"
"""A file of this name in a folder of pictures holds their right answers; else one beside the
folder, called as the folder is: ``photos.csv`` for ``photos``."""
SAMPLES, UPLOAD, FOLDER = "Sample images", "My photos", "A folder on this machine"
PINNED = "Pinned"
_SOURCE, _SOURCE_SET = "pictures_source", "qlab_source_set"


def show_picture_set(run: Run) -> None:
    """Show how many pictures are on show and whose; opened, the ways to choose others."""
    with st.container(key=_PLACE):
        # Streamlit makes another expander of one whose label changes, closed and empty.
        on_show = st.empty()
        panel = st.expander(
            "Choose pictures",
            icon=":material/photo_library:",
            key=session.PICTURE_SET,
            on_change="rerun",
        )
        closed = st.container()
    if panel.open:
        warm_up(run)
    with panel:
        problem = _choose_source(run)
        on_show.caption(_title())
        if problem is not None:
            with panel if panel.open else closed:
                show_problem(problem)
                st.caption(f"Meanwhile {_title()} are shown.")
        wrong_labels = choose_labels(run, session.pictures())
        if wrong_labels is not None:
            with panel if panel.open else closed:
                show_problem(wrong_labels)
    if panel.open and (opened := session.picture_set_opened()):
        script = _BRING_INTO_VIEW.format(moment=opened, key=_PLACE)
        st.html(script, unsafe_allow_javascript=True)


def offer_picture_set(label: str) -> None:
    """Show a button that opens the picture set in the sidebar."""
    st.button(label, icon=":material/photo_library:", on_click=session.open_picture_set)


def _title() -> str:
    count = len(session.pictures())
    if session.own_pictures():
        return f"{count} of your pictures"
    return plural(count, "sample picture")


def _choose_source(run: Run) -> EngineError | None:
    """Show the ways to give pictures, and put what was chosen on show.

    Returns:
        What is wrong with the choice; the pictures from before stay on show.
    """
    pinned = not shared() and bool(list_pinned_digests(run))
    source = st.segmented_control(
        "Pictures",
        [SAMPLES, UPLOAD, *([] if shared() else [FOLDER]), *([PINNED] if pinned else [])],
        # Streamlit warns of a default beside a value that a script has set.
        default=None if st.session_state.pop(_SOURCE_SET, False) else SAMPLES,
        required=True,
        label_visibility="collapsed",
        key=_SOURCE,
        persist_state="session",
    )
    try:
        if source == SAMPLES:
            session.choose_pictures(())
        elif source == PINNED and pinned:
            session.choose_pictures(list_pinned(run))
        elif source == UPLOAD or shared():
            _choose_uploads()
        else:
            _choose_folder()
    except EngineError as error:
        return error
    return None


def _choose_uploads() -> None:
    files = ask_for_files(
        "Drop photos here, and a table of right answers if there is one. They stay on this "
        "machine.",
        (*_ENDINGS, "csv"),
        key="upload_photos",
        most=LIMITS.upload_bytes,
        several=True,
    )
    st.caption(pictures_note())
    tables = [file for file in files if file.name.lower().endswith(".csv")]
    dropped = _show_pictures_of(file for file in files if file not in tables)
    pictures = _distinct((*dropped, *capture_pictures()))
    st.caption(session.uploads_kept())
    if pictures:
        table = session.keep_upload(tables[-1].name, tables[-1].getvalue()).path if tables else None
        session.choose_pictures(pictures, table)
    elif not session.own_pictures():
        st.caption("Until then the sample images are shown.")


def _choose_folder() -> None:
    folder = st.text_input(
        "Folder", key="pictures_folder", persist_state="session", placeholder="/home/me/photos"
    ).strip()
    if folder:
        path = Path(folder)
        pictures = pictures_in(path)
        beside = path.resolve()
        tables = (path / LABELS_TABLE, beside.parent / f"{beside.name}.csv")
        table = next((table for table in tables if table.is_file()), None)
        session.choose_pictures(pictures, table)
    elif not session.own_pictures():
        st.caption("Until then the sample images are shown.")


_HTML = '<span class="hint">Or paste a copied picture with Ctrl+V.</span>'
_CSS = """
.hint { color: var(--st-text-color); opacity: .72; font-size: .875rem;
  font-family: var(--st-font); }
@media (hover: none) { .hint { display: none; } }
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


def read_pasted_files() -> list[tuple[str, bytes]]:
    """Show that pictures can be pasted.

    Returns:
        Name and content of what was pasted since the last run of the script, not yet looked into.

    Raises:
        PictureError: The browser sent something else.
    """
    shown = _component(
        key="paste_pictures", data={"most": LIMITS.picture_bytes}, on_pasted_change=lambda: None
    )
    return _files_of(shown.get("pasted") or ())


def _files_of(message: Any) -> list[tuple[str, bytes]]:
    """Read name and content of the files in a message of a browser; PictureError if it is none."""
    try:
        return [
            (str(file["name"]), base64.b64decode(file["content"], validate=True))
            for file in message
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise PictureError(
            "Taking pictures",
            got="a message that holds no pictures",
            expected="name and content of each",
            todo="Copy the picture again, or drop it as a file.",
        ) from error
