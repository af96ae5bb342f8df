"""Files of a run: what one is, and their downloads."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st

from engine.core import formats
from engine.core.types import FAULT_WORDS
from engine.quantization.recipes import recipe_named
from engine.reporting import plots
from engine.reporting.glossary import GLOSSARY, meaning
from engine.reporting.plots.palette import marker_image
from engine.reporting.text.runs import convert_headline, float_operators_note
from engine.runs.manifest import FILE_NAME
from engine.runs.run import ONNX_FILE, Run
from engine.tflite.artifact import Artifact, TensorInfo
from pages.inputs.uploads import show_files_from_elsewhere
from pages.state.conversion import fault_mark
from pages.state.messages import cell, html, plain
from pages.views.figures import align_right, show_figure, show_rows


def show_card(run: Run, artifact: Artifact) -> None:
    """Show what a file is: recipe, edges, operators, digest."""
    manifest = run.manifest
    with st.container(border=True):
        st.html(f"<h2>{marker_image(artifact.variant, 18)} {html(artifact.variant)}</h2>")
        st.markdown(_what_it_is(run, artifact))
        if artifact.fault is not None:
            st.error(f"This file {FAULT_WORDS[artifact.fault]}.", icon=":material/error:")
        if (note := float_operators_note(artifact)) is not None:
            st.markdown(plain(note))
        size, share, operators, weights = st.columns(4)
        size.metric("Size", formats.megabytes(artifact.bytes))
        share.metric("Of float32", formats.percent(artifact.bytes / manifest.float32_bytes))
        total = str(sum(artifact.operators.values()))
        operators.metric("Operators", total, help=meaning("operator"))
        scales = artifact.weight_granularity
        weights.metric(
            "Weight scales",
            formats.UNKNOWN if scales == "none" else scales,
            help=meaning("per-channel"),
        )
        edges = [_edge("input", tensor) for tensor in artifact.inputs]
        edges += [_edge("output", tensor) for tensor in artifact.outputs]
        show_rows(edges, align_right(("scale", "zero point"), GLOSSARY))
        left, right = st.columns(2, gap="medium")
        most = Counter(artifact.operators).most_common()
        counts = pd.DataFrame(
            [(cell(name), count) for name, count in most], columns=["operator", "count"]
        )
        left.dataframe(counts, hide_index=True, width="stretch")
        with right:
            st.caption("SHA-256")
            st.code(artifact.sha256, language=None, wrap_lines=True)
            calibration = manifest.calibration
            made_here = artifact.variant in run.variants
            if made_here and recipe_named(artifact.variant).calibrated and calibration is not None:
                source = "crops of the supplied pictures (demo calibration)"
                if not calibration.demo:
                    source = f"pictures from {plain(calibration.source or 'uploads')}"
                st.caption("Calibrated with")
                st.markdown(f"{calibration.count} {source}, seed {calibration.seed}")
                st.code(calibration.digest, language=None, wrap_lines=True)
                if calibration.fallback is not None:
                    st.markdown(f"by TensorFlow's own calibrator: {plain(calibration.fallback)}")


def _what_it_is(run: Run, artifact: Artifact) -> str:
    for added in run.added:
        if added.artifact == artifact:
            return f"Added: {plain(added.origin)}, fed in {artifact.layout}."
    return recipe_named(artifact.variant).summary


def _edge(side: str, tensor: TensorInfo) -> dict[str, str]:
    return {
        "edge": side,
        "shape": formats.sides(tensor.shape),
        "type": cell(tensor.dtype),
        "scale": formats.UNKNOWN if tensor.scale is None else f"{tensor.scale:.6g}",
        "zero point": formats.UNKNOWN if tensor.zero_point is None else str(tensor.zero_point),
        "name": cell(tensor.name),
    }


def show_downloads(run: Run) -> None:
    """Show a row a variant with its download, and one button for everything."""
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
        lambda: _zip_files(run),
        file_name=f"{run.folder.name}.zip",
        mime="application/zip",
        icon=":material/folder_zip:",
        type="primary",
        on_click="ignore",
    )


def show_all_files(run: Run) -> None:
    """Show how far each stage moved the answers, every file, and external files beside them."""
    st.header(plain(convert_headline(run.manifest)))
    with st.container(border=True):
        show_figure("hop_ladder", plots.hop_ladder, run.manifest.stages)
        st.caption(
            "Largest difference of any logit on the same pictures, relative to the largest logit. "
            "Quantized variants are meant to differ; float steps are not."
        )
    st.header("Files")
    show_downloads(run)
    show_files_from_elsewhere(run)


def _reader(path: Path) -> Callable[[], bytes]:
    return path.read_bytes


def _zip_files(run: Run) -> bytes:
    """Pack the TFLite files, the ONNX file, the manifest and the labels."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (FILE_NAME, ONNX_FILE, *(a.file for a in run.manifest.artifacts)):
            archive.write(run.folder / name, name)
        if run.manifest.labels is not None:
            archive.writestr("labels.txt", "\n".join(run.manifest.labels) + "\n")
    return buffer.getvalue()
