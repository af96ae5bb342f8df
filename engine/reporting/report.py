"""`Report`: everything that a view of a run shows, as HTML, JSON and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency
from engine.comparison.layers.records import LayerErrors
from engine.core.text import defused_table, write_text
from engine.reporting.plain import run_report
from engine.tasks.evaluate import Evaluation

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
        against: Another run on the same pictures, where it is held against one.
        need: Share of equal first answers that the recommendation asks for.
    """

    evaluation: Evaluation
    timings: tuple[Latency, ...]
    layers: tuple[LayerErrors, ...]
    against: Comparison | None
    need: float

    @property
    def comparison(self) -> Comparison:
        """The figures."""
        return self.evaluation.comparison

    def to_dict(self) -> dict[str, Any]:
        """All figures in plain types: ``manifest``, ``comparison``, ``latency``, ``against``.

        ``comparison`` is what ``compare --json`` writes.
        """
        return run_report(
            self.evaluation.run.manifest,
            self.comparison,
            self.comparison.latency,
            self.against,
        )

    def to_csv(self) -> str:
        """One row a variant with its scalar figures; the other run's rows follow, if there is one.

        Variants that could not be made have a row without figures that says why.

        The first column is the run, the second the variant.
        """
        sides = [self.comparison, *([self.against] if self.against is not None else [])]
        parts = []
        for side in sides:
            frame = defused_table(side.to_frame().reset_index())
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
        rows = defused_table(pd.DataFrame(names))
        return frame.merge(rows, how="outer", on=list(names), sort=False)

    def to_html(self) -> str:
        """One page that opens offline, with Plotly and the pictures in it."""
        from engine.reporting.document import document

        return document(self)

    def save(self, path: Path | str) -> Path:
        """Write the page, whole or not at all.

        Returns:
            Where it is.

        Raises:
            OptionError: It cannot be written.
        """
        write_text(self.to_html(), str(path))
        return Path(path)
