"""Which pictures are on show: the sample images, a person's photos, a folder, or those pinned."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.core.errors import EngineError
from engine.images.pictures import Picture, pictures_in
from engine.runs.pinned import pinned_digests, pinned_pictures
from engine.tasks.evaluate import warm_up
from pages.components import session
from pages.components.problems import show_problem
from pages.components.sharing import shared
from pages.components.uploaded_pictures import captured_pictures, uploaded_pictures

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
