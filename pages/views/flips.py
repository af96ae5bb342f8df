"""Explanation of a changed answer: logits, margin, layers, other variants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from engine.comparison.records import Flip
from engine.reporting import plots
from engine.reporting.text import flips as flip_sentences
from engine.reporting.text.layers import culprits, where_lost
from engine.reporting.text.runs import reference_title
from engine.tasks import layers as service
from engine.tflite.artifact import computes_in_integers
from engine.workers.jobs import Job
from pages.state import jobs
from pages.state import session as address
from pages.state.evaluation import Evaluation
from pages.state.messages import plain
from pages.views.figures import show_described_figure
from pages.views.logits import link_to_logits

JOB = "flip_layers"
_CLASSES = 5


@dataclass(frozen=True, slots=True)
class NamedFlip:
    """What the address asks to be explained: a variant's answer on a row of the logits."""

    variant: str
    row: int


def flip_in_address(evaluation: Evaluation) -> NamedFlip | None:
    """Find the flip that a link names, where its picture is on show."""
    variant, _, digest = (address.named("flip") or "").partition(":")
    rows = (
        row
        for row, picture in enumerate(evaluation.pictures)
        if digest and picture.sha256.startswith(digest)
    )
    row = next(rows, None)
    return None if row is None else NamedFlip(variant, row)


def explain_flips(evaluation: Evaluation, row: int, *, key: str) -> None:
    """Offer to explain why the answer to one picture changed, if it did, and do so once asked.

    ``row`` is the picture's in the logits; ``key`` tells it from others on the page.
    """
    flips = {
        side.variant: flip
        for side in evaluation.comparison.variants
        for flip in side.flips
        if flip.index == row
    }
    if not flips:
        return
    named = flip_in_address(evaluation)
    start = named.variant if named is not None and named.row == row else None
    variant = st.pills(
        "Why did it flip?",
        list(flips),
        default=start if start in flips else None,
        key=f"why_{key}",
    )
    here = f"{variant}:{evaluation.pictures[row].sha256[:12]}"
    if variant is not None:
        address.name("flip", here)
        address.name("picture", evaluation.comparison.pictures[row])
        _explain(evaluation, variant, flips[variant])
    elif start is not None:
        address.unname("flip")


def _explain(evaluation: Evaluation, variant: str, flip: Flip) -> None:
    with st.container(border=True, key=f"explanation_{variant}_{flip.index}"):
        headline = flip_sentences.flip_headline(evaluation, variant, flip)
        st.subheader(plain(headline), anchor=False)
        st.markdown(plain(flip_sentences.flip_margin(evaluation, variant, flip)))
        st.markdown(plain(flip_sentences.flip_company(evaluation, flip)))
        left, right = st.columns(2, gap="medium")
        with left:
            _show_logits(evaluation, variant, flip, headline)
        with right:
            _show_layers(evaluation, variant, flip)
        link_to_logits(evaluation, flip.index, "All variants' logits of this picture")


def _show_logits(evaluation: Evaluation, variant: str, flip: Flip, headline: str) -> None:
    name = evaluation.comparison.reference
    reference = np.asarray(evaluation.comparable(name, variant)[flip.index])
    logits = np.asarray(evaluation.comparable(variant)[flip.index])
    labels = tuple(map(evaluation.label, range(len(reference))))
    show_described_figure(
        f"why_logits_{variant}_{flip.index}",
        headline,
        plots.top_logits,
        labels,
        reference,
        {variant: logits},
        _CLASSES,
        reference_title(evaluation.comparison),
    )


def _show_layers(evaluation: Evaluation, variant: str, flip: Flip) -> None:
    run, picture = evaluation.run, evaluation.pictures[flip.index]
    if not computes_in_integers(run.artifact(variant)):
        st.caption(
            "Layers are followed where a file holds integer activations; those of "
            f"{plain(variant)} are float32 between its operators."
        )
        return
    errors = service.read_layer_errors(run, variant, (picture,))
    if errors is not None:
        lost = where_lost(errors)
        show_described_figure(
            f"why_layers_{variant}_{flip.index}",
            lost,
            plots.layer_line,
            errors,
            culprits(errors)[:1],
        )
        st.markdown(plain(lost))
        return

    def work(job: Job[bool]) -> bool:
        service.layers(run, variant, (picture,), job)
        return True

    title = f"Following {picture.name} through {variant}"
    jobs.see_through(JOB, title, work, about=f"{run.folder} {variant} {picture.sha256}")
