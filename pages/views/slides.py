"""Demo mode: a run as slides, of which those that have results are there."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import segno
import streamlit as st
from streamlit import runtime

from engine.comparison.layers.records import LayerErrors
from engine.comparison.recommendation import Choice, difference_of
from engine.comparison.records import VariantComparison
from engine.core import formats
from engine.core.types import IntArray
from engine.deployment.documents import deploy_headline
from engine.deployment.golden_set import SCRIPT, CheckedKit, check_kit
from engine.deployment.kit import kit_file, make_kit
from engine.images.labels import UNLABELLED
from engine.reporting import slides
from engine.reporting.picture_cards import pair_card
from engine.reporting.plots.palette import style_of
from engine.reporting.report import report_of
from engine.reporting.text import flips as flip_sentences
from engine.reporting.text import improve as improve_sentences
from engine.reporting.text import overview as sentences
from engine.reporting.text.runs import reference_title
from engine.runs.labels import Tags
from engine.tasks import layers as layers_task
from engine.tflite.artifact import computes_in_integers
from engine.workers.jobs import Job
from pages.access.auth import shared
from pages.inputs.labels import labels_by_row, tags_on_show
from pages.shell.navigation import demo_is_on, leave_demo
from pages.state import conversion as first_start
from pages.state import jobs, session
from pages.state.evaluation import Evaluation, evaluation_or_wait, key_of, needed
from pages.state.session import GALLERY_SIDE, STAGE_SIDE
from pages.views.accuracy import with_labels_on_show
from pages.views.figures import load_component
from pages.views.flips import JOB as FLIP_JOB
from pages.views.overview import recommend_at_need
from pages.views.stage import address_of, describe_answers, describe_side

_CHECK_JOB, _REPORT_JOB = "slides_check", "slides_report"
_RESULTS = "qlab_slides"
_LOOKED_AT_EVERY = 1.0
_MOST_WON_BACK = 3
_KEY = "slides"
_component = load_component("slides")
_NAMES: dict[slides.Kind, str] = {
    "claim": "The result",
    "stage": "One picture, two models",
    "trade_off": "The trade-off",
    "flip": "The one that flips, and why",
    "won_back": "Won back",
    "kit": "Ready to ship",
    "report": "The report",
}
_WORDS = {
    "label": "Slides",
    "leave": "Leave the slides",
    "keys": "← → turn · F full screen · Esc leaves",
    "download": "Download the report",
    "alone": "each layer on its own",
    "cumulative": "cumulative",
}


def show_slides() -> None:
    """Show the run on show as slides; without one, make the first comparison and show its progress.

    Nothing is computed before the first slide but the comparison. What the others need is computed
    by jobs, and each joins when it is there.
    """
    if session.current_run() is None or first_start.under_way():
        first_start.show_making()
    evaluation = evaluation_or_wait()
    labels = labels_by_row(evaluation.run, evaluation.pictures)
    tags = tags_on_show(evaluation.run, evaluation.pictures)
    deck = _Deck(with_labels_on_show(evaluation), recommend_at_need(evaluation), labels, tags)
    waiting = deck.start()
    st.fragment(_show, run_every=_LOOKED_AT_EVERY if waiting else None)(deck, waiting)


def _show(deck: _Deck, waiting: bool) -> None:
    if not demo_is_on():  # a callback has the fragment run alone
        st.rerun()
    _component(key=_KEY, data=deck.data(), on_left_change=leave_demo)
    if waiting and not deck.waits():
        st.rerun()


@dataclass(frozen=True, slots=True)
class _Deck:
    """What the browser is given, as JSON.

    Attributes:
        evaluation: The answers, with accuracy where right answers are there.
        choice: The recommendation.
        labels: Right answers, shape (pictures,), -1 for unknown.
        tags: Of each picture.
    """

    evaluation: Evaluation
    choice: Choice
    labels: IntArray
    tags: Tags

    def start(self) -> bool:
        """Start the work that slides need, once; tell whether any is under way."""
        evaluation, flip, kit = self.evaluation, self._flip(), self._kit()
        run, pictures = evaluation.run, evaluation.pictures
        if flip is not None and self._explained(flip) and self._errors(flip) is None:
            picture = pictures[flip.flip.index]

            def follow(job: Job[bool], variant: str = flip.variant) -> bool:
                layers_task.layers(run, variant, (picture,), job)
                return True

            self._begin(FLIP_JOB, f"Following {picture.name} through {flip.variant}", follow)
        if kit is not None and _result(_CHECK_JOB, str(kit)) is None:
            reference = evaluation.comparison.reference
            variant = self._about

            def check(job: Job[CheckedKit]) -> CheckedKit:
                if not kit.is_file():
                    make_kit(run, variant, pictures, job, reference=reference, target=self._target)
                return check_kit(kit, job)

            self._begin(_CHECK_JOB, f"Checking the kit of {variant}", check)
        if _result(_REPORT_JOB, self._report_key()) is None:
            self._begin(_REPORT_JOB, "Writing the report", partial(_write_report, self))
        return self.waits()

    def _begin(self, key: str, title: str, work: Any) -> None:
        about = self._about_job(key)
        if jobs.get(key, about=about) is None:  # one that failed is not tried with every look
            jobs.start(key, title, work, about=about)

    def _about_job(self, key: str) -> str:
        if key == _REPORT_JOB:
            return self._report_key()
        if key == _CHECK_JOB:
            return str(self._kit())
        flip = self._flip()
        assert flip is not None
        picture = self.evaluation.pictures[flip.flip.index]
        return f"{self.evaluation.run.folder} {flip.variant} {picture.sha256}"

    def waits(self) -> bool:
        """Tell whether work for a slide is under way; take what is done."""
        active = False
        for key in (FLIP_JOB, _CHECK_JOB, _REPORT_JOB):
            if key == FLIP_JOB and self._flip() is None:
                continue
            about = self._about_job(key)
            job = jobs.get(key, about=about)
            active = active or (job is not None and job.active)
            if (result := jobs.take(key, about=about)) is not None:
                st.session_state.setdefault(_RESULTS, {})[key] = (about, result)
        return active

    @property
    def _about(self) -> str:
        return "" if self.choice.about is None else self.choice.about.variant

    def _flip(self) -> slides.FlipOfVariant | None:
        return slides.choose_flip(self.evaluation, self.choice, self.labels)

    def _explained(self, flip: slides.FlipOfVariant) -> bool:
        return computes_in_integers(self.evaluation.run.artifact(flip.variant))

    def _errors(self, flip: slides.FlipOfVariant) -> LayerErrors | None:
        picture = self.evaluation.pictures[flip.flip.index]
        return layers_task.read_layer_errors(self.evaluation.run, flip.variant, (picture,))

    def _kit(self) -> Path | None:
        """Name the kit of the recommended variant, where one can be made."""
        run, taken = self.evaluation.run, self.choice.taken
        if taken is None or taken.variant not in run.runnable:
            return None
        return kit_file(run, taken.variant, self.evaluation.pictures, self._target)

    @property
    def _target(self) -> str | None:
        return None if self.choice.destination is None else self.choice.destination.target

    def _report_key(self) -> str:
        given = jobs.digest(self.labels.tolist(), self.tags)
        return f"{key_of(self.evaluation)} {needed()} {self.choice.destination} {given}"

    def data(self) -> dict[str, Any]:
        """Gather the slides that have results, in their order."""
        contents: dict[slides.Kind, dict[str, Any] | None] = {
            "claim": self._claim(),
            "stage": self._stage(),
            "trade_off": self._trade_off(),
            "flip": self._flip_slide(),
            "won_back": self._won_back(),
            "kit": self._kit_slide(),
            "report": self._report(),
        }
        return {
            "words": _WORDS,
            "slides": [
                {"kind": kind, "name": _NAMES[kind], **content}
                for kind, content in contents.items()
                if content is not None
            ],
        }

    def _claim(self) -> dict[str, Any]:
        comparison, choice = self.evaluation.comparison, self.choice
        chip, run = sentences.chip(choice), self.evaluation.run
        return {
            "model": run.manifest.model.name,
            "side": describe_side(comparison, self._about) if self._about else None,
            "headline": sentences.headline(comparison, choice),
            "chip": None if chip is None else asdict(chip),
            "tiles": [asdict(tile) for tile in sentences.tiles(comparison, choice)],
            "proof": sentences.proof(choice),
            "note": sentences.describe_measurement(comparison, run.manifest.created_at),
        }

    def _stage(self) -> dict[str, Any] | None:
        if not self._about:
            return None
        row = slides.first_row(self.evaluation, self._about, self.labels)
        return self._pair(self._about, row)

    def _pair(self, variant: str, row: int) -> dict[str, Any]:
        comparison = self.evaluation.comparison
        card = pair_card(self.evaluation, variant, row, int(self.labels[row]))
        answers = describe_answers(card)
        return {
            "headline": flip_sentences.pair_headline(card),
            "photo": address_of(card.picture, STAGE_SIDE),
            "sides": [
                describe_side(comparison, column) for column in (comparison.reference, variant)
            ],
            **answers,
        }

    def _trade_off(self) -> dict[str, Any] | None:
        drawing = slides.draw_trade_off(self.evaluation.comparison, self.choice)
        if drawing is None:
            return None
        looks = {
            point.variant: describe_side(self.evaluation.comparison, point.variant)
            for point in drawing.points
        }
        advice = sentences.recommendation(self.choice)
        reason = sentences.reason(self.evaluation.comparison, self.choice)
        return {**asdict(drawing), "looks": looks, "advice": f"{advice}.", "reason": reason}

    def _flip_slide(self) -> dict[str, Any] | None:
        chosen = self._flip()
        if chosen is None:
            return None
        line = None
        if self._explained(chosen):
            errors = self._errors(chosen)
            if errors is None:
                return None
            drawing = slides.draw_loss_line(errors)
            line = None if drawing is None else asdict(drawing)
        variant, flip = chosen.variant, chosen.flip
        return {
            **self._pair(variant, flip.index),
            "headline": flip_sentences.flip_headline(self.evaluation, variant, flip),
            "why": flip_sentences.flip_margin(self.evaluation, variant, flip),
            "line": line,
        }

    def _won_back(self) -> dict[str, Any] | None:
        comparison = self.evaluation.comparison
        pair = slides.choose_pair(self.evaluation.run, comparison, self.choice)
        if pair is None:
            return None
        before, after = pair
        change = improve_sentences.flip_change(before, after)
        whom = reference_title(comparison)
        return {
            "headline": improve_sentences.improvement_headline(before, after, whom),
            "measure": f"Logit rms to {whom} (less is closer)",
            "bars": list(_bars(before, after)),
            "sentence": improve_sentences.flips_sentence(before, after),
            "photos": [
                {
                    "address": address_of(self.evaluation.pictures[flip.index], GALLERY_SIDE),
                    "label": f"{self.evaluation.label(flip.reference_class)}: won back",
                }
                for flip in change.won_back[:_MOST_WON_BACK]
            ],
        }

    def _kit_slide(self) -> dict[str, Any] | None:
        kit = self._kit()
        checked = None if kit is None else _result(_CHECK_JOB, str(kit))
        if kit is None or not isinstance(checked, CheckedKit) or not kit.is_file():
            return None
        run, variant = self.evaluation.run, self._about
        name = f"{run.manifest.model.file_stem}_{variant}_kit.zip"
        size = run.artifact(variant).bytes
        return {
            "headline": deploy_headline(variant, size, run.manifest.float32_bytes),
            "commands": [f"unzip -q {name} -d kit", f"python kit/{SCRIPT}"],
            "output": checked.output,
            "passed": checked.passed,
            "note": f"The kit is one zip of {formats.megabytes(kit.stat().st_size)}: model, golden "
            "set, Python script, Kotlin and Swift, model card.",
        }

    def _report(self) -> dict[str, Any] | None:
        report = _result(_REPORT_JOB, self._report_key())
        if not isinstance(report, bytes):
            return None
        run = self.evaluation.run
        manager = runtime.get_instance().media_file_mgr
        path = manager.add(report, "text/html", f"{_KEY}_report")
        size = formats.megabytes(len(report))
        content = {
            "path": path,
            "file": f"{run.manifest.model.file_stem}.html",
            "size": f"One file of {size} with all figures, plots and pictures. It opens offline.",
        }
        address = address_of_report(st.context.url, path)
        if address is None:
            return {**content, "headline": "Take the report with you", "why": say_no_code()}
        code = segno.make(address, error="m", micro=False)
        return {
            **content,
            "headline": "The report on your phone",
            "why": "Point your camera at the code. The link works while these slides are open.",
            "code": code.svg_data_uri(border=4),
            "address": address,
        }


def _bars(*sides: VariantComparison) -> Iterator[dict[str, Any]]:
    largest = max(difference_of(side) for side in sides)
    for side in sides:
        yield {
            "name": side.variant,
            "hue": style_of(side.variant).hue,
            "share": difference_of(side) / largest,
            "text": formats.logits(difference_of(side)),
            "same": "Same answer on "
            + formats.count_or_percent(side.top1_agreement, len(side.reference_margins)),
        }


def _result(key: str, about: str) -> object:
    before, result = st.session_state.get(_RESULTS, {}).get(key, ("", None))
    return result if before == about else None


def _write_report(deck: _Deck, job: Job[bytes]) -> bytes:
    """Write the report of Result; a random end makes its address one that nobody can guess."""
    evaluation = deck.evaluation
    report = report_of(
        evaluation.run,
        evaluation.pictures,
        job,
        reference=evaluation.comparison.reference,
        labels=deck.labels if (deck.labels != UNLABELLED).any() else None,
        tags=deck.tags,
        need=deck.choice.need,
        destination=deck.choice.destination,
    )
    return f"{report.to_html()}\n<!-- {secrets.token_urlsafe(24)} -->\n".encode()


def address_of_report(dashboard: str | None, path: str) -> str | None:
    """Give the address by which a phone opens the report.

    Args:
        dashboard: Address of the dashboard in the browser that shows the slides.
        path: Of the report on the server; it begins with a slash.

    Returns:
        The address; None where the dashboard is not shared, or is open at an address of loopback,
        which leads a phone to itself.
    """
    if not shared() or not dashboard or _is_loopback(urlsplit(dashboard).hostname or ""):
        return None
    return urljoin(f"{dashboard.rstrip('/')}/", path.lstrip("/"))


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def say_no_code() -> str:
    """Say why there is no code to scan, and how to get one."""
    if shared():
        return (
            "A code for phones appears here once this page is open under the machine's address "
            "in the network, not under localhost."
        )
    return (
        "This dashboard answers this machine alone, so a phone cannot open it. After make share, "
        "a code to scan appears here."
    )
