"""What the bench found, as records: what ``results.json`` holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.attempts import Precision
from benchmarks.checks import Check
from benchmarks.statistics import Ratio, geometric_mean, ratio_of_medians

OURS = "ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One converter with one model in one precision.

    Attributes:
        tool: The converter.
        precision: Of the file.
        failure: Why there is no row of figures, in one line; None where there is.
        import_seconds: Importing the converter and what it needs.
        convert_seconds: From PyTorch to the file, without the imports.
        note: What a reader has to know of the file; empty where nothing.
        check: What the file is, and its error.
        samples_ms: For each process, milliseconds of one call, one a round; empty where not
            measured.
    """

    tool: str
    precision: Precision
    failure: str | None
    import_seconds: float | None
    convert_seconds: float | None
    note: str
    check: Check | None
    samples_ms: tuple[tuple[float, ...], ...]

    @property
    def median_ms(self) -> float:
        """Median over processes of the median over rounds, in milliseconds."""
        return float(np.median([np.median(rounds) for rounds in self.samples_ms]))

    @property
    def total_seconds(self) -> float | None:
        """From starting Python to the file; None where there is none."""
        if self.import_seconds is None or self.convert_seconds is None:
            return None
        return self.import_seconds + self.convert_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """All converters with one model.

    Attributes:
        model: Name in the catalogue.
        parameters: Number of parameters.
        height: Rows of the input.
        width: Columns of the input.
        random_weights: Whether the weights are random.
        opset: ONNX operator set.
        measured_at: When the latency was taken, in UTC; empty where nothing could be timed.
        host: Where.
        cores: Cores there.
        int8_edges: Type of input and output of the int8 files: the same for every converter.
        entries: One for each converter and precision.
    """

    model: str
    parameters: int
    height: int
    width: int
    random_weights: bool
    opset: int
    measured_at: str
    host: str
    cores: int
    int8_edges: str
    entries: tuple[Entry, ...]

    def entry(self, tool: str, precision: Precision) -> Entry | None:
        """Find the entry of a converter, or None."""
        for entry in self.entries:
            if (entry.tool, entry.precision) == (tool, precision):
                return entry
        return None

    def peers_with_times(self, precision: Precision) -> tuple[Entry, ...]:
        """Peers whose file was timed, the quickest first."""
        timed = [
            entry
            for entry in self.entries
            if entry.precision == precision and entry.tool != OURS and entry.samples_ms
        ]
        return tuple(sorted(timed, key=lambda entry: entry.median_ms))

    def ratio(self, tool: str, precision: Precision) -> Ratio | None:
        """Latency of ours over that of a peer; None where one of them was not timed."""
        ours, peer = self.entry(OURS, precision), self.entry(tool, precision)
        if ours is None or peer is None or not (ours.samples_ms and peer.samples_ms):
            return None
        return ratio_of_medians(ours.samples_ms, peer.samples_ms)

    def ratio_to_best(self, precision: Precision) -> Ratio | None:
        """Latency of ours over that of the quickest peer."""
        peers = self.peers_with_times(precision)
        return self.ratio(peers[0].tool, precision) if peers else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A whole bench.

    Attributes:
        made_at: When the results were put together, in UTC.
        threads: Threads of the interpreter.
        calibration_pictures: Pictures the int8 models were calibrated with.
        check_pictures: Pictures the errors are taken over.
        runtime: Version of the LiteRT interpreter that ran every file.
        versions: Packages of each converter.
        models: One result a model.
    """

    made_at: str
    threads: int
    calibration_pictures: int
    check_pictures: int
    runtime: str
    versions: dict[str, dict[str, str]]
    models: tuple[ModelResult, ...]

    def mean_to_best(self, precision: Precision) -> tuple[Ratio, tuple[str, ...]] | None:
        """Geometric mean of ours over the quickest peer, and the models it is taken over."""
        pairs, names = [], []
        for result in self.models:
            ours, peers = result.entry(OURS, precision), result.peers_with_times(precision)
            if ours is not None and ours.samples_ms and peers:
                pairs.append((ours.samples_ms, peers[0].samples_ms))
                names.append(result.model)
        return (geometric_mean(pairs), tuple(names)) if pairs else None

    def write(self, file: Path) -> None:
        """Write as JSON."""
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def read_results(file: Path) -> Results:
    """Read what `Results.write` wrote, checked against its types."""
    return msgspec.json.decode(file.read_bytes(), type=Results)
