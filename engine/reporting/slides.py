"""What the slides of a run show: which of them there are, and what their two drawings hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from engine.comparison.comparison import Comparison
from engine.comparison.layers.records import LayerErrors
from engine.comparison.recommendation import Choice, candidates, difference_of
from engine.comparison.records import FLOAT32, Flip, VariantComparison
from engine.core.errors import EngineError
from engine.core.types import IntArray
from engine.reporting import plots
from engine.reporting.picture_cards import measure_telling, rank_by_telling
from engine.reporting.plots import figures
from engine.reporting.plots.frame import headline_of
from engine.reporting.text.layers import culprits, where_lost
from engine.runs.run import Run
from engine.tasks.evaluation import Evaluation
from engine.tasks.improve import improvable, name_optimized

Kind = Literal["claim", "stage", "trade_off", "flip", "won_back", "kit", "report"]
_TICKS = 5
_FEWEST_POINTS = 2


@dataclass(frozen=True, slots=True)
class Point:
    """One mark of the trade-off.

    Attributes:
        variant: Whose it is.
        x: 0 at the left edge, 1 at the right one.
        y: 0 at the lower edge, 1 at the upper one.
        size: Of the mark, in pixels of the figure of Result.
        pale: Whether the variant keeps too few answers.
        order: Its turn: the original's file comes first, what is recommended last.
    """

    variant: str
    x: float
    y: float
    size: float
    pale: bool
    order: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A text at a place of an axis or of a drawing; coordinates are those of `Point`."""

    text: str
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class TradeOff:
    """The trade-off of Result, as shares of its axes.

    Attributes:
        headline: What it shows.
        points: In the order in which they appear.
        labels: Their names; one for marks on the same spot.
        x_title: Quantity, unit and which way is good.
        y_title: The same of the other axis.
        x_ticks: Along the lower edge.
        y_ticks: Along the left edge.
        taken: The recommended variant; empty where there is none.
    """

    headline: str
    points: tuple[Point, ...]
    labels: tuple[Mark, ...]
    x_title: str
    y_title: str
    x_ticks: tuple[Mark, ...]
    y_ticks: tuple[Mark, ...]
    taken: str


@dataclass(frozen=True, slots=True)
class LossLine:
    """Signal over error along the network on one picture, as shares of its axes.

    Attributes:
        sentence: Where most is lost, and why.
        cumulative: Places of the network's own line, from input to logits.
        alone: Places of the operators on their own.
        culprit: The operator that loses most, above; its text is empty where none stands out.
        x_title: What lies along the lower edge.
        y_title: Quantity, unit and which way is good.
        y_ticks: Along the left edge.
    """

    sentence: str
    cumulative: tuple[tuple[float, float], ...]
    alone: tuple[tuple[float, float], ...]
    culprit: Mark
    x_title: str
    y_title: str
    y_ticks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class FlipOfVariant:
    """A changed answer, and who gave it.

    Attributes:
        variant: Who.
        flip: The change.
    """

    variant: str
    flip: Flip


def first_row(evaluation: Evaluation, variant: str, labels: IntArray) -> int:
    """Find the row of the picture that tells most about a variant, with which the stage begins."""
    return rank_by_telling(measure_telling(evaluation, variant, labels))[0]


def choose_flip(evaluation: Evaluation, choice: Choice, labels: IntArray) -> FlipOfVariant | None:
    """Choose the changed answer to explain: the most telling of the variant that is recommended.

    Where that one changes none, it is one of the variant that it improves, or of the first other
    sound one that changes any; None where no answer changes.
    """
    comparison = evaluation.comparison
    about = None if choice.about is None else choice.about.variant
    pair = choose_pair(evaluation.run, comparison, choice)
    preferred = [about, None if pair is None else pair[0].variant]
    sides = sorted(
        (side for side in comparison.variants if side.fault is None and side.flips),
        key=lambda side: (
            preferred.index(side.variant) if side.variant in preferred else len(preferred)
        ),
    )
    for side in sides:
        flips = {flip.index: flip for flip in side.flips}
        order = rank_by_telling(measure_telling(evaluation, side.variant, labels))
        for row in order:
            if row in flips:
                return FlipOfVariant(side.variant, flips[row])
    return None


def choose_pair(
    run: Run, comparison: Comparison, choice: Choice
) -> tuple[VariantComparison, VariantComparison] | None:
    """Choose an integer variant and its optimized counterpart; None where the run has no pair.

    The pair whose counterpart is recommended comes before others.
    """
    sides = {side.variant: side for side in comparison.variants}
    about = None if choice.about is None else choice.about.variant
    pairs = [
        (sides[name], sides[better])
        for name in improvable(run)
        if name in sides and (better := _name_optimized(run, name)) in sides
    ]
    sound = [
        (before, after)
        for before, after in pairs
        if all(
            side.fault is None and math.isfinite(difference_of(side)) for side in (before, after)
        )
        and difference_of(before) > 0
    ]
    return min(sound, key=lambda pair: pair[1].variant != about, default=None)


