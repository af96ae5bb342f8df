"""The HTML file of a report: figures, tables and pictures, with nothing loaded from outside."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from engine.comparison import recommendation as choosing
from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency
from engine.comparison.layers.records import LayerErrors
from engine.core import formats
from engine.core.types import FAULT_WORDS
from engine.reporting import plots, tables
from engine.reporting.glossary import GLOSSARY
from engine.reporting.picture_cards import picture_card
from engine.reporting.plots import figures
from engine.reporting.plots.frame import marker_image
from engine.reporting.text import layers as layer_sentences
from engine.reporting.text import overview as said
from engine.reporting.text import runs as sentences
from engine.tasks.evaluation import Evaluation

MOST_PICTURES = 40
_HEATMAP_ROWS = 30
_SCATTER_POINTS = 1500
_TEMPLATE = "report.html.jinja"
_FONT = Path(__file__).resolve().parent.parent.parent / "static" / "inter.woff2"


@dataclass(frozen=True, slots=True)
class Shown:
    """One figure of the page.

    Attributes:
        key: Unique on the page.
        headline: Its sentence.
        marks: Which of its variants are of no use; see `fault_marks`.
        figure: The figure, without its title.
        csv: What it draws, as a table.
    """

    key: str
    headline: str
    marks: tuple[str, ...]
    figure: go.Figure
    csv: str


def document(
    evaluation: Evaluation,
    timings: tuple[Latency, ...],
    layers: tuple[LayerErrors, ...],
    against: Comparison | None,
    need: float,
    data: dict[str, Any],
) -> str:
    """Render a report as one HTML page; the fields are those of `Report`, ``data`` its numbers."""
    comparison = evaluation.comparison
    found = choosing.candidates(comparison)
    choice = choosing.recommend(found, need)
    manifest = evaluation.run.manifest
    rows = figures.worst_rows(evaluation, MOST_PICTURES)
    first = choice.about
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            title=said.headline(comparison, choice),
            proof=said.proof(choice),
            measured=said.measured(comparison, manifest.created_at),
            recommendation=said.recommendation(choice),
            reason=said.reason(comparison, choice),
            notes=(*comparison.notes, *_timing_notes(comparison)),
            faults=comparison.faults,
            tiles=said.tiles(found),
            table=tables.comparison_table(comparison, tables.EVERYTHING),
            accuracy=_accuracy(comparison),
            against=_against(comparison, against),
            main=_shown(comparison, "trade-off", figures.trade_off(comparison)),
            common=tuple(_common(evaluation, timings, layers)),
            by_variant={v.variant: tuple(_of(evaluation, v.variant)) for v in comparison.variants},
            variant=first.variant if first is not None else None,
            pictures=tuple(picture_card(evaluation, row) for row in rows),
            left_out=len(comparison.pictures) - len(rows),
            pictures_headline=sentences.predictions_headline(comparison),
            manifest=manifest,
            details=sentences.details_headline(manifest),
            run=comparison.run,
            reference=comparison.reference,
            glossary=GLOSSARY,
            font=Markup(base64.b64encode(_FONT.read_bytes()).decode()),
            plotly=Markup(get_plotlyjs().replace("</script", "<\\/script")),
            data=_script(data),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["marker"] = lambda name: Markup(marker_image(name))
    environment.filters["figure"] = _figure_data
    environment.filters["megabytes"] = formats.megabytes
    environment.filters["margin"] = lambda value: formats.decimal(value, 2)
    return environment


def _figure_data(shown: Shown) -> Markup:
    plain = json.loads(shown.figure.to_json())
    return _script(
        {
            "data": plain["data"],
            "layout": {k: v for k, v in plain["layout"].items() if k != "template"},
            "headline": shown.headline,
            "csv": shown.csv,
        }
    )


def _script(value: Any) -> Markup:
    """JSON for a script element, which no text in it can end."""
    return Markup(json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"))


def _shown(comparison: Comparison, key: str, figure: go.Figure, headline: str = "") -> Shown:
    return Shown(
        key=key,
        marks=figures.fault_marks(figure, comparison.fault_by_variant),
        headline=headline or plots.headline_of(figure),
        figure=plots.without_title(figure),
        csv=plots.figure_csv(figure),
    )


def _common(
    evaluation: Evaluation, timings: tuple[Latency, ...], layers: tuple[LayerErrors, ...]
) -> Iterator[Shown]:
    run, comparison = evaluation.run, evaluation.comparison
    yield _shown(comparison, "differences", figures.difference_distribution(evaluation))
    rows = figures.most_moved_rows(comparison, _HEATMAP_ROWS)
    yield _shown(comparison, "pictures-moved", figures.difference_heatmap(evaluation, rows))
    if comparison.latency is not None:
        yield _shown(comparison, "latency", plots.latency_bars(comparison.latency))
        if comparison.latency.profiled:
            yield _shown(comparison, "operator-times", plots.operator_times(comparison.latency))
    if len(timings) > 1:
        yield _shown(comparison, "threads", plots.latency_violins(timings))
    yield _shown(comparison, "sizes", plots.size_bars(run.sizes, run.manifest.float32_bytes))
    yield _shown(comparison, "operators", plots.operator_counts(run.artifacts))
    for found in layers:
        named = layer_sentences.culprits(found)[:3]
        headline = layer_sentences.layers_headline(found)
        yield _shown(
            comparison, f"layers-{found.variant}", plots.layer_line(found, named), headline
        )
    yield _shown(comparison, "steps", plots.hop_ladder(run.manifest.stages))


def _of(evaluation: Evaluation, variant: str) -> Iterator[Shown]:
    comparison = evaluation.comparison
    yield _shown(comparison, f"margins-{variant}", figures.margin_loss(comparison, variant))
    yield _shown(
        comparison,
        f"scatter-{variant}",
        figures.logit_scatter(evaluation, variant, _SCATTER_POINTS),
    )
    if len(comparison.variant(variant).flips) > 1:
        yield _shown(comparison, f"changed-{variant}", figures.changed_classes(evaluation, variant))


def _timing_notes(comparison: Comparison) -> tuple[str, ...]:
    timed = comparison.latency
    note = "" if timed is None else said.timing_note(timed)
    return (note,) if note else ()


def _accuracy(comparison: Comparison) -> str:
    right = comparison.reference_accuracy
    if right is None:
        return ""
    return (
        f"{comparison.reference} is right on {formats.percent(right.top1)} of {right.pictures} "
        f"labelled pictures ({formats.interval(right.top1_interval)})."
    )


@dataclass(frozen=True, slots=True)
class Against:
    """Two runs side by side.

    Attributes:
        headline: What differs most.
        run: Name of the other run.
        rows: Variant, then size, latency, same answer and rms of both, and the difference of rms.
    """

    headline: str
    run: str
    rows: tuple[tuple[str, ...], ...]
    faults: Mapping[str, tuple[str, ...]]


def _against(comparison: Comparison, other: Comparison | None) -> Against | None:
    if other is None:
        return None
    ours = {c.variant: c for c in choosing.candidates(comparison)}
    theirs = {c.variant: c for c in choosing.candidates(other)}
    rows = tuple(
        (name, *_side_by_side(ours.get(name), theirs.get(name)))
        for name in dict.fromkeys((*ours, *theirs))
    )
    faults = {name: _faults_of(name, comparison, other) for name, *_ in rows}
    return Against(said.against_headline(comparison, other), other.run, rows, faults)


def _faults_of(variant: str, *comparisons: Comparison) -> tuple[str, ...]:
    return tuple(
        f"in {comparison.run} {FAULT_WORDS[comparison.fault_by_variant[variant]]}"
        for comparison in comparisons
        if variant in comparison.fault_by_variant
    )


def _side_by_side(
    one: choosing.Candidate | None, other: choosing.Candidate | None
) -> tuple[str, ...]:
    cells: list[str] = []
    for side in (one, other):
        if side is None:
            cells += [formats.UNKNOWN] * 4
            continue
        cells += [
            formats.megabytes(side.size_bytes),
            formats.milliseconds(side.latency_ms, side.timed_pictures),
            f"{side.kept} of {side.pictures}",
            formats.logits(side.difference),
        ]
    apart = formats.UNKNOWN
    if one is not None and other is not None:
        difference = one.difference - other.difference
        apart = f"{'+' if difference >= 0 else ''}{formats.logits(difference)}"
    paired = [cell for pair in zip(cells[:4], cells[4:], strict=True) for cell in pair]
    return (*paired, apart)
