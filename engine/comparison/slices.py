"""Slices: named groups of the pictures of an evaluation, and how models do on each.

A slice is held against the rest: all other pictures that could have been in it. That a variant
keeps fewer answers on it is said to be proven where both hold: the two Wilson intervals do not
overlap, and Fisher's exact test, multiplied by the number of slices (Bonferroni), is below 0.05.
The first alone would find a difference in one of many classes by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from engine.comparison.metrics import NO_ANSWER, fisher_exact, wilson_interval
from engine.comparison.records import plain
from engine.core import formats
from engine.core.parity import BoolArray
from engine.core.types import FloatArray, IntArray, Interval
from engine.images.labels import UNLABELLED

if TYPE_CHECKING:
    import pandas as pd

SliceKind = Literal["class", "answer", "brightness", "size", "tag"]
SLICE_KINDS: tuple[SliceKind, ...] = get_args(SliceKind)
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class SliceShare:
    """How one model does on the pictures of a slice.

    Attributes:
        model: ``original``, ``onnx`` or a variant.
        agreeing: On how many it answers like the reference.
        agreement_interval: Wilson score interval of that share.
        rest_agreeing: On how many pictures of the rest it answers like the reference.
        rest_interval: Wilson score interval of that share.
        proven_lower: Whether it is proven that it agrees less here than on the rest.
        right: On how many it gives the right answer; None where no picture has a label.
        right_interval: Wilson score interval of that share of the labelled pictures.
    """

    model: str
    agreeing: int
    agreement_interval: Interval
    rest_agreeing: int
    rest_interval: Interval
    proven_lower: bool
    right: int | None
    right_interval: Interval | None


@dataclass(frozen=True, slots=True)
class Slice:
    """A named group of pictures.

    Attributes:
        kind: What groups them.
        name: Name of the group, unique within its kind: a class, ``dark``, a person's tag.
        limits: From where to where it reaches, in words, brightness in percent of white and size
            in megapixels (MP); empty for classes, answers and tags.
        pictures: How many it has.
        rest: How many other pictures could have been in it.
        labelled: How many of its pictures have a right answer.
        shares: One for each model, the reference first.
    """

    kind: SliceKind
    name: str
    limits: str
    pictures: int
    rest: int
    labelled: int
    shares: tuple[SliceShare, ...]

    def of(self, model: str) -> SliceShare:
        """Select the figures of a model.

        Raises:
            KeyError: It is none of them.
        """
        share = next((share for share in self.shares if share.model == model), None)
        if share is None:
            raise KeyError(model)
        return share

    def agreement(self, model: str) -> float:
        """Share of its pictures on which a model answers like the reference, 0 to 1."""
        return self.of(model).agreeing / self.pictures


@dataclass(frozen=True, slots=True)
class Slices:
    """How models do on named groups of pictures.

    Attributes:
        run: Name of the run.
        reference: What the variants are compared with.
        variants: The models beside it.
        pictures: How many pictures there are in all.
        slices: By kind; classes and answers with the most pictures first, brightness and size
            upwards, tags by name.
    """

    run: str
    reference: str
    variants: tuple[str, ...]
    pictures: int
    slices: tuple[Slice, ...]

    def of(self, kind: SliceKind) -> tuple[Slice, ...]:
        """Select the slices of a kind."""
        return tuple(part for part in self.slices if part.kind == kind)

    def weakest(self, variant: str) -> Slice | None:
        """Find the slice on which a variant agrees least, of those where that is proven."""
        proven = (part for part in self.slices if part.of(variant).proven_lower)
        return min(proven, key=lambda part: part.agreement(variant), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Give all figures in plain Python types, ready for JSON; intervals are [low, high]."""
        return {
            "run": self.run,
            "reference": self.reference,
            "variants": list(self.variants),
            "pictures": self.pictures,
            "slices": [plain(part) for part in self.slices],
        }

    def to_frame(self) -> pd.DataFrame:
        """Give one row for each slice and model; ends of intervals end in ``_low``, ``_high``."""
        import pandas as pd

        rows = []
        for part in self.slices:
            for share in part.shares:
                right = share.right_interval
                rows.append(
                    {
                        "kind": part.kind,
                        "slice": part.name,
                        "limits": part.limits,
                        "model": share.model,
                        "pictures": part.pictures,
                        "agreeing": share.agreeing,
                        "agreement": share.agreeing / part.pictures,
                        "agreement_low": share.agreement_interval.low,
                        "agreement_high": share.agreement_interval.high,
                        "rest": part.rest,
                        "rest_agreeing": share.rest_agreeing,
                        "proven_lower": share.proven_lower,
                        "labelled": part.labelled,
                        "right": share.right,
                        "right_low": None if right is None else right.low,
                        "right_high": None if right is None else right.high,
                    }
                )
        return pd.DataFrame(rows)


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """What pictures are grouped by, in the order of the rows.

    Attributes:
        labels: Right answer of each, shape (pictures,), -1 for unknown; None for none at all.
        brightness: Mean brightness of each, 0 (black) to 1 (white), shape (pictures,).
        megapixels: Width times height of each, in millions, shape (pictures,).
        tags: The tags that a person gave each.
    """

    labels: IntArray | None
    brightness: FloatArray
    megapixels: FloatArray
    tags: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Group:
    """A slice before anything is counted; its masks are of shape (pictures,)."""

    kind: SliceKind
    name: str
    members: BoolArray = field(repr=False)
    others: BoolArray = field(repr=False)
    limits: str = ""


