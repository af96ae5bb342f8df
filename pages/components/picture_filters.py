"""Which of the pictures on show are listed, and in which order."""

from __future__ import annotations

import numpy as np
import streamlit as st

from engine.comparison import metrics
from engine.types import IntArray
from pages.components.evaluation import Evaluation, disagreement, margins

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
    first = {column: _first_answers(evaluation, column) for column in evaluation.logits}
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
            _answers(evaluation, first[comparison.reference]),
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
    keys = {WORST: -disagreement(evaluation), MARGIN: margins(evaluation)}
    ranked = np.argsort(keys.get(order, np.zeros(len(evaluation.pictures))), kind="stable")
    return [
        row
        for row in ranked.tolist()
        if (not only or row in flipped)
        and (answer is None or int(first[comparison.reference][row]) == answer)
        and _matches(evaluation, first, row, words.strip().lower())
    ]


def _first_answers(evaluation: Evaluation, column: str) -> IntArray:
    found: IntArray = metrics.top_k(evaluation.logits[column], 1)[:, 0]
    return found


def _answers(evaluation: Evaluation, first: IntArray) -> list[int]:
    """The classes that the reference answers, by name."""
    return sorted(set(first.tolist()) - {metrics.NO_ANSWER}, key=evaluation.label)


def _matches(evaluation: Evaluation, first: dict[str, IntArray], row: int, words: str) -> bool:
    """Whether a picture's name, or the first answer of any model, holds what was searched."""
    if not words or words in evaluation.pictures[row].name.lower():
        return True
    answers = {int(rows[row]) for rows in first.values()} - {metrics.NO_ANSWER}
    return any(words in evaluation.label(index).lower() for index in answers)
