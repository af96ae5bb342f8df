"""Contents of the page Result: the verdict, recommendation, weakest picture, report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import streamlit as st

from engine.comparison import recommendation
from engine.comparison.recommendation import Candidate, Choice
from engine.reporting.picture_cards import THUMBNAIL_SIDE, AnswerCard, picture_card
from engine.reporting.plots.palette import marker_image
from engine.reporting.report import report_of
from engine.reporting.text import overview as sentences
from engine.reporting.text.destination import card_lines, other_lines
from engine.tasks.evaluation import Evaluation
from engine.workers import process as host
from pages.inputs.labels import labels_on_show, tags_on_show
from pages.inputs.target import choose_target
from pages.state.evaluation import NEED, destination_on_show, needed
from pages.state.messages import html, plain
from pages.state.session import thumbnail_of
from pages.views.deploy import ask_for_kit
from pages.views.flips import explain_flips
from pages.views.logits import link_to_logits

_NEEDS = (80, 85, 90, 95, 97, 98, 99, 99.5, 100)
_CHIPS: dict[str, tuple[Literal["green", "orange", "red"], str]] = {
    "proven": ("green", ":material/verified:"),
    "likely": ("orange", ":material/trending_up:"),
    "few": ("orange", ":material/hourglass_empty:"),
    "unmet": ("red", ":material/block:"),
}
_STYLE = """
<style>
.o-tiles{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}
.o-tile{min-width:0;overflow-wrap:anywhere}
.o-tile small,.o-weak small{opacity:.8;font-size:.85rem;display:block}
.o-tile strong{font-size:1.75rem;letter-spacing:-.02em;display:block;line-height:1.3;
  font-variant-numeric:tabular-nums}
.o-name{font-size:1.15rem;font-weight:650;margin:0}
.o-weak{display:flex;gap:.9rem;align-items:flex-start}
.o-weak img.o-photo{width:112px;height:112px;object-fit:cover;border-radius:10px;flex:none}
.o-weak ul{list-style:none;margin:.2rem 0 0;padding:0;font-size:.9rem;line-height:1.55}
.o-weak div{min-width:0;overflow-wrap:anywhere}
.o-one{white-space:nowrap;margin-right:.3rem}
.o-flip{background:#c62659;color:#fff;border-radius:6px;padding:0 .35rem;font-size:.78rem;
  font-weight:650;white-space:nowrap}
