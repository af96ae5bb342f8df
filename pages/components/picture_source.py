"""Which pictures are on show: the sample images, a person's photos, or a folder."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.errors import PictureError
from engine.images import PICTURE_SUFFIXES, Picture, decode_picture, pictures_in
from pages.components import session
from pages.components.problems import plain, told
from pages.components.sharing import shared

SAMPLES, UPLOAD, FOLDER = "Sample images", "My photos", "A folder on this machine"


def choose_pictures() -> tuple[Picture, ...]:
    """Show the widgets.

    Returns:
        The pictures on show, at least one.
    """
    source = st.segmented_control(
        "Pictures",
        [SAMPLES, UPLOAD] if shared() else [SAMPLES, UPLOAD, FOLDER],
        default=SAMPLES,
        required=True,
        label_visibility="collapsed",
        key="pictures_source",
        persist_state="session",
    )
    if source == SAMPLES:
        session.choose_pictures(())
    elif source == UPLOAD or shared():
        _uploaded()
    else:
        _from_folder()
    return session.pictures()


def _uploaded() -> None:
    files = st.file_uploader(
        "Drop photos here. They stay on this machine.",
        type=sorted(ending[1:] for ending in PICTURE_SUFFIXES),
        accept_multiple_files=True,
        key="upload_photos",
    )
    st.caption(session.uploads_kept())
    kept: dict[str, Picture] = {}
    for file in files:
        content = file.getvalue()
        try:
            decode_picture(content, file.name)
        except PictureError as error:
            st.warning(plain(str(error)), icon=":material/broken_image:")
        else:
            with told():
                picture = session.keep_upload(file.name, content)
            kept.setdefault(picture.sha256, picture)
    if kept:
        session.choose_pictures(tuple(kept.values()))
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
