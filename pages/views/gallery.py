"""Pictures with the first five answers of every model beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from engine.comparison import metrics
from engine.core import formats
from engine.core.formats import plural
from engine.core.types import FAULT_WORDS, ORIGINAL, Fault, IntArray
from engine.reporting.picture_cards import AnswerCard, PictureCard, picture_card
from engine.reporting.plots.palette import marker_image, style_of
from engine.runs.pinned import list_pinned_digests, pin, unpin
from pages.access.auth import shared
from pages.inputs.labels import ask_for_tag, tags_on_show
from pages.state.evaluation import Evaluation, disagreement, margins
from pages.state.messages import html, keep_error, show_kept_problem
from pages.state.session import GALLERY_SIDE, thumbnail_of
from pages.views.flips import explain_flips, flip_in_address

PAGE_SIZE = 12
_STYLE = """
<style>
[class*=st-key-gallery_]{display:grid;gap:.5rem;align-items:start;
  grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr))}
[class*=st-key-shot_]{position:relative;gap:.3rem;padding:.5rem;border-radius:12px;
  border:1px solid color-mix(in srgb,currentColor 16%,transparent)}
[class*=st-key-shot_]:has(.q-flips){border-color:#c62659}
[class*=st-key-gallery_]>*:has(details[open]),
[class*=st-key-gallery_]>*:has([class*=st-key-explanation_]){grid-column:1/-1}
.q-row{display:grid;grid-template-columns:88px minmax(0,1fr);gap:.2rem .8rem;font-size:.85rem;
  line-height:1.4}
.q-row>img{width:88px;height:88px;object-fit:cover;border-radius:8px;display:block;grid-row:span 2}
.q-row details{grid-column:1/-1}
.q-row:not(:has(details[open])) details{grid-column:2;align-self:end}
.q-row summary{cursor:pointer;width:fit-content;border-radius:6px;padding:0 .3rem}
.q-what{min-width:0;overflow-wrap:anywhere;padding-right:4.2rem}
.q-what b{font-size:.95rem}
.q-dim{opacity:.72}
.q-chips{display:flex;flex-wrap:wrap;gap:.3rem;margin-top:.2rem}
.q-chip{border:1px solid #c62659;border-radius:999px;padding:0 .5rem;font-weight:650;
  display:inline-flex;align-items:center;gap:.3rem;min-width:0}
.q-hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
  white-space:nowrap}
.q-cards{display:grid;gap:.5rem;margin-top:.5rem;
  grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}
.q-card{border:1px solid color-mix(in srgb,currentColor 16%,transparent);border-radius:9px;
  padding:.5rem .6rem;font-size:.78rem;min-width:0;position:relative}