</style>
"""


def show_verdict(evaluation: Evaluation, choice: Choice) -> None:
    """Show the variant to ship with its figures beside the original's, and what to do with it.

    Args:
        evaluation: The answers on show; its comparison has accuracy where labels are there.
        choice: The recommendation.
    """
    about, chip = choice.about, sentences.chip(choice)
    with st.container(border=True, key="verdict"):
        with st.container(horizontal=True, vertical_alignment="center"):
            if about is not None and chip is not None:
                name = f"{marker_image(about.variant)} {html(about.variant)}"
                st.html(f'{_STYLE}<p class="o-name">{name}</p>', width="content")
                color, icon = _CHIPS[chip.state]
                st.badge(chip.words, icon=icon, color=color)
            st.space("stretch")
            if choice.taken is not None and st.button(
                "Make the kit", type="primary", icon=":material/deployed_code:"
            ):
                ask_for_kit(evaluation.run, choice.taken.variant)
                st.switch_page("pages/dashboard/deploy.py")
            show_report_button(evaluation)
        tiles = "".join(
            f'<div class="o-tile"><small>{tile.title}</small><strong>{tile.figure}</strong>'
            f"<small>{html(tile.detail)}</small></div>"
            for tile in sentences.tiles(evaluation.comparison, choice)
        )
        st.html(f'<div class="o-tiles">{tiles}</div>')
        _show_target(evaluation, choice)


def _show_target(evaluation: Evaluation, choice: Choice) -> None:
    """Show what the chosen target does with the variants."""
    names = [side.variant for side in evaluation.comparison.variants]
    if lines := card_lines(choice, names):
        st.markdown(_listed(lines))
    if lines := other_lines(choice, names):
        with st.expander("The other variants there", icon=":material/memory:"):
            st.markdown(_listed(lines))


def _listed(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)


def show_advice(evaluation: Evaluation, choice: Choice) -> None:
    """Show the slider, what to take at that need, and why."""
    st.header("How much agreement do you need?", anchor=False)
    st.select_slider(
        "Share of pictures that must keep their answer",
        _NEEDS,
        value=95,
        format_func=lambda percent: f"{percent}\xa0%",
        key=NEED,
        persist_state="session",
    )
    choose_target(evaluation.run)
    reason = sentences.reason(evaluation.comparison, choice)
    st.markdown(f"**{plain(sentences.recommendation(choice))}.** {plain(reason)}")


def show_weakest(evaluation: Evaluation, about: Candidate) -> None:
    """Show the picture on which a variant comes nearest to another answer, or gives one."""
    row = evaluation.comparison.pictures.index(about.weakest)
    card = picture_card(evaluation, row)
    columns = (evaluation.comparison.reference, about.variant)
    rows = "".join(_line(answer) for answer in card.answers if answer.column in columns)
    rows += _others(tuple(answer for answer in card.answers if answer.column not in columns))
    name = html(card.picture.name)
    st.markdown(f"**The weakest picture of {plain(about.variant)}**")
    st.html(
        f'{_STYLE}<div class="o-weak"><img class="o-photo" '
        f'src="{thumbnail_of(card.picture, THUMBNAIL_SIDE)}" alt="{name}">'
        f"<div><b>{name}</b><ul>{rows}</ul></div></div>"
    )
    link_to_logits(evaluation, row, "See its logits")
    explain_flips(evaluation, row, key="weakest")


def _line(answer: AnswerCard) -> str:
    who = f"{marker_image(answer.column)} {html(answer.column)}: "
    if answer.state == "broken":
        return f'<li>{who}<span class="o-flip">NaN or Inf</span></li>'
    flag = '<span class="o-flip">flipped</span> ' if answer.state == "flipped" else ""
    return f"<li>{who}{flag}<b>{html(answer.label)}</b> {answer.percent}</li>"


def _others(answers: tuple[AnswerCard, ...]) -> str:
    """List what the variants that are not named answer otherwise, a line an answer."""
    labels = dict.fromkeys(a.label for a in answers if a.state == "flipped")
    lines = ""
    for label in labels:
        names = " ".join(
            f'<span class="o-one">{marker_image(a.column)} {html(a.column)}</span>'
            for a in answers
            if a.label == label
        )
        lines += f'<li><span class="o-flip">flipped</span> <b>{html(label)}</b>: {names}</li>'
    return lines


def show_report_button(evaluation: Evaluation) -> None:
    """Offer the report as one HTML file; it is made when it is asked for."""
    run = evaluation.run
    need, reference = needed(), evaluation.comparison.reference
    labels = labels_on_show(run, evaluation.pictures)
    tags = tags_on_show(run, evaluation.pictures)
    destination = destination_on_show(run)

    def render() -> bytes:
        report = report_of(
            run,
            evaluation.pictures,
            host.Foreground(),
            reference=reference,
            labels=labels,
            tags=tags,
            need=need,
            destination=destination,
        )
        return report.to_html().encode()

    day = datetime.now(UTC).strftime("%Y-%m-%d")
    st.download_button(
        "Report",
        render,
        file_name=f"{run.manifest.model.file_stem}_{day}.html",
        mime="text/html",
        icon=":material/description:",
        help="One HTML file with these figures, the pictures and plots that stay alive; it opens "
        "without a network.",
        on_click="ignore",
        key="report",
    )


def recommend_at_need(evaluation: Evaluation) -> Choice:
    """Recommend a variant at the need that the slider shows, for the chosen target."""
    candidates = recommendation.candidates(evaluation.comparison)
    destination = destination_on_show(evaluation.run)
    return recommendation.recommend(candidates, needed(), destination)
