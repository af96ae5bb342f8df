"""Pictures with the first five answers of every model beside them."""

from __future__ import annotations

import streamlit as st

from engine.core import formats
from engine.core.types import FAULT_WORDS, ORIGINAL, Fault
from engine.reporting.picture_cards import AnswerCard, PictureCard, picture_card
from engine.reporting.plots.frame import marker_image, style_of
from engine.runs.pinned import pin, pinned_digests, unpin
from pages.access.auth import shared
from pages.inputs.pictures import GALLERY_SIDE, thumbnail_of
from pages.state.evaluation import Evaluation, margins
from pages.state.messages import html, show_kept_problem, told_afterwards
from pages.views.flips import explain_flips, flip_in_address

PAGE_SIZE = 12
_STYLE = """
<style>
.q-row{display:flex;gap:1rem;align-items:flex-start;padding:1rem;margin:0 0 1rem;
  border:1px solid color-mix(in srgb,currentColor 16%,transparent);border-radius:12px}
.q-row figure{margin:0;flex:0 0 168px}
.q-row figure img{width:168px;height:168px;object-fit:cover;border-radius:8px;display:block}
.q-row figcaption{font-size:.82rem;line-height:1.35;margin-top:.4rem;overflow-wrap:anywhere}
.q-dim{opacity:.68}
.q-cards{flex:1;min-width:0;display:grid;gap:.5rem;
  grid-template-columns:repeat(auto-fill,minmax(168px,1fr))}
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
[class*=st-key-shot_]{position:relative}
[class*=st-key-pin_]{position:absolute;top:1.35rem;left:1.35rem;z-index:1;width:auto}
[class*=st-key-pin_] button{padding:.1rem .5rem;min-height:0;font-size:.78rem}
@media(max-width:640px){.q-row{flex-direction:column}
  .q-row figure,.q-row figure img{width:100%;flex:auto}
  .q-cards{width:100%;grid-template-columns:repeat(2,minmax(0,1fr))}}
</style>
"""


def show_gallery(
    evaluation: Evaluation, columns: tuple[str, ...], rows: list[int], *, key: str = "gallery"
) -> None:
    """Show pictures by rows of the logits, a page at a time, with answers of some models.

    The reference is the first of ``columns``; ``key`` tells one gallery of a page from another.
    """
    st.html(_STYLE)
    show_kept_problem()
    pinned = None if shared() else pinned_digests(evaluation.run)
    pages = max(1, -(-len(rows) // PAGE_SIZE))
    page = 1
    if pages > 1:
        named = flip_in_address(evaluation)
        start = rows.index(named.row) // PAGE_SIZE + 1 if named and named.row in rows else 1
        page = st.number_input(f"Page (of {pages})", 1, pages, start, key=f"{key}_page", width=160)
    reference_margins = margins(evaluation)
    faults = evaluation.comparison.fault_by_variant
    for row in rows[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]:
        card = picture_card(evaluation, row, columns)
        answers = "".join(
            _answer_card(answer, faults.get(answer.column)) for answer in card.answers
        )
        with st.container(key=f"shot_{row}"):
            st.html(
                f'<section class="q-row">{_figure(card, float(reference_margins[row]))}'
                f'<div class="q-cards">{answers}</div></section>'
            )
            if pinned is not None:
                _show_pin(evaluation, row, evaluation.pictures[row].sha256 in pinned)
            explain_flips(evaluation, row, key=f"{key}_{row}")


def _show_pin(evaluation: Evaluation, row: int, pinned: bool) -> None:
    picture, run = evaluation.pictures[row], evaluation.run

    def toggle() -> None:
        if pinned:
            unpin(run, picture.sha256)
            return
        with told_afterwards():
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


def _figure(card: PictureCard, margin: float) -> str:
    name = html(card.picture.name)
    return (
        f'<figure><img src="{thumbnail_of(card.picture, GALLERY_SIDE)}" alt="{name}">'
        f"<figcaption><b>{html(card.reference.label or 'no answer')}</b><br>margin {margin:.1f}<br>"
        f'<span class="q-dim">{name}</span></figcaption></figure>'
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
        f"<span>{share * 100:.0f} %</span></div>"
        f'<div class="q-bar"><i style="width:{share * 100:.1f}%;background:{hue}"></i></div>'
    )
