"""The HTML file of a report: figures, tables and pictures, with nothing loaded from outside."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
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
from engine.comparison.robustness import Robustness
from engine.comparison.slices import Slices
from engine.core import formats
from engine.core.checksums import digest_of_file
from engine.core.types import FAULT_WORDS
from engine.reporting import plots, tables
from engine.reporting.glossary import GLOSSARY
from engine.reporting.layer_map import Block, Shade, fold_layers, group_blocks, shade_blocks
from engine.reporting.picture_cards import picture_card, thumbnail
from engine.reporting.plots import figures
from engine.reporting.plots.frame import HeadedFigure, split_headline
from engine.reporting.plots.palette import marker_image
from engine.reporting.text import accuracy as accuracy_sentences
from engine.reporting.text import layers as layer_sentences
from engine.reporting.text import overview as overview_sentences
from engine.reporting.text import robustness as robustness_sentences
from engine.reporting.text import runs as sentences
from engine.reporting.text.accuracy import SliceRow, slice_row
from engine.reporting.text.destination import card_lines, other_lines
from engine.reporting.text.runs import reference_at_start, reference_title
from engine.runs.run import KITS, Run
from engine.tasks.evaluation import Evaluation

MOST_PICTURES, MOST_SLICES = 40, 100
_HEATMAP_ROWS = 30
_SCATTER_POINTS = 1500
_WORST_KINDS = 3
_TEMPLATE = "report.html.jinja"
_FONT = Path(__file__).resolve().parent.parent.parent / "static" / "inter.woff2"


def document(
    evaluation: Evaluation,
    timings: tuple[Latency, ...],
    layers: tuple[LayerErrors, ...],
    robustness: Robustness | None,
    slices: Slices,
    against: Comparison | None,
    choice: choosing.Choice,
    data: dict[str, Any],
) -> str:
    """Render a report as one HTML page; the fields are those of `Report`, ``data`` its numbers."""
    comparison = evaluation.comparison
    timing_note = (
        "" if comparison.latency is None else overview_sentences.timing_note(comparison.latency)
    )
    manifest = evaluation.run.manifest
    rows = figures.worst_rows(evaluation, MOST_PICTURES)
    first = choice.about
    names = [side.variant for side in comparison.variants]
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            title=overview_sentences.headline(comparison, choice),
            proof=overview_sentences.proof(choice),
            measured=overview_sentences.describe_measurement(comparison, manifest.created_at),
            recommendation=overview_sentences.recommendation(choice),
            reason=overview_sentences.reason(comparison, choice),
            target=(*card_lines(choice, names), *other_lines(choice, names)),
            notes=(*comparison.notes, *([timing_note] if timing_note else [])),
            faults=comparison.faults,
            tiles=overview_sentences.tiles(comparison, choice),
            chip=overview_sentences.chip(choice),
            table=tables.comparison_table(comparison, tables.EVERYTHING),
            accuracy=_accuracy(comparison),
            against=_against(comparison, against),
            main=split_headline(figures.trade_off(comparison, choice)),
            common=_split_headlines(_figures_of_all(evaluation, timings)),
            maps=tuple(_map(errors) for errors in layers),
            kits=tuple(_kits(evaluation.run)),
            by_variant={
                v.variant: _split_headlines(_figures_of_variant(evaluation, v.variant))
                for v in comparison.variants
            },
            robustness=_robustness(robustness),
            slices=None if first is None else _slices(slices, first.variant),
            marks=lambda figure: figures.fault_marks(figure, comparison.fault_by_variant),
            variant=first.variant if first is not None else None,
            pictures=tuple(picture_card(evaluation, row) for row in rows),
            left_out=len(comparison.pictures) - len(rows),
            pictures_headline=sentences.predictions_headline(comparison),
            manifest=manifest,
            details=sentences.details_headline(manifest),
            preprocessing=sentences.preprocess_sentence(manifest),
            run=comparison.run,
            reference=reference_title(comparison),
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
    environment.filters["thumbnail"] = thumbnail
    environment.filters["marker"] = lambda name: Markup(marker_image(name))
    environment.filters["figure"] = _figure_data
    environment.filters["megabytes"] = formats.megabytes
    environment.filters["margin"] = lambda value: formats.decimal(value, 2)
    return environment


def _figure_data(shown: HeadedFigure) -> Markup:
    plain = json.loads(shown.figure.to_json())
    return _script(
        {
            "data": plain["data"],
            "layout": {k: v for k, v in plain["layout"].items() if k != "template"},
            "headline": shown.headline,
            "csv": plots.figure_csv(shown.figure),
        }
    )


def _script(value: Any) -> Markup:
    """Write JSON for a script element, which no text in it can end."""
    return Markup(json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"))


def _figures_of_all(
    evaluation: Evaluation, timings: tuple[Latency, ...]
) -> Iterator[tuple[str, go.Figure]]:
    run, comparison = evaluation.run, evaluation.comparison
    yield "differences", figures.difference_distribution(evaluation)
    rows = figures.most_moved_rows(comparison, _HEATMAP_ROWS)
    yield "pictures-moved", figures.difference_heatmap(evaluation, rows)
    if comparison.latency is not None:
        yield "latency", plots.latency_bars(comparison.latency)
        if comparison.latency.profiled:
            yield "operator-times", plots.operator_times(comparison.latency)
    if len(timings) > 1:
        yield "threads", plots.latency_violins(timings)
    yield "sizes", plots.size_bars(run.sizes, run.manifest.float32_bytes)
    if comparison.memory:
        yield "memory", plots.memory_bars(comparison.memory)
        yield "load", plots.load_bars(comparison.memory)
    yield "operators", plots.operator_counts(run.artifacts)
    yield "steps", plots.hop_ladder(run.manifest.stages)


def _figures_of_variant(evaluation: Evaluation, variant: str) -> Iterator[tuple[str, go.Figure]]:
    comparison = evaluation.comparison
    yield f"margins-{variant}", figures.margin_loss(comparison, variant)
    yield f"scatter-{variant}", figures.logit_scatter(evaluation, variant, _SCATTER_POINTS)
    if len(comparison.variant(variant).flips) > 1:
        yield f"changed-{variant}", figures.changed_classes(evaluation, variant)


def _kits(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield name, size and SHA-256 of the kits that were made of a run."""
    for file in sorted((run.folder / KITS).glob("*.zip")):
        if not file.is_symlink():
            yield file.name, formats.megabytes(file.stat().st_size), digest_of_file(file)


