"""A TFLite file's identity card."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import streamlit as st

from engine.core import formats
from engine.core.types import FAULT_WORDS
from engine.quantization.recipes import recipe_named
from engine.reporting.glossary import meaning
from engine.reporting.plots.palette import marker_image
from engine.reporting.text.runs import float_operators_note
from engine.runs.run import Run
from engine.tflite.artifact import Artifact, TensorInfo
from pages.components.problems import cell, html, plain


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
        one, two, three, four = st.columns(4)
        one.metric("Size", formats.megabytes(artifact.bytes))
        two.metric("Of float32", formats.percent(artifact.bytes / manifest.float32_bytes))
        three.metric("Operators", str(sum(artifact.operators.values())), help=meaning("operator"))
        scales = artifact.weight_granularity
        four.metric(
            "Weight scales",
            formats.UNKNOWN if scales == "none" else scales,
            help=meaning("per-channel"),
        )
        edges = [_edge("input", tensor) for tensor in artifact.inputs]
        edges += [_edge("output", tensor) for tensor in artifact.outputs]
        explained = {
            name: st.column_config.TextColumn(alignment="right", help=meaning(name))
            for name in ("scale", "zero point")
        }
        st.dataframe(pd.DataFrame(edges), hide_index=True, width="stretch", column_config=explained)
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
                source = "crops of the sample images (demo calibration)"
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
            return f"From elsewhere: {plain(added.origin)}, fed in {artifact.layout}."
    return recipe_named(artifact.variant).summary


def _edge(side: str, tensor: TensorInfo) -> dict[str, str]:
    return {
        "edge": side,
        "shape": " × ".join(str(size) for size in tensor.shape),
        "type": cell(tensor.dtype),
        "scale": formats.UNKNOWN if tensor.scale is None else f"{tensor.scale:.6g}",
        "zero point": formats.UNKNOWN if tensor.zero_point is None else str(tensor.zero_point),
        "name": cell(tensor.name),
    }
