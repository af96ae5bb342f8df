"""`Report`: everything that a view of a run shows, as HTML, JSON and CSV."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.comparison.comparison import Comparison
from engine.comparison.destination import Destination
from engine.comparison.latency import Latency
from engine.comparison.layers.records import LayerErrors
from engine.comparison.recommendation import Choice, candidates, recommend
from engine.comparison.records import latency_dict
from engine.comparison.robustness import Robustness
from engine.comparison.slices import Slices
from engine.core.errors import OptionError
from engine.core.files import escape_formulas, write_text
from engine.core.types import ORIGINAL, IntArray
from engine.images.pictures import Picture
from engine.runs.labels import Tags
from engine.runs.manifest import Manifest
from engine.runs.results import load_latency, load_timings
from engine.runs.run import Run
from engine.tasks import layers as layers_module
from engine.tasks.evaluate import evaluate
from engine.tasks.evaluation import Evaluation
from engine.tasks.robustness import read_robustness
from engine.tflite.artifact import computes_in_integers
from engine.workers import process as host_module

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_NEED = 0.95
"""Share of equal first answers that the recommendation asks for unless a person says otherwise."""


@dataclass(frozen=True, slots=True)
class Report:
    """A run on pictures, ready to be written.

    Attributes:
        evaluation: Answers and comparison.
        timings: All stored timings, fewest threads first.
        layers: Stored layer errors of some variants on these pictures.
        robustness: Stored answers to changes of these pictures, where they were measured.
        slices: The same answers on named groups of the pictures.
        against: Another run on the same pictures, where it is held against one.
        need: Share of equal first answers that the recommendation asks for.
        destination: The target that a variant is shipped to; None where any will do.
    """

    evaluation: Evaluation
    timings: tuple[Latency, ...]
    layers: tuple[LayerErrors, ...]
    robustness: Robustness | None
    slices: Slices
    against: Comparison | None
    need: float
    destination: Destination | None = None

    @property
    def comparison(self) -> Comparison:
        """The figures."""
        return self.evaluation.comparison

    @property
    def choice(self) -> Choice:
        """The recommendation."""
        return recommend(candidates(self.comparison), self.need, self.destination)

    def to_dict(self) -> dict[str, Any]:
        """Give all figures in plain types; see `run_report`.

        ``comparison`` is what ``compare --json`` writes.
        """
        manifest = self.evaluation.run.manifest
        return run_report(
            manifest,
            self.comparison,
            self.comparison.latency,
            self.against,
            self.robustness,
            self.slices,
            self.destination,
        )

    def to_csv(self) -> str:
        """Write one row a variant with its scalar figures, then those of the run of ``against``.

        Variants that could not be made have a row without figures that says why. The first column
        is the run, the second the variant.
        """
        sides = [self.comparison, *([self.against] if self.against is not None else [])]
        parts = []
        for side in sides:
            frame = escape_formulas(side.to_frame().reset_index())
            frame.insert(0, "run", side.run)
            if side is self.comparison:
                frame = self._with_missing(frame)
            parts.append(frame.to_csv(index=False, lineterminator="\n", header=side is sides[0]))
        return "".join(parts)

    def _with_missing(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Append a row for each variant that could not be made, with the reason as its fault."""
        missing = self.evaluation.run.missing
        if not missing:
            return frame
        import pandas as pd

        names = {
            "run": self.comparison.run,
            "variant": [record.variant for record in missing],
            "fault": [f"missing: {record.stage}: {record.got}" for record in missing],
        }
        rows = escape_formulas(pd.DataFrame(names))
        return frame.merge(rows, how="outer", on=list(names), sort=False)

    def to_html(self) -> str:
        """Render one page that opens offline, with Plotly and the pictures in it."""
        # Plotly takes a while to load, and most commands write no page.
        from engine.reporting.html import document

        return document(
            self.evaluation,
            self.timings,
            self.layers,
            self.robustness,
            self.slices,
            self.against,
            self.choice,
            self.to_dict(),
        )

    def save(self, path: Path | str) -> Path:
        """Write the page, whole or not at all.

        Returns:
            Where it is.

        Raises:
            OptionError: It cannot be written.
        """
        write_text(self.to_html(), str(path))
        return Path(path)


def report_of(
    run: Run,
    pictures: tuple[Picture, ...],
    host: host_module.Host,
    *,
    reference: str = ORIGINAL,
    labels: IntArray | None = None,
    tags: Tags | None = None,
    against: Run | None = None,
    threads: int = 1,
    need: float = DEFAULT_NEED,
    destination: Destination | None = None,
) -> Report:
    """Compare a run on pictures and gather what is stored about it; see `engine.report`."""
    if not 0 <= need <= 1:
        raise _wrong("agreement", f"{need:g}", "a share of 0 to 1", "Give 0.95 for 95\xa0%.")
    timed = load_latency(run, threads)
    evaluation = evaluate(run, pictures, host, reference=reference, labels=labels, latency=timed)
    layers = (
        layers_module.read_layer_errors(run, artifact.variant, pictures)
        for artifact in run.artifacts
        if computes_in_integers(artifact)
    )
    other_comparison = None
    if against is not None:
        _check_classes(run, against)
        other_comparison = evaluate(
            against,
            pictures,
            host,
            reference=reference,
            labels=labels,
            latency=load_latency(against, threads),
        ).comparison
    return Report(
        evaluation=evaluation,
        timings=load_timings(run),
        layers=tuple(errors for errors in layers if errors is not None),
        robustness=read_robustness(evaluation),
        slices=evaluation.slices(labels, tags),
        against=other_comparison,
        need=need,
        destination=destination,
    )


def _check_classes(run: Run, against: Run) -> None:
    classes, theirs = run.manifest.model.classes, against.manifest.model.classes
    if classes != theirs:
        raise _wrong(
            "run to hold it against",
            f"{theirs} classes",
            f"{classes}, as the run of the report has",
            "Name a run of a model for the same classes.",
        )


def _wrong(what: str, got: str, expected: str, todo: str) -> OptionError:
    return OptionError(f"Choosing the {what}", got=got, expected=expected, todo=todo)


def run_report(
    manifest: Manifest,
    comparison: Comparison | None,
    timed: Latency | None,
    against: Comparison | None = None,
    robustness: Robustness | None = None,
    slices: Slices | None = None,
    destination: Destination | None = None,
) -> dict[str, Any]:
    """Give everything that is known about a run in plain types.

    Returns:
        The keys ``manifest``, ``comparison``, ``latency``, ``against`` (the comparison of another
        run on the same pictures), ``robustness``, ``slices`` and ``destination`` (the target to
        ship to, and what it does with each variant); None for what there is not.
    """
    return {
        "manifest": msgspec.to_builtins(manifest),
        "comparison": None if comparison is None else comparison.to_dict(),
        "latency": None if timed is None else latency_dict(timed),
        "against": None if against is None else against.to_dict(),
        "robustness": None if robustness is None else robustness.to_dict(),
        "slices": None if slices is None else slices.to_dict(),
        "destination": None if destination is None else asdict(destination),
    }