@dataclass(frozen=True, slots=True)
class _LayerMap:
    """Where along the network a variant loses.

    Attributes:
        variant: Its name.
        headline: Which operators stand out.
        output: What is left of the signal at the end.
        groups: Names of the network's parts, each with its blocks and how these are drawn.
        worst: Mark, name, error and reason of the blocks that lose most, the worst first.
        line: Signal over error along the network.
    """

    variant: str
    headline: str
    output: str
    groups: tuple[tuple[str, tuple[tuple[Block, Shade], ...]], ...]
    worst: tuple[tuple[str, str, str, str], ...]
    line: HeadedFigure


def _map(errors: LayerErrors) -> _LayerMap:
    blocks = fold_layers(errors)
    shades = shade_blocks(blocks, "local", {})
    marked = (pair for pair in zip(blocks, shades, strict=True) if pair[1].mark)
    return _LayerMap(
        variant=errors.variant,
        headline=layer_sentences.layers_headline(errors),
        output=layer_sentences.output_sentence(errors),
        groups=group_blocks(blocks, shades),
        worst=tuple(
            (shade.mark, block.title, shade.value, layer_sentences.why(block.worst))
            for block, shade in sorted(marked, key=lambda pair: pair[1].mark)
        ),
        line=HeadedFigure(
            "Signal over error, from input to logits",
            plots.layer_line(errors, layer_sentences.culprits(errors)[:3]),
        ),
    )


@dataclass(frozen=True, slots=True)
class _ChangedPictures:
    """What changed pictures do to the answers.

    Attributes:
        headline: Where variants leave the reference most.
        measured: On what the figures are.
        worst: Figures of agreement with the reference by key, of the kinds where it is least.
        rest: Those of the other kinds, then each model beside its own answers before the change.
    """

    headline: str
    measured: str
    worst: Mapping[str, HeadedFigure]
    rest: Mapping[str, HeadedFigure]


