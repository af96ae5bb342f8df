"""Models that were dropped: an ONNX file with its data, or a checkpoint in several files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.core.file_types import demand_onnx
from engine.images.pictures import Picture
from engine.networks.onnx_packing import is_model, packed_model
from engine.networks.onnx_parts import demand_complete
from engine.networks.sharded_checkpoints import dropped_checkpoint, is_part
from pages.state import session

_DROPPED, _REPLACED = "qlab_dropped_", "qlab_replaced_"


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
    current = _current("models", files, _another_model)
    upload = session.keep_upload(*packed_model([(file.name, file.getvalue()) for file in current]))
    demand_onnx(upload.path)
    demand_complete(upload.path)
    return upload


def kept_checkpoint(files: Sequence[UploadedFile]) -> Picture:
    """Keep a checkpoint with its index and all its files, where it has several.

    Args:
        files: What lies at the place for files.

    Returns:
        The checkpoint, or its index.

    Raises:
        ModelError: It is not one whole checkpoint.
        StorageError: The disk refuses it.
    """
    current = _current("checkpoints", files, _another_checkpoint)
    uploads = [session.keep_upload(file.name, file.getvalue()) for file in current]
    if len(uploads) > 1:
        uploads = session.keep_together(uploads)
    file = dropped_checkpoint([upload.path for upload in uploads])
    return next(upload for upload in uploads if upload.path == file)


def _another_model(old: Sequence[UploadedFile], new: Sequence[UploadedFile]) -> bool:
    """Whether a model was dropped after another: data may be dropped later than its model."""
    return all(any(is_model(file.name) for file in side) for side in (old, new))


def _another_checkpoint(old: Sequence[UploadedFile], new: Sequence[UploadedFile]) -> bool:
    """Whether these are not all parts of a checkpoint in several files."""
    return not all(is_part(file.name) for file in (*old, *new))


def _current(
    kind: str,
    files: Sequence[UploadedFile],
    another: Callable[[Sequence[UploadedFile], Sequence[UploadedFile]], bool],
) -> list[UploadedFile]:
    """Files without those that others dropped later took the place of.

    Args:
        kind: Of the models.
        files: What lies at the place for files.
        another: Whether new files take the place of old ones.
    """
    dropped: set[str] = st.session_state.setdefault(_DROPPED + kind, set())
    replaced: set[str] = st.session_state.setdefault(_REPLACED + kind, set())
    old = [file for file in files if file.file_id in dropped]
    new = [file for file in files if file.file_id not in dropped]
    dropped |= {file.file_id for file in new}
    if new and another(old, new):
        replaced |= {file.file_id for file in old}
    # Where what took their place was removed, they are back.
    return [file for file in files if file.file_id not in replaced] or list(files)