.q-card.q-flip{border:2px solid #c62659;padding:calc(.5rem - 1px) calc(.6rem - 1px)}
.q-name{font-weight:650;display:flex;flex-wrap:wrap;align-items:center;gap:.35rem;
  margin-bottom:.3rem}
.q-flag{margin-left:auto;background:#c62659;color:#fff;border-radius:6px;padding:0 .35rem;
  font-size:.7rem;font-weight:650;white-space:nowrap}
.q-fault{background:#c62659;color:#fff;border-radius:6px;padding:0 .35rem;margin-bottom:.3rem}
.q-answer{display:flex;justify-content:space-between;gap:.4rem;line-height:1.5}
.q-answer span:first-child{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.q-answer span:last-child{font-variant-numeric:tabular-nums;white-space:nowrap}
.q-bar{height:4px;border-radius:2px;margin-bottom:.15rem;
  background:color-mix(in srgb,currentColor 12%,transparent)}
.q-bar i{display:block;height:100%;border-radius:2px}
[class*=st-key-pin_]{position:absolute;top:.45rem;right:.45rem;z-index:1;width:auto}
[class*=st-key-tag_]{position:absolute;top:2.5rem;right:.45rem;z-index:1;width:auto}
.q-tag{border:1px solid currentColor;border-radius:6px;padding:0 .35rem;font-size:.75rem}
:is([class*=st-key-pin_],[class*=st-key-tag_]) button{
  padding:.1rem .5rem;min-height:0;font-size:.78rem}
@media(max-width:640px){.q-cards{grid-template-columns:repeat(2,minmax(0,1fr))}}
</style>
"""


WORST, MARGIN, NAME = "Most disagreement first", "Lowest margin first", "By name"


@dataclass(frozen=True, slots=True)
class Selection:
    """What of an evaluation is shown.

    Attributes:
        rows: Of the logits, in the order in which they are shown.
        columns: Models, the reference first.
    """

    rows: list[int]
    columns: tuple[str, ...]


def choose_rows(evaluation: Evaluation) -> Selection:
    """Show order, filters and search, and give what to list."""
    comparison = evaluation.comparison
    flipped = {flip.index for variant in comparison.variants for flip in variant.flips}
    first = evaluation.first_answers(comparison.reference)
    line = st.container(horizontal=True, vertical_alignment="center")
    with line:
        only = st.toggle(f"Flips only ({len(flipped)})", disabled=not flipped)
        with st.popover("Sort and filter", icon=":material/tune:", width="content"):
            order = st.radio("Order", [WORST, MARGIN, NAME])
            answer = st.selectbox(
                f"Answer of {formats.title_of_model(comparison.reference)}",
                _answers(evaluation, first),
                index=None,
                format_func=evaluation.label,
                placeholder="Any",
            )
            columns = _choose_columns(evaluation)
        words = st.text_input(
            "Search",
            placeholder="Search names, tags and answers",
            icon=":material/search:",
            label_visibility="collapsed",
            width=270,
        )
    matching = _matching(evaluation, words.strip().lower()) if words.strip() else None
    keys = {WORST: -disagreement(evaluation), MARGIN: margins(evaluation)}
    ranked = np.argsort(keys.get(order, np.zeros(len(evaluation.pictures))), kind="stable")
    rows = [
        row
        for row in ranked.tolist()
        if (not only or row in flipped)
        and (answer is None or int(first[row]) == answer)
        and (matching is None or row in matching)
    ]
    pictures = evaluation.pictures
    label = f"Tag these {plural(len(rows), 'picture')}"
    if rows and line.button(label, icon=":material/sell:"):
        ask_for_tag(evaluation.run, tuple(pictures[row] for row in rows), pictures)
    return Selection(rows, (comparison.reference, *columns))


def _choose_columns(evaluation: Evaluation) -> list[str]:
    """Show the models beside the reference, and give the chosen ones."""
    run = evaluation.run
    others = [column for column in run.columns if column != evaluation.comparison.reference]
    return st.pills(
        "Variants",
        others,
        selection_mode="multi",
        default=[column for column in others if column in (ORIGINAL, *run.runnable)],
    )


def _answers(evaluation: Evaluation, first: IntArray) -> list[int]:
    """Sort the classes that the reference answers by name."""
    return sorted(set(first.tolist()) - {metrics.NO_ANSWER}, key=evaluation.label)


def _matching(evaluation: Evaluation, words: str) -> set[int]:
    """Find pictures whose name, tag or first answer by any model holds what was searched."""
    tags = tags_on_show(evaluation.run, evaluation.pictures)
    named = {
        row
        for row, picture in enumerate(evaluation.pictures)
        if any(words in name.lower() for name in (picture.name, *tags[row]))
    }
    first = np.stack([evaluation.first_answers(column) for column in evaluation.logits])
    answers = set(first.ravel().tolist()) - {metrics.NO_ANSWER}
    fitting = [index for index in answers if words in evaluation.label(index).lower()]
    return named | set(np.flatnonzero(np.isin(first, fitting).any(axis=0)).tolist())


def show_gallery(
    evaluation: Evaluation, columns: tuple[str, ...], rows: list[int], *, key: str = "gallery"
) -> None:
    """Show pictures by rows of the logits, a page at a time, with answers of some models.

    The reference is the first of ``columns``; ``key`` tells one gallery of a page from another.
    """
    st.html(_STYLE)
    show_kept_problem()
    run, pictures = evaluation.run, evaluation.pictures
    pinned = None if shared() else list_pinned_digests(run)
    tags = tags_on_show(run, pictures)
    pages = max(1, -(-len(rows) // PAGE_SIZE))
    named = flip_in_address(evaluation)
    start = rows.index(named.row) // PAGE_SIZE + 1 if named and named.row in rows else 1
    # It stands below, where a person ends up.
    page = min(int(st.session_state.get(f"{key}_page", start)), pages)
    reference_margins = margins(evaluation)
    faults = evaluation.comparison.fault_by_variant
    with st.container(key=f"gallery_{key}"):
        for row in rows[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]:
            card = picture_card(evaluation, row, columns)
            with st.container(key=f"shot_{row}"):
                st.html(_row(card, float(reference_margins[row]), tags[row], faults))
                if pinned is not None:
                    _show_pin(evaluation, row, pictures[row].sha256 in pinned)
                if st.button("Tag", key=f"tag_{key}_{row}", icon=":material/sell:"):
                    ask_for_tag(run, (pictures[row],), pictures)
                explain_flips(evaluation, row, key=f"{key}_{row}")
    if pages > 1:
        st.session_state[f"{key}_page"] = page
        st.number_input(f"Page (of {pages})", 1, pages, key=f"{key}_page", width=160)


def _show_pin(evaluation: Evaluation, row: int, pinned: bool) -> None:
    picture, run = evaluation.pictures[row], evaluation.run

    def toggle() -> None:
        if pinned:
            unpin(run, picture.sha256)
            return
        with keep_error():
            pin(run, picture)

    st.button(
        "Pinned" if pinned else "Pin",
        key=f"pin_{row}",
        icon=":material/keep_off:" if pinned else ":material/keep:",
        type="primary" if pinned else "secondary",
        help="Take it out of the pinned pictures"
        if pinned
        else "Keep it with the run: compare --pinned checks the pinned pictures again",
        on_click=toggle,
    )


def _row(card: PictureCard, margin: float, tags: Sequence[str], faults: Mapping[str, Fault]) -> str:
    """Write a picture, the reference's answer, and a chip for each other answer, as HTML."""
    name, reference = html(card.picture.name), card.reference
    label = f"<b>{html(reference.label or 'no answer')}</b> {reference.percent}"
    cards = "".join(_answer_card(answer, faults.get(answer.column)) for answer in card.answers)
    named = "".join(f' <span class="q-tag">{html(tag)}</span>' for tag in tags)
    every = f"{len(card.agreeing)} agree" if len(card.answers) > 1 else "its five answers"
    return (
        f'<section class="q-row{" q-flips" if card.differing else ""}">'
        f'<img src="{thumbnail_of(card.picture, GALLERY_SIDE)}" alt="{name}">'
        f'<div class="q-what">{label}<br><span class="q-dim"><span class="q-file">{name}</span>'
        f" · margin {margin:.1f}</span>{named}"
        f'<div class="q-chips">{_chips(card)}</div></div>'
        f'<details><summary>{every}</summary><div class="q-cards">{cards}</div></details></section>'
    )


def _chips(card: PictureCard) -> str:
    """Write a chip for each answer that is not the reference's, with the marks of who gave it."""
    by_label: dict[str, list[str]] = {}
    for answer in card.differing:
        by_label.setdefault(answer.label or "NaN or Inf", []).append(answer.column)
    return "".join(
        f'<span class="q-chip" title="{html(", ".join(columns))}">{html(label)}'
        f"{''.join(marker_image(column) for column in columns)}"
        f'<span class="q-hidden">changed in {html(", ".join(columns))}</span></span>'
        for label, columns in by_label.items()
    )


def _answer_card(card: AnswerCard, fault: Fault | None) -> str:
    name = f"{marker_image(card.column)}<span>{html(card.column)}</span>"
    flag = "" if card.state == "same" else f'<span class="q-flag">{card.state}</span>'
    if card.state == "broken":
        answers = "<b>NaN or Inf: this model gives no answer here</b>"
    else:
        answers = "".join(_answer(card.column, label, share) for label, share in card.best)
        if fault is not None:
            answers = f'<div class="q-fault">{FAULT_WORDS[fault]}</div>{answers}'
    kind = "q-card q-flip" if flag or fault is not None else "q-card"
    return f'<div class="{kind}"><div class="q-name">{name}{flag}</div>{answers}</div>'


def _answer(column: str, name: str, share: float) -> str:
    hue = "currentColor" if column == ORIGINAL else style_of(column).hue
    label = html(name)
    return (
        f'<div class="q-answer" title="{label} {formats.percent(share)}"><span>{label}</span>'
        f"<span>{share * 100:.0f}\xa0%</span></div>"
        f'<div class="q-bar"><i style="width:{share * 100:.1f}%;background:{hue}"></i></div>'
    )
