"""The place where files are dropped, with the limit of their kind."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st
from streamlit.elements.lib.utils import LabelVisibility
from streamlit.runtime.uploaded_file_manager import UploadedFile

_MIB = 1 << 20
_MOST_WRITTEN = 512 * _MIB


def dropped_files(
    label: str,
    endings: Iterable[str],
    *,
    key: str,
    most: int,
    several: bool = False,
    help: str | None = None,
    label_visibility: LabelVisibility = "visible",
) -> tuple[UploadedFile, ...]:
    """Show the place.

    Args:
        label: Of the widget.
        endings: Of the files that are taken, without the dot; any where there is none.
        key: Of the widget.
        most: Bytes of one file, in whole MiB.
        several: Whether more than one file may be dropped.
        help: What the file is.
        label_visibility: Of the widget.

    Returns:
        The files that are there.
    """
    # Streamlit writes more than half a GiB as "1GB": static/look.css hides that, and the page says
    # the limit itself.
    kind = "large" if most > _MOST_WRITTEN else "small"
    with st.container(key=f"{kind}_files_{key}"):
        files = st.file_uploader(
            label,
            type=list(endings) or None,
            accept_multiple_files=several,
            key=key,
            help=help,
            label_visibility=label_visibility,
            max_upload_size=most // _MIB,
        )
    if files is None:
        return ()
    return tuple(files) if isinstance(files, list) else (files,)
