"""The stage: one picture, two models, a handle between their answers, and a race of both."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import streamlit as st
from streamlit import runtime

from engine.comparison.comparison import Comparison
from engine.comparison.latency import plan_race
from engine.comparison.records import FLOAT32
from engine.core import formats
from engine.core.errors import PictureError
from engine.core.limits import LIMITS
from engine.core.types import ORIGINAL, IntArray
from engine.images.pictures import Picture
from engine.reporting.picture_cards import (
    MOST_CLASSES,
    AnswerCard,
    PairCard,
    measure_telling,
    pair_card,
    rank_by_telling,
)
from engine.reporting.plots.palette import marker_address, style_of
from engine.reporting.text import flips as sentences
from engine.runs.run import Run
from engine.tasks.evaluation import Evaluation
from pages.inputs.labels import labels_by_row
from pages.inputs.pictures import take_photos
from pages.state import session
from pages.state.evaluation import key_of
from pages.state.session import GALLERY_SIDE, STAGE_SIDE, thumbnail_of
from pages.views.figures import load_component

MOST_LISTED = 24
_FEWEST = 6
_RACING = 12
_component = load_component("stage")


@st.fragment
def show_stage(evaluation: Evaluation, variant: str, *, key: str = "stage") -> None:
    """Show one picture between the reference and a variant, with the pictures that tell most.

    The browser moves the handle, turns to other pictures and runs the race alone; it asks only for
    pictures that it has in small. Photos that are dropped on the stage become the person's own.

    Args:
        evaluation: The answers.
        variant: One of its variants.
        key: Tells one stage of a page from another.
    """
    labels = labels_by_row(evaluation.run, evaluation.pictures)
    name = f"{key_of(evaluation)} {variant} {labels.tolist()}"
    order, changed = _rank(name, evaluation, variant, labels)
    rows = _choose_rows(evaluation, order, changed)
    _mount(_Stage(evaluation, variant, labels, key, name).data(rows, order, changed), key)


def show_coming_photo(run: Run, *, key: str = "stage") -> None:
    """Show the photo that came last, if there is one, while models are about to answer it.

    Args:
        run: Whose models answer.
        key: Of the stage that will show the answers.
    """
    newest = session.newest_pictures()
    pictures = [picture for picture in session.pictures() if picture.sha256 in newest]
    if not pictures:
        return
    caption = sentences.say_answers_are_coming(pictures[-1].name, len(run.columns))
    no_answer = {"name": "", "marker": "", "hue": "", "costs": ()}
    data = {
        "token": caption,
        "label": caption,
        "handle": caption,
        "values": caption,
        "left": no_answer,
        "right": no_answer,
        "items": [_unanswered(pictures[-1], caption)],
        "headline": "",
        "race": {"headline": "", "lanes": []},
    }
    _mount({**data, **_always()}, key)


def _unanswered(picture: Picture, caption: str) -> dict[str, Any]:
    return {
        "id": _id(picture),
        "changed": False,
        "small": address_of(picture, GALLERY_SIDE),
        "large": address_of(picture, STAGE_SIDE),
        "caption": caption,
        "spoken": caption,
        "stamp": "",
        "change": "",
        "left": ("", ""),
        "right": ("", ""),
        "classes": (),
    }


def _mount(data: dict[str, Any], key: str) -> None:
    def take() -> None:
        take_photos(st.session_state[key].get("dropped") or ())

    shown = _component(key=key, data=data, on_wanted_change=lambda: None, on_dropped_change=take)
    if shown.get("dropped"):
        st.rerun()


def _always() -> dict[str, Any]:
    """Give what does not depend on the answers."""
    return {
        "rows": MOST_CLASSES,
        "words": dict(sentences.STAGE_WORDS),
        "most": LIMITS.picture_bytes,
    }


@st.cache_data(scope="session", max_entries=16, show_spinner=False)
def _rank(
    name: str, _evaluation: Evaluation, _variant: str, _labels: IntArray
) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Order the pictures by what they tell, and say of each whether its answer changed."""
    telling = measure_telling(_evaluation, _variant, _labels)
    return rank_by_telling(telling), tuple(telling.changed.tolist())


@st.cache_data(scope="session", max_entries=16, show_spinner=False)
def _describe_rows(
    name: str, rows: tuple[int, ...], _evaluation: Evaluation, _variant: str, _labels: IntArray
) -> list[dict[str, Any]]:
    """Give the browser what both models answer on the pictures of some rows."""
    cards = [pair_card(_evaluation, _variant, row, int(_labels[row])) for row in rows]
    return [{"change": sentences.write_change(card), **describe_answers(card)} for card in cards]