def make_slices(
    run: str,
    reference: str,
    answers: Mapping[str, IntArray],
    traits: Traits,
    name_of: Callable[[int], str],
) -> Slices:
    """Group pictures, and count on each group how often models agree and are right.

    Args:
        run: Name of the run.
        reference: One of the models.
        answers: First class of each model, shape (pictures,); `metrics.NO_ANSWER` for NaN or Inf,
            which agrees with nothing and is never right.
        traits: What to group the pictures by.
        name_of: Names a class.

    Returns:
        The slices; brightness and size have none where all pictures are alike.
    """
    groups = list(_groups(answers[reference], traits, name_of))
    tests = sum(bool(group.others.any()) for group in groups)
    models = (reference, *(model for model in answers if model != reference))
    parts = tuple(
        Slice(
            kind=group.kind,
            name=group.name,
            limits=group.limits,
            pictures=int(group.members.sum()),
            rest=int(group.others.sum()),
            labelled=int(_labelled(traits.labels, group.members).sum()),
            shares=tuple(
                _share(model, answers[model], answers[reference], group, traits.labels, tests)
                for model in models
            ),
        )
        for group in groups
    )
    return Slices(run, reference, models[1:], len(answers[reference]), parts)


def _labelled(labels: IntArray | None, members: BoolArray) -> BoolArray:
    return np.zeros_like(members) if labels is None else members & (labels != UNLABELLED)


def _share(
    model: str,
    answers: IntArray,
    reference: IntArray,
    group: _Group,
    labels: IntArray | None,
    tests: int,
) -> SliceShare:
    same = (answers == reference) & (answers != NO_ANSWER)
    agreeing, total = int(same[group.members].sum()), int(group.members.sum())
    rest_agreeing, rest = int(same[group.others].sum()), int(group.others.sum())
    here, there = wilson_interval(agreeing, total), wilson_interval(rest_agreeing, rest)
    lower = here.high < there.low and (
        fisher_exact(agreeing, total, rest_agreeing, rest) * tests < SIGNIFICANT
    )
    labelled = _labelled(labels, group.members)
    right = (
        None if labels is None or not labelled.any() else int((answers == labels)[labelled].sum())
    )
    return SliceShare(
        model=model,
        agreeing=agreeing,
        agreement_interval=here,
        rest_agreeing=rest_agreeing,
        rest_interval=there,
        proven_lower=lower,
        right=right,
        right_interval=None if right is None else wilson_interval(right, int(labelled.sum())),
    )


def _groups(first: IntArray, traits: Traits, name_of: Callable[[int], str]) -> Iterator[_Group]:
    if traits.labels is not None:
        yield from _by_class("class", traits.labels, name_of)
    yield from _by_class("answer", first, name_of)
    yield from _by_thirds("brightness", ("dark", "medium", "bright"), traits.brightness)
    yield from _by_thirds("size", ("small", "medium", "large"), traits.megapixels)
    given = [set(tags) for tags in traits.tags]
    for tag in sorted(set().union(*given)):
        members = np.array([tag in tags for tags in given], dtype=bool)
        yield _Group("tag", tag, members, ~members)


def _by_class(
    kind: SliceKind, indices: IntArray, name_of: Callable[[int], str]
) -> Iterator[_Group]:
    """Group by class index; below 0 there is none (`metrics.NO_ANSWER`, or no label)."""
    there = indices >= 0
    classes, counts = np.unique(indices[there], return_counts=True)
    names = [name_of(int(index)) for index in classes]
    for position in sorted(range(len(classes)), key=lambda at: (-counts[at], names[at])):
        members = indices == classes[position]
        twice = names.count(names[position]) > 1
        number = f" ({classes[position]})" if twice else ""
        yield _Group(kind, names[position] + number, members, there & ~members)


def _by_thirds(
    kind: SliceKind, names: tuple[str, str, str], values: FloatArray
) -> Iterator[_Group]:
    """Cut values at a third and two thirds of the pictures; equal values stay together."""
    low, high = np.quantile(values, (1 / 3, 2 / 3), method="inverted_cdf")
    thirds = (values <= low, (values > low) & (values <= high), values > high)
    filled = [third for third in thirds if third.any()]
    if len(filled) < 2:
        return
    called = names if len(filled) == 3 else (names[0], names[2])
    starts = [float(values[members].min()) for members in filled]
    for position, (name, members) in enumerate(zip(called, filled, strict=True)):
        start = _limit(kind, starts[position])
        if position == len(filled) - 1:
            limits = f"from {_with_unit(kind, starts[position])}"
        else:
            end = _with_unit(kind, starts[position + 1])
            limits = f"{start} to {end}" if position else f"below {end}"
        yield _Group(kind, name, members, ~members, limits)


def _limit(kind: SliceKind, value: float) -> str:
    return formats.decimal(value * 100, 0) if kind == "brightness" else formats.decimal(value, 2)


def _with_unit(kind: SliceKind, value: float) -> str:
    return formats.with_unit(_limit(kind, value), "%" if kind == "brightness" else "MP")
