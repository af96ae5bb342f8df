"""Tables of a comparison: the same cells on pages and in reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.comparison.comparison import Comparison
from engine.comparison.recommendation import Candidate, candidates
from engine.comparison.records import VariantComparison
from engine.core import formats
from engine.core.types import FAULT_WORDS

Row = tuple[Candidate, VariantComparison]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of figures.

    Attributes:
        title: Its heading.
        term: Key of its explanation in `engine.reporting.glossary`.
        cell: The text for a variant.
    """

    title: str
    term: str
    cell: Callable[[Row], str]


@dataclass(frozen=True, slots=True)
class Table:
    """Figures of every variant as text.

    Attributes:
        columns: Headings, without that of the variants' names.
        rows: Name and cells of each variant.
        faults: What is wrong with variants whose answers are of no use, in words, by name.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    faults: Mapping[str, str]


SIZE = Column("size", "file size", lambda row: formats.megabytes(row[0].size_bytes))
SMALLER = Column("smaller", "smaller", lambda row: formats.times(row[0].smaller))
LATENCY = Column(
    "latency", "latency", lambda row: formats.milliseconds(row[0].latency_ms, row[0].timed_pictures)
)
QUICKER = Column("faster", "faster", lambda row: formats.times(row[0].quicker))
MEMORY = Column("peak memory", "peak memory", lambda row: formats.megabytes(row[0].peak_bytes))
LOAD = Column("load", "load time", lambda row: formats.milliseconds(row[0].load_ms))
SAME = Column("same answer", "agreement", lambda row: f"{row[0].agreeing} of {row[0].pictures}")
INTERVAL = Column("95\xa0% interval", "interval", lambda row: formats.interval(row[0].interval))
TOP5 = Column("top-5 overlap", "top-5 overlap", lambda row: formats.percent(row[1].top5_overlap))
RMS = Column("logit rms", "logit rms", lambda row: formats.logits(row[1].logit_rms))
LARGEST = Column("largest", "largest difference", lambda row: formats.logits(row[1].logit_max))
SQNR = Column("SQNR", "SQNR", lambda row: formats.decibels(row[1].logit_sqnr_db))
COSINE = Column("cosine", "cosine", lambda row: formats.logits(row[1].cosine))
KL = Column("KL, nats", "KL", lambda row: formats.small(row[1].kl))


def _correct(row: Row) -> str:
    accuracy = row[1].accuracy
    if accuracy is None:
        return formats.UNKNOWN
    return formats.count_or_percent(accuracy.top1, accuracy.pictures)


RIGHT = Column("right answers", "accuracy", _correct)
OVERVIEW = (SIZE, SMALLER, LATENCY, QUICKER, MEMORY, LOAD, SAME, RMS)
LOGITS = (SAME, INTERVAL, TOP5, RMS, LARGEST, SQNR, COSINE, KL, SIZE)
EVERYTHING = (*OVERVIEW[:-1], INTERVAL, TOP5, RMS, LARGEST, SQNR, COSINE, KL)


def comparison_table(comparison: Comparison, columns: Sequence[Column]) -> Table:
    """Write the figures of every variant, in order.

    Right answers are added where labels are known; memory is left out where none was measured.
    """
    shown = tuple(c for c in columns if comparison.memory or c not in (MEMORY, LOAD))
    if comparison.reference_accuracy is not None:
        shown += (RIGHT,)
    pairs = zip(candidates(comparison), comparison.variants, strict=True)
    rows = tuple((pair[1].variant, tuple(column.cell(pair) for column in shown)) for pair in pairs)
    faults = {name: FAULT_WORDS[fault] for name, fault in comparison.fault_by_variant.items()}
    return Table(shown, rows, faults)
