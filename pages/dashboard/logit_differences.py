"""Logits: how far each variant's answers moved, on which pictures, and who is about to flip."""

import streamlit as st

from engine.core.files import figure_text
from engine.reporting import tables
from engine.reporting.plots import figures
from engine.reporting.text import runs as sentences
from pages.inputs.variant import variant_pills
from pages.state.evaluation import evaluation_or_wait, show_notes
from pages.state.messages import plain
from pages.views.figures import show_figure, show_picking_figure
from pages.views.logits import choose_picture, show_comparison, show_picture, show_worst

MOST_ROWS = 25
MOST_DOTS = 1000

evaluation = evaluation_or_wait()
comparison = evaluation.comparison
names = [variant.variant for variant in comparison.variants]
st.title(plain(sentences.logits_headline(comparison)))
show_notes(comparison)
show_comparison(comparison, tables.LOGITS)
with st.container(border=True):
    show_figure("differences", figures.difference_distribution, evaluation)
shown = variant_pills(names)
left, right = st.columns(2, gap="medium")
with left.container(border=True, height="stretch"):
    show_figure("margins", figures.margin_loss, comparison, shown)
with right.container(border=True, height="stretch"):
    show_figure("scatter", figures.logit_scatter, evaluation, shown, MOST_DOTS)
if len(comparison.variant(shown).flips) > 1:
    with st.container(border=True):
        show_figure("changed", figures.changed_classes, evaluation, shown)
with st.container(border=True):
    rows = figures.most_moved_rows(comparison, MOST_ROWS)
    points = show_picking_figure("heatmap", figures.difference_heatmap, evaluation, rows)
    show_worst(comparison, rows)
    note, choice = st.columns(2, vertical_alignment="center")
    with note.container(key="cells_note"):
        st.caption("Most moved first. Click a cell to see that picture's logits.")
    shown_as = [figure_text(name) for name in comparison.pictures]
    clicked = shown_as.index(points[0]["y"]) if points else None
    with choice:
        row = choose_picture(comparison.pictures, rows, clicked)
    show_picture(evaluation, row)
