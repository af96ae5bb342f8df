"""An ONNX file that was dropped, alone, with its data, or in a zip: upload as one file."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.file_kinds import demand_onnx
from engine.images import Picture
from engine.networks.onnx_packing import is_model, packed_model
from engine.networks.onnx_parts import demand_complete
from pages.components import session

_DROPPED, _REPLACED = "qlab_dropped_models", "qlab_replaced_models"


def kept_model(files: Sequence[UploadedFile]) -> Picture:
    """Keep a model with its data.

    Args:
        files: What lies at the place for files.

    Returns:
        The ONNX file, or a zip of it and its data.

    Raises:
        ModelError: It is not one whole model.
        StorageError: The disk refuses it.
    """
    current = _current(files)
    upload = session.keep_upload(*packed_model([(file.name, file.getvalue()) for file in current]))
    demand_onnx(upload.path)
    demand_complete(upload.path)
    return upload


def _current(files: Sequence[UploadedFile]) -> list[UploadedFile]:
    """Files without those that a model dropped later took the place of."""
    dropped: set[str] = st.session_state.setdefault(_DROPPED, set())
    replaced: set[str] = st.session_state.setdefault(_REPLACED, set())
    old = [file for file in files if file.file_id in dropped]
    new = [file for file in files if file.file_id not in dropped]
    dropped |= {file.file_id for file in new}
    if any(is_model(file.name) for file in old) and any(is_model(file.name) for file in new):
        replaced |= {file.file_id for file in old}
    # Where what took their place was removed, they are back.
    return [file for file in files if file.file_id not in replaced] or list(files)
