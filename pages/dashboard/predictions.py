"""Predictions: what each variant answers, picture by picture."""

import numpy as np
import streamlit as st

from engine import sentences
from engine.types import ORIGINAL
from pages.components.evaluation import disagreement, evaluation_or_wait, margins, show_notes
from pages.components.gallery import show_gallery
from pages.components.picture_source import choose_pictures
from pages.components.problems import no_run_yet, plain
from pages.components.session import current_run

WORST, MARGIN, NAME = "Most disagreement first", "Lowest margin first", "By name"

if current_run() is None:
    no_run_yet()
headline = st.container()
choose_pictures()
evaluation = evaluation_or_wait()
comparison = evaluation.comparison
with headline:
    st.title(plain(sentences.predictions_headline(comparison)))
    if comparison.variants:
        worst = min(comparison.variants, key=lambda v: v.top1_agreement)
        st.caption(sentences.evidence(worst.top1_agreement_interval, len(comparison.pictures)))
    show_notes(comparison)

flipped = {flip.index for variant in comparison.variants for flip in variant.flips}
with st.container(horizontal=True, vertical_alignment="center"):
    order = st.segmented_control(
        "Order", [WORST, MARGIN, NAME], default=WORST, required=True, label_visibility="collapsed"
    )
    only = st.toggle(f"Flips only ({len(flipped)})", disabled=not flipped)
others = [column for column in evaluation.run.columns if column != comparison.reference]
chosen = st.pills(
    "Variants",
    others,
    selection_mode="multi",
    default=[column for column in others if column in (ORIGINAL, *evaluation.run.runnable)],
    label_visibility="collapsed",
)
keys = {WORST: -disagreement(evaluation), MARGIN: margins(evaluation)}
rows = [
    int(row)
    for row in np.argsort(keys.get(order, np.zeros(len(evaluation.pictures))), kind="stable")
]
if only:
    rows = [row for row in rows if row in flipped]
show_gallery(evaluation, (comparison.reference, *(chosen or ())), rows)
