"""Which pictures are on show: the sample images, a person's photos, a folder, or those pinned."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.images import Picture, pictures_in
from engine.regression_set import pinned_digests, pinned_pictures
from engine.warming import warm_up
from pages.components import session
from pages.components.problems import told
from pages.components.sharing import shared
from pages.components.uploaded_pictures import captured_pictures, uploaded_pictures

SAMPLES, UPLOAD, FOLDER = "Sample images", "My photos", "A folder on this machine"
PINNED = "Pinned"


def choose_pictures() -> tuple[Picture, ...]:
    """Show the widgets.

    Returns:
        The pictures on show, at least one.
    """
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
    if source == SAMPLES:
        session.choose_pictures(())
    elif source == PINNED and pinned and run is not None:
        with told():
            session.choose_pictures(pinned_pictures(run))
    elif source == UPLOAD or shared():
        _uploaded()
    else:
        _from_folder()
    return session.pictures()


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
        with told():
            session.choose_pictures(pictures_in(Path(folder)))
    elif not session.own_pictures():
        st.caption("Until then the sample images are shown.")