def _name_optimized(run: Run, variant: str) -> str:
    try:
        return name_optimized(run, variant)
    except EngineError:  # it has no counterpart
        return ""


def draw_trade_off(comparison: Comparison, choice: Choice) -> TradeOff | None:
    """Take the trade-off of Result apart, for a drawing that moves; None below two marks."""
    figure = figures.trade_off(comparison, choice)
    traces = {trace.name: trace for trace in figure.data if trace.name}
    if len(traces) < _FEWEST_POINTS:
        return None
    x_of, y_of = _share_of(figure.layout.xaxis), _share_of(figure.layout.yaxis)
    taken = "" if choice.taken is None else choice.taken.variant
    names = [c.variant for c in candidates(comparison) if c.variant in traces]
    names.sort(key=lambda name: (name == taken, name != FLOAT32))
    points = tuple(
        Point(
            name,
            x_of.at(float(traces[name].x[0])),
            y_of.at(float(traces[name].y[0])),
            float(traces[name].marker.size),
            traces[name].opacity is not None,
            order,
        )
        for order, name in enumerate(names)
    )
    return TradeOff(
        headline=headline_of(figure),
        points=points,
        labels=tuple(
            # A label's place along a logarithmic axis is a logarithm already.
            Mark(label.text, x_of.at_position(label.x), y_of.at(label.y))
            for label in figure.layout.annotations
            if label.xref != "paper"
        ),
        x_title=figure.layout.xaxis.title.text,
        y_title=figure.layout.yaxis.title.text,
        x_ticks=tuple(Mark(f"{value:g}", x=x_of.at(value)) for value in x_of.ticks()),
        y_ticks=tuple(Mark(f"{value:g}", y=y_of.at(value)) for value in y_of.ticks()),
        taken=taken if taken in traces else "",
    )


def draw_loss_line(errors: LayerErrors) -> LossLine | None:
    """Take the layer line of one picture apart, as the explanation of a changed answer draws it.

    Returns:
        The line; None where no operator of it has a finite ratio.
    """
    named = culprits(errors)[:1]
    figure = plots.layer_line(errors, named)
    lines = {trace.name: list(zip(trace.x, trace.y, strict=True)) for trace in figure.data}
    everything = [point for line in lines.values() for point in line]
    if not lines["cumulative"]:
        return None
    across = _Axis(min(x for x, _ in everything), max(x for x, _ in everything))
    high = max(y for _, y in everything)
    up = _Axis(min(0.0, min(y for _, y in everything)), high + 0.08 * abs(high))

    def shares(name: str) -> tuple[tuple[float, float], ...]:
        return tuple((across.at(x), up.at(y)) for x, y in lines[name])

    return LossLine(
        sentence=where_lost(errors),
        cumulative=shares("cumulative"),
        alone=shares("on its own"),
        culprit=Mark(named[0].title, x=across.at(named[0].index)) if named else Mark(""),
        x_title=figure.layout.xaxis.title.text,
        y_title=figure.layout.yaxis.title.text,
        y_ticks=tuple(Mark(f"{value:g}", y=up.at(value)) for value in up.ticks()),
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """An axis from its left or lower end to the other one.

    Attributes:
        start: Value at the start; its logarithm where the axis is logarithmic.
        end: The same at the end.
        logarithmic: Whether it is.
        values: Values to write, where the figure names them.
    """

    start: float
    end: float
    logarithmic: bool = False
    values: Sequence[float] = ()

    def at(self, value: float) -> float:
        return self.at_position(math.log10(value) if self.logarithmic else value)

    def at_position(self, position: float) -> float:
        return (position - self.start) / ((self.end - self.start) or 1.0)

    def ticks(self) -> tuple[float, ...]:
        inside = tuple(value for value in self.values if 0 <= self.at(value) <= 1)
        return inside or tuple(self._round_values())

    def _round_values(self) -> Iterator[float]:
        low, high = sorted((self.start, self.end))
        rough = (high - low) / _TICKS or 1.0
        decade: float = 10.0 ** math.floor(math.log10(rough))
        step = next(decade * factor for factor in (1, 2, 5, 10) if decade * factor >= rough)
        for count in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
            yield round(count * step, 12)


def _share_of(axis: go.layout.XAxis | go.layout.YAxis) -> _Axis:
    start, end = map(float, axis.range)
    logarithmic = axis.type == "log"
    return _Axis(start, end, logarithmic, tuple(axis.tickvals or ()))
