"""Answers against labels, and on slices of the pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from engine.comparison.comparison import Comparison
from engine.comparison.records import Accuracy
from engine.comparison.slices import Slices
from engine.core import formats
from engine.core.types import IntArray
from engine.images.labels import label_of
from engine.reporting import plots
from engine.reporting.text import accuracy as accuracy_sentences
from engine.reporting.text.accuracy import SliceRow
from engine.runs.labels import Tags
from engine.runs.run import Run
from pages.inputs.labels import labels_on_show, tags_on_show
from pages.state.evaluation import Evaluation, key_of
from pages.state.messages import cell, html, plain, show_errors
from pages.views.figures import align_right, show_described_figure, show_rows

_STYLE = """
<style>
.s-slices{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
.s-slices :is(th,td){padding:.3rem .4rem;text-align:right;font-weight:400;
  border-bottom:1px solid color-mix(in srgb,currentColor 14%,transparent)}
.s-slices th:first-child{text-align:left;overflow-wrap:anywhere}
.s-slices thead th,.s-slices small{opacity:.8;font-size:.8rem}
.s-slices small{display:block}
.s-worse{background:#c62659;color:#fff;border-radius:6px;padding:0 .35rem;font-size:.78rem}
</style>
"""
_HELP = {
    "right answers": "Pictures whose first answer is the label (top-1).",
    "in the first five": "Pictures with the label among the first five answers (top-5).",
    "lost": "Pictures that the baseline gets right and this model does not.",
    "gained": "Pictures that this model gets right and the baseline does not.",
    "McNemar p": "How likely chance alone makes lost and gained this unequal; below 0.05 it is "
    "said to be a difference. Of twenty models without one, one is expected below 0.05.",
    "ECE": "Expected calibration error: mean distance between how sure the model "
    "is and how often it is right.",
}


def compare_with_labels(evaluation: Evaluation, labels: IntArray) -> Comparison:
    """Compare the answers on show with labels, once a session."""
    digest = hashlib.sha256(labels.tobytes()).hexdigest()
    return _compare(f"{key_of(evaluation)} {digest}", evaluation, labels)


@st.cache_resource(scope="session", max_entries=8, show_spinner="Counting right answers")
def _compare(key: str, _evaluation: Evaluation, _labels: IntArray) -> Comparison:
    return _evaluation.compare_with(_labels)


def with_labels_on_show(evaluation: Evaluation) -> Evaluation:
    """Add accuracy to the answers on show where enough of their right answers are there."""
    labels = labels_on_show(evaluation.run, evaluation.pictures)
    if labels is None:
        return evaluation
    return replace(evaluation, comparison=compare_with_labels(evaluation, labels))


def accuracies(comparison: Comparison) -> dict[str, Accuracy]:
    """Give accuracy by model, the baseline first."""
    every = {comparison.reference: comparison.reference_accuracy}
    every |= {variant.variant: variant.accuracy for variant in comparison.variants}
    return {name: accuracy for name, accuracy in every.items() if accuracy is not None}


def show_figures(comparison: Comparison, variant: str) -> None:
    """Show intervals, and the calibration curve where there are pictures enough for one."""
    every = accuracies(comparison)
    many = every[variant].pictures >= formats.FEW_PICTURES
    left, right = st.columns(2, gap="medium") if many else (st.container(), None)
    with left.container(border=True, height="stretch"):
        headline = accuracy_sentences.mcnemar_sentence(every[variant])
        st.header(plain(headline))
        show_described_figure("accuracy_intervals", headline, plots.accuracy_intervals, every)
        st.caption(
            "The dashed line is the baseline. If an interval crosses the line, the difference may "
            "be chance."
        )
    if right is None:
        return  # a zigzag through few dots says nothing of confidence
    with right.container(border=True, height="stretch"):
        headline = accuracy_sentences.reliability_headline(every[variant], variant)
        st.header(plain(headline))
        shown = (comparison.reference, variant)
        curves = {name: every[name].reliability for name in shown}
        show_described_figure("reliability", headline, plots.reliability_curve, curves)
        st.caption(f"A larger mark is more pictures, {every[variant].pictures} in all.")


def show_table(comparison: Comparison) -> None:
    """Show one row a model."""
    rows = [
        {
            "model": name,
            "right answers": formats.count_or_percent(accuracy.top1, accuracy.pictures),
            "95\xa0% interval": formats.interval(accuracy.top1_interval),
            "in the first five": formats.count_or_percent(accuracy.top5, accuracy.pictures),
            "95\xa0% interval ": formats.interval(accuracy.top5_interval),
            "lost": formats.UNKNOWN if accuracy.lost is None else str(accuracy.lost),
            "gained": formats.UNKNOWN if accuracy.won is None else str(accuracy.won),
            "McNemar p": formats.small(accuracy.mcnemar_p),
            "ECE": formats.percent(accuracy.reliability.error),
        }
        for name, accuracy in accuracies(comparison).items()
    ]
    show_rows(rows, align_right(list(rows[0])[1:], _HELP))


def show_classes(run: Run, accuracy: Accuracy, variant: str) -> None:
    """Show the classes that a variant is right about less or more often."""

    def name(index: int) -> str:
        return label_of(run.manifest.labels, index)

    st.header(plain(accuracy_sentences.classes_headline(accuracy, variant, name)))
    if not accuracy.changes:
        return
    rows = [
        {
            "class": cell(name(change.index)),
            "pictures": str(change.pictures),
            "baseline right": str(change.reference_right),
            f"{variant} right": str(change.variant_right),
            "change": f"{-change.lost:+d}",
            "mostly taken for": "" if change.taken_for is None else cell(name(change.taken_for)),
        }
        for change in accuracy.changes
    ]
    show_rows(rows, align_right(list(rows[0])[1:-1]))


def slices_on_show(evaluation: Evaluation) -> Slices:
    """Group the pictures on show by their labels, answers, looks and tags, once a session."""
    labels = labels_on_show(evaluation.run, evaluation.pictures)
    tags = tags_on_show(evaluation.run, evaluation.pictures)
    label_digest = "" if labels is None else hashlib.sha256(labels.tobytes()).hexdigest()
    return _make_slices(f"{key_of(evaluation)} {label_digest} {tags}", evaluation, labels, tags)


# As they are: a thousand classes would be pickled and read again at every run of the script.
@st.cache_resource(scope="session", max_entries=4, show_spinner="Grouping the pictures")
def _make_slices(
    key: str, _evaluation: Evaluation, _labels: IntArray | None, _tags: Tags
) -> Slices:
    return _evaluation.slices(_labels, _tags)


def show_slices(evaluation: Evaluation, variant: str) -> None:
    """Show on which groups of pictures a variant does worse, and on demand all of them."""
    if variant not in {side.variant for side in evaluation.comparison.variants}:
        return
    with show_errors():
        slices = slices_on_show(evaluation)
    if not slices.slices:
        return
    with st.container(border=True, key="slices"):
        st.header(plain(accuracy_sentences.slices_headline(slices, variant)), anchor=False)
        if note := accuracy_sentences.slices_note(slices, variant):
            st.caption(plain(note))
        first = accuracy_sentences.slices_shown_first(slices, variant)
        rows = [accuracy_sentences.slice_row(part, variant) for part in first]
        if rows:
            st.html(_STYLE + _slices_table(rows, variant))
        # Of a thousand classes it would be a long table, sent with every click.
        every = st.expander(
            f"{len(slices.slices)} slices, every variant",
            icon=":material/table_rows:",
            key="every_slice",
            on_change="rerun",
        )
        if every.open:
            with every:
                _show_every_slice(slices)


def _slices_table(rows: Sequence[SliceRow], variant: str) -> str:
    """Write slices as an HTML table, whose cells wrap on a phone."""
    labelled = any(row.right != formats.UNKNOWN for row in rows)
    heads = ("slice", f"same answer, {variant}", *(["right answers"] if labelled else []))
    body = ""
    for row in rows:
        mark = ' <b class="s-worse">worse, proven</b>' if row.proven else ""
        right = f"<td>{row.right}</td>" if labelled else ""
        body += (
            f'<tr><th scope="row"><small>{row.group}</small> {html(row.name)}</th>'
            f"<td>{row.same}{mark}</td>{right}</tr>"
        )
    head = "".join(f'<th scope="col">{html(name)}</th>' for name in heads)
    return f'<table class="s-slices"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _show_every_slice(slices: Slices) -> None:
    rows, proven = [], []
    for part in slices.slices:
        for variant in slices.variants:
            row = accuracy_sentences.slice_row(part, variant)
            rows.append(
                {
                    "slice": cell(f"{row.group}: {row.name}"),
                    "pictures": row.pictures,
                    "variant": variant,
                    "same answer": row.same,
                    "right answers": row.right,
                }
            )
            proven.append(row.proven)
    show_rows(rows, align_right(("pictures", "same answer", "right answers")), proven)
