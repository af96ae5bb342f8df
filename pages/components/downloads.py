"""Files of a run to take home."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from engine.core import formats
from engine.quantization.recipes import recipe_named
from engine.reporting.plots.palette import marker_image
from engine.runs.manifest import FILE_NAME
from engine.runs.run import ONNX_FILE, Run
from pages.components.faults import fault_mark
from pages.components.problems import html, plain


def show_downloads(run: Run) -> None:
    """A row a variant with its download, and one button for everything."""
    files = (ONNX_FILE, *(artifact.file for artifact in run.manifest.artifacts))
    damaged = [name for name in files if not run.sound(name)]
    if damaged:
        st.warning(
            f"Damaged, and not offered: {', '.join(plain(name) for name in damaged)}. Convert with "
            "the same settings again: what is missing is made, the rest is kept.",
            icon=":material/healing:",
        )
    for artifact in run.manifest.artifacts:
        if artifact.file in damaged:
            continue
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            ratio = artifact.bytes / run.manifest.float32_bytes
            st.html(
                f'<div style="min-width:10rem">{marker_image(artifact.variant)} '
                f"<b>{html(artifact.variant)}</b> &nbsp;{formats.megabytes(artifact.bytes)}"
                f'<br><span style="opacity:.7">{formats.percent(ratio)} of float32 · '
                f"{recipe_named(artifact.variant).summary}</span>{fault_mark(artifact)}</div>"
            )
            st.download_button(
                "Download",
                _reader(run.folder / artifact.file),
                file_name=f"{run.manifest.model.file_stem}_{artifact.file}",
                mime="application/octet-stream",
                key=f"download_{artifact.variant}",
                icon=":material/download:",
                help=f"{plain(artifact.file)}: {recipe_named(artifact.variant).summary}",
                on_click="ignore",
                width="content",
            )
    if damaged:
        return
    st.download_button(
        "Download everything as one zip",
        lambda: zipped(run),
        file_name=f"{run.folder.name}.zip",
        mime="application/zip",
        icon=":material/folder_zip:",
        type="primary",
        on_click="ignore",
    )


def _reader(path: Path) -> Callable[[], bytes]:
    return path.read_bytes


def zipped(run: Run) -> bytes:
    """The TFLite files, the ONNX file, the manifest and the labels as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (FILE_NAME, ONNX_FILE, *(a.file for a in run.manifest.artifacts)):
            archive.write(run.folder / name, name)
        if run.manifest.labels is not None:
            archive.writestr("labels.txt", "\n".join(run.manifest.labels) + "\n")
    return buffer.getvalue()