@dataclass(frozen=True, slots=True)
class _SliceTables:
    """The answers on named groups of the pictures.

    Attributes:
        headline: Where the recommended variant does worse than elsewhere.
        note: Where it might; empty where there is nothing to say.
        rows: That variant on the slices that matter.
        variants: Names of all variants.
        every: Slices, and on each the row of each variant.
        left_out: Slices that are not among these.
    """

    headline: str
    note: str
    rows: tuple[SliceRow, ...]
    variants: tuple[str, ...]
    every: tuple[tuple[SliceRow, ...], ...]
    left_out: int


def _slices(slices: Slices, variant: str) -> _SliceTables | None:
    if not slices.slices or variant not in slices.variants:
        return None
    shown = slices.slices[:MOST_SLICES]
    return _SliceTables(
        headline=accuracy_sentences.slices_headline(slices, variant),
        note=accuracy_sentences.slices_note(slices, variant),
        rows=tuple(
            slice_row(part, variant)
            for part in accuracy_sentences.slices_shown_first(slices, variant)
        ),
        variants=slices.variants,
        every=tuple(tuple(slice_row(part, name) for name in slices.variants) for part in shown),
        left_out=len(slices.slices) - len(shown),
    )


def _robustness(measured: Robustness | None) -> _ChangedPictures | None:
    if measured is None:
        return None
    agreement = [
        (f"same-{kind}", plots.agreement_lines(measured, kind))
        for kind in measured.kinds_by_agreement
    ]
    stability = [
        (f"stable-{kind}", plots.stability_lines(measured, kind)) for kind in measured.kinds
    ]
    return _ChangedPictures(
        robustness_sentences.worst_headline(measured),
        robustness_sentences.measured_sentence(measured),
        _split_headlines(agreement[:_WORST_KINDS]),
        _split_headlines([*agreement[_WORST_KINDS:], *stability]),
    )


def _split_headlines(several: Iterable[tuple[str, go.Figure]]) -> dict[str, HeadedFigure]:
    return {key: split_headline(figure) for key, figure in several}


def _accuracy(comparison: Comparison) -> str:
    right = comparison.reference_accuracy
    if right is None:
        return ""
    count = formats.count_or_percent(right.top1, right.pictures)
    of = "" if " of " in count else f" of {right.pictures}"
    return (
        f"{reference_at_start(comparison)} is right on {count}{of} labelled pictures "
        f"({formats.interval(right.top1_interval)})."
    )


@dataclass(frozen=True, slots=True)
class _Against:
    """Two runs side by side.

    Attributes:
        headline: What differs most.
        run: Name of the other run.
        rows: Variant, then size, latency, same answer and rms of both, and the difference of rms.
        faults: What is wrong with variants in either run, in words, by name.
    """

    headline: str
    run: str
    rows: tuple[tuple[str, ...], ...]
    faults: Mapping[str, tuple[str, ...]]


def _against(comparison: Comparison, against: Comparison | None) -> _Against | None:
    if against is None:
        return None
    ours = {c.variant: c for c in choosing.candidates(comparison)}
    theirs = {c.variant: c for c in choosing.candidates(against)}
    rows = tuple(
        (name, *_side_by_side(ours.get(name), theirs.get(name)))
        for name in dict.fromkeys((*ours, *theirs))
    )
    faults = {name: _faults_of(name, comparison, against) for name, *_ in rows}
    headline = overview_sentences.against_headline(comparison, against)
    return _Against(headline, against.run, rows, faults)


def _faults_of(variant: str, *comparisons: Comparison) -> tuple[str, ...]:
    return tuple(
        f"in {comparison.run} {FAULT_WORDS[comparison.fault_by_variant[variant]]}"
        for comparison in comparisons
        if variant in comparison.fault_by_variant
    )


def _side_by_side(*sides: choosing.Candidate | None) -> tuple[str, ...]:
    ours, theirs = map(_cells, sides)
    change = formats.UNKNOWN
    if sides[0] is not None and sides[1] is not None:
        difference = sides[0].difference - sides[1].difference
        change = f"{'+' if difference >= 0 else ''}{formats.logits(difference)}"
    return (*(cell for pair in zip(ours, theirs, strict=True) for cell in pair), change)


def _cells(side: choosing.Candidate | None) -> tuple[str, ...]:
    if side is None:
        return (formats.UNKNOWN,) * 4
    return (
        formats.megabytes(side.size_bytes),
        formats.milliseconds(side.latency_ms, side.timed_pictures),
        f"{side.agreeing} of {side.pictures}",
        formats.logits(side.difference),
    )
