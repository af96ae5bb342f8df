"""Logit differences: how far each variant's answers moved, and on which pictures."""

import numpy as np
import streamlit as st

from engine import plots, sentences
from engine.comparison import metrics
from engine.text_files import figure_text
from pages.components.comparison_table import show_table
from pages.components.evaluation import disagreement, evaluation_or_wait, show_notes
from pages.components.one_picture import show_picture
from pages.components.problems import plain

evaluation = evaluation_or_wait()
comparison = evaluation.comparison
names = [variant.variant for variant in comparison.variants]
reference = evaluation.comparable(comparison.reference)
st.title(plain(sentences.logits_headline(comparison)))
show_notes(comparison)
show_table(comparison)

left, right = st.columns(2, gap="medium")
with left.container(border=True):
    st.subheader("How far the logits moved")
    differences = {
        name: metrics.difference(reference, evaluation.comparable(name)).ravel() for name in names
    }
    st.plotly_chart(plots.difference_distribution(differences))
with right.container(border=True):
    st.subheader("Logit by logit")
    shown = st.pills("Variant", names, default=names[-1], required=True, key="scatter_variant")
    if shown is not None:
        figure = plots.logit_scatter(reference, evaluation.comparable(shown), shown)
        st.plotly_chart(figure)
with st.container(border=True):
    st.subheader("Which pictures moved")
    st.caption("Worst first. Click a cell to see that picture's logits.")
    rows = [int(row) for row in np.argsort(-disagreement(evaluation), kind="stable")][:40]
    values = np.array([[v.picture_rms[row] for v in comparison.variants] for row in rows])
    picked = st.plotly_chart(
        plots.difference_heatmap([comparison.pictures[row] for row in rows], names, values),
        on_select="rerun",
        key="heatmap",
    )
    points = picked["selection"]["points"]
    shown_as = [figure_text(name) for name in comparison.pictures]
    start = shown_as.index(points[0]["y"]) if points else rows[0]
    row = st.selectbox(
        "Picture",
        rows,
        index=rows.index(start) if start in rows else 0,
        format_func=lambda row: comparison.pictures[row],
    )
    show_picture(evaluation, row)