def _choose_rows(
    evaluation: Evaluation, order: Sequence[int], changed: Sequence[bool]
) -> list[int]:
    """List the pictures of the film strip, the one to begin with first.

    They are those whose answer changed and, up to `_FEWEST`, the closest calls. The first is the
    most telling of the photos that came last, or of all.
    """
    newest = session.newest_pictures()
    new = (row for row in order if evaluation.pictures[row].sha256 in newest)
    first = next(new, order[0])
    flips = list(dict.fromkeys([first, *(row for row in order if changed[row])]))
    return list(dict.fromkeys([*flips, *order[:_FEWEST]]))[: max(len(flips), _FEWEST)][:MOST_LISTED]


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the browser is given, as JSON.

    Attributes:
        evaluation: The answers.
        variant: The variant on the right.
        labels: Right answers, shape (pictures,), -1 for unknown.
        key: Of the component.
        name: Tells answers, variant and labels from all others.
    """

    evaluation: Evaluation
    variant: str
    labels: IntArray
    key: str
    name: str

    def data(
        self, rows: Sequence[int], order: Sequence[int], changed: Sequence[bool]
    ) -> dict[str, Any]:
        """Gather everything: ``rows`` are listed, ``order`` and ``changed`` cover all pictures."""
        comparison = self.evaluation.comparison
        listed = [changed[row] for row in rows]
        first = _id(self._picture(rows[0]))
        return {
            "token": f"{key_of(self.evaluation)} {self.variant} {first}",
            "label": sentences.stage_label(comparison, self.variant),
            "handle": sentences.handle_label(comparison, self.variant),
            "values": sentences.handle_values(comparison, self.variant),
            "left": self._side(comparison.reference),
            "right": self._side(self.variant),
            "items": self._items(rows, changed, self._large(rows)),
            "headline": sentences.strip_headline(self.variant, sum(changed), len(changed), listed),
            "race": self._race(dict.fromkeys([*rows, *order])),
            "landed": first if self._picture(rows[0]).sha256 in session.newest_pictures() else "",
            **_always(),
        }

    def _large(self, rows: Sequence[int]) -> set[int]:
        """Choose the pictures that are sent large: the first ones, and those asked for so far."""
        asked: set[str] = st.session_state.setdefault(_ASKED, set())
        wanted = st.session_state.get(self.key, {}).get("wanted")
        asked |= {_id(self._picture(row)) for row in rows} & {wanted}
        return {row for row in rows if row in rows[:2] or _id(self._picture(row)) in asked}

    def _picture(self, row: int) -> Picture:
        return self.evaluation.pictures[row]

    def _side(self, column: str) -> dict[str, Any]:
        return describe_side(self.evaluation.comparison, column)

    def _items(
        self, rows: Sequence[int], changed: Sequence[bool], large: set[int]
    ) -> list[dict[str, Any]]:
        described = _describe_rows(
            self.name, tuple(rows), self.evaluation, self.variant, self.labels
        )
        return [
            {
                "id": _id(self._picture(row)),
                "changed": changed[row],
                "small": address_of(self._picture(row), GALLERY_SIDE),
                "large": address_of(self._picture(row), STAGE_SIDE) if row in large else "",
                **answers,
            }
            for row, answers in zip(rows, described, strict=True)
        ]

    def _race(self, rows: Iterable[int]) -> dict[str, Any]:
        comparison = self.evaluation.comparison
        reference = comparison.reference
        first = (FLOAT32, reference) if reference == ORIGINAL else (reference, FLOAT32)
        race = plan_race(comparison.latency, self.variant, first)
        if race is None or comparison.latency is None:
            run = self.evaluation.run.folder.name
            return {"headline": sentences.no_race(comparison, self.variant, run), "lanes": []}
        pictures = [self._picture(row) for row in islice(rows, _RACING)]
        return {
            "headline": sentences.race_headline(race, comparison.latency),
            "result": sentences.race_result(race),
            "calls": race.calls,
            "lanes": [
                {**self._side(entry.variant), "ms": entry.median_ms}
                for entry in (race.rival, race.variant)
            ],
            "pictures": [address_of(picture, GALLERY_SIDE) for picture in pictures],
        }


_ASKED = "qlab_stage_asked"


def describe_side(comparison: Comparison, column: str) -> dict[str, Any]:
    """Give the browser the name, looks and costs of a model."""
    return {
        "name": formats.title_at_start(column),
        "marker": marker_address(column),
        "hue": style_of(column).hue,
        "costs": sentences.costs(comparison, column),
    }


def describe_answers(card: PairCard) -> dict[str, Any]:
    """Give the browser what two models answer on a picture, and what they believe of classes."""
    return {
        "caption": sentences.caption(card),
        "stamp": sentences.write_stamp(card),
        "spoken": sentences.both_answers(card),
        "left": _answer(card.reference),
        "right": _answer(card.variant),
        "classes": [
            [
                pair.name,
                *(_number(share) for share in (pair.reference, pair.variant)),
                *(formats.percent(share) for share in (pair.reference, pair.variant)),
            ]
            for pair in card.classes
        ],
    }


def _id(picture: Picture) -> str:
    return picture.sha256[:16]


def _answer(card: AnswerCard) -> list[str]:
    return [card.label or sentences.BROKEN_ANSWER, card.percent]


def _number(share: float) -> float:
    """JSON has no NaN: the bar of a broken answer is empty, and its text says why."""
    return 0.0 if math.isnan(share) else round(share, 4)


def address_of(picture: Picture, side: int) -> str:
    """Serve a small copy of a picture as Streamlit serves images; empty where there is none."""
    try:
        content = thumbnail_of(picture, side).partition(",")[2]
    except PictureError:
        return ""
    manager = runtime.get_instance().media_file_mgr
    coordinates = f"stage_{side}_{picture.sha256}"
    # A script run that is cut short drops what it did not come to, which the browser may be about
    # to fetch; downloads alone outlive one such run.
    return manager.add(
        base64.b64decode(content), "image/jpeg", coordinates, is_for_static_download=True
    )
