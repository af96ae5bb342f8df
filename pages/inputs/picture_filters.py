"""Which of the pictures on show are listed, and in which order."""

from __future__ import annotations

import numpy as np
import streamlit as st

from engine.comparison import metrics
from engine.core.types import IntArray
from pages.state.evaluation import Evaluation, disagreement, margins

WORST, MARGIN, NAME = "Most disagreement first", "Lowest margin first", "By name"


def choose_rows(evaluation: Evaluation) -> list[int]:
    """Show order, filters and search.

    Args:
        evaluation: The answers.

    Returns:
        Rows of the logits to list, in this order; none where nothing fits.
    """
    comparison = evaluation.comparison
    flipped = {flip.index for variant in comparison.variants for flip in variant.flips}
    first = evaluation.first_answers(comparison.reference)
    with st.container(horizontal=True, vertical_alignment="center"):
        order = st.segmented_control(
            "Order",
            [WORST, MARGIN, NAME],
            default=WORST,
            required=True,
            label_visibility="collapsed",
        )
        only = st.toggle(f"Flips only ({len(flipped)})", disabled=not flipped)
    with st.container(horizontal=True):
        answer = st.selectbox(
            "Answer",
            _answers(evaluation, first),
            index=None,
            format_func=evaluation.label,
            placeholder=f"Any answer of {comparison.reference}",
            label_visibility="collapsed",
            width=300,
        )
        words = st.text_input(
            "Search",
            placeholder="Search names and answers",
            icon=":material/search:",
            label_visibility="collapsed",
            width=300,
        )
    matching = _matching(evaluation, words.strip().lower()) if words.strip() else None
    keys = {WORST: -disagreement(evaluation), MARGIN: margins(evaluation)}
    ranked = np.argsort(keys.get(order, np.zeros(len(evaluation.pictures))), kind="stable")
    return [
        row
        for row in ranked.tolist()
        if (not only or row in flipped)
        and (answer is None or int(first[row]) == answer)
        and (matching is None or row in matching)
    ]


def _answers(evaluation: Evaluation, first: IntArray) -> list[int]:
    """The classes that the reference answers, by name."""
    return sorted(set(first.tolist()) - {metrics.NO_ANSWER}, key=evaluation.label)


def _matching(evaluation: Evaluation, words: str) -> set[int]:
    """Pictures whose name, or whose first answer by any model, holds what was searched."""
    named = {
        row for row, picture in enumerate(evaluation.pictures) if words in picture.name.lower()
    }
    first = np.stack([evaluation.first_answers(column) for column in evaluation.logits])
    answers = set(first.ravel().tolist()) - {metrics.NO_ANSWER}
    fitting = [index for index in answers if words in evaluation.label(index).lower()]
    return named | set(np.flatnonzero(np.isin(first, fitting).any(axis=0)).tolist())
