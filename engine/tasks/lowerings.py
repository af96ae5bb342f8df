"""The stock lowering of onnx-tf against ours, for one run: costs side by side.

The ONNX file of the run is converted once more with the other lowering, into a run inside the
run's folder, and the files of both are timed in turns. Kept there, so that it is made once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.comparison.latency import Latency, LatencySamples
from engine.conversion.missing_variants import missing_of
from engine.core import formats
from engine.core.checksums import find_record, write_record
from engine.core.errors import (
    ConversionError,
    EngineError,
    OperatorError,
    OptionError,
    RunError,
    WorkerDied,
)
from engine.core.types import LoweringName, MissingVariant
from engine.images.preprocess import PreprocessChoice
from engine.networks.source import ModelChoice
from engine.quantization.calibration import CalibrationChoice
from engine.runs.request import ConvertRequest
from engine.runs.run import LOWERING, Run
from engine.tasks.convert import convert_request
from engine.tasks.latency import FileLatencyRequest, TimedFile, run_file_latency
from engine.tflite.artifact import Artifact
from engine.workers.process import Host, Worker

COMPARED = ("float32", "int8")
CALIBRATION_COUNT = 16
"""Pictures for int8: what a file costs to run does not depend on its ranges."""
_RECORD = "lowerings.json"


def read_lowerings(run: Run) -> Lowerings | None:
    """Read what `compare_lowerings` stored, if it was about the files that the run has now."""
    stored = find_record(run.folder / LOWERING / _RECORD, Lowerings)
    if stored is None or stored.side(run.manifest.lowering).artifacts != _own(run):
        return None
    return stored


def compare_lowerings(run: Run, host: Host, *, rounds: int = 50) -> Lowerings:
    """Convert with the other lowering, unless that was done, and time both in turns.

    Args:
        run: The run; its float32 and int8 variants are compared, as far as it has them.
        host: Gets the workers and their progress.
        rounds: Timed calls of each file.

    Returns:
        Both sides. A variant that the other lowering cannot make is a failure there, with the
        reason, not an error here.

    Raises:
        OptionError: The run has neither variant.
        WorkerError: The work was cancelled.
    """
    own = _own(run)
    if not own:
        raise OptionError(
            "Comparing the lowerings",
            got=f"a run with {', '.join(run.variants)}",
            expected=" or ".join(COMPARED),
            todo="Add float32 to the run.",
        )
    theirs = _convert_other(run, tuple(artifact.variant for artifact in own), host)
    lowering = run.manifest.lowering
    sides = {lowering: LoweringSide(own, {}), theirs[0]: theirs[1]}
    files = tuple(
        TimedFile(
            name=f"{artifact.variant} {name}",
            file=str((_folder(run, name) / artifact.file).absolute()),
            layout=artifact.layout,
        )
        for artifact in own
        for name in ("stock", "nhwc")
        if artifact.variant in {artifact_made.variant for artifact_made in sides[name].artifacts}
    )
    with Worker() as worker:
        request = FileLatencyRequest(run=str(run.folder.absolute()), files=files, rounds=rounds)
        timed = host.adopt(worker).run(run_file_latency, request, host.report)
    both = Lowerings(stock=sides["stock"], nhwc=sides["nhwc"], latency=timed)
    write_record(run.folder / LOWERING / _RECORD, both)
    return both


def _own(run: Run) -> tuple[Artifact, ...]:
    runnable = set(run.runnable)
    return tuple(
        artifact
        for artifact in run.manifest.artifacts
        if artifact.variant in COMPARED and artifact.variant in runnable
    )


def _folder(run: Run, lowering: LoweringName) -> Path:
    own = lowering == run.manifest.lowering
    return run.folder if own else run.folder / LOWERING / lowering


def _convert_other(
    run: Run, variants: tuple[str, ...], host: Host
) -> tuple[LoweringName, LoweringSide]:
    """Make the files with the other lowering, as far as it can."""
    lowering: LoweringName = "stock" if run.manifest.lowering == "nhwc" else "nhwc"
    try:
        run_of_other = _convert_again(_request(run, lowering, variants), host)
    except (ConversionError, OperatorError, WorkerDied) as error:
        return lowering, LoweringSide((), dict.fromkeys(variants, _reason(error)))
    artifacts = tuple(a for a in run_of_other.manifest.artifacts if a.variant in variants)
    absent = missing_of(run_of_other.missing, variants)
    return lowering, LoweringSide(artifacts, {r.variant: _reason(r) for r in absent})


def _convert_again(request: ConvertRequest, host: Host) -> Run:
    try:
        return convert_request(request, host)
    except RunError:
        # What was made with other versions of the packages, or is damaged, is of no more use.
        assert request.out is not None
        shutil.rmtree(request.out, ignore_errors=True)
        return convert_request(request, host)


def _request(run: Run, lowering: LoweringName, variants: tuple[str, ...]) -> ConvertRequest:
    """Ask for the run's own ONNX file, so that both sides have the same weights."""
    manifest = run.manifest
    spec = asdict(manifest.preprocess)
    fields = {name: spec[name] for name in spec if name not in {"height", "width"}}
    return ConvertRequest(
        model=ModelChoice(name=manifest.model.name, onnx=str(run.onnx_file.absolute())),
        preprocess=PreprocessChoice(**fields),
        variants=variants,
        calibration=CalibrationChoice(count=CALIBRATION_COUNT),
        allow_flex=manifest.allow_flex,
        lowering=lowering,
        input_layout=manifest.artifacts[0].layout,
        out=str((run.folder / LOWERING / lowering).absolute()),
    )


def _reason(error: EngineError | MissingVariant) -> str:
    return f"{error.stage}: {error.got}"


@dataclass(frozen=True, slots=True)
class LoweringRow:
    """One line of the table of the two lowerings, as text.

    Attributes:
        title: What is counted or measured.
        stock: With onnx-tf's own handlers.
        nhwc: With ours.
        ratio: The first divided by the second.
    """

    title: str
    stock: str
    nhwc: str
    ratio: str


def lowering_rows(both: Lowerings) -> tuple[LoweringRow, ...]:
    """Latency, operators, transposes and size of each variant, side by side.

    Args:
        both: The two sides.

    Returns:
        One row a figure; a file that could not be made has a dash.
    """
    rows = []
    for variant in both.variants:
        files = (both.stock.artifact(variant), both.nhwc.artifact(variant))
        samples = (both.latency_of(variant, "stock"), both.latency_of(variant, "nhwc"))
        rows.append(
            _row(
                f"{variant}: latency",
                [None if timed is None else timed.median_ms for timed in samples],
                lambda value: formats.with_unit(f"{value:.2f}", "ms"),
            )
        )
        for title, of in _COUNTS.items():
            counts = [None if file is None else float(of(file)) for file in files]
            rows.append(_row(f"{variant}: {title}", counts, lambda value: f"{value:.0f}"))
        sizes = [None if file is None else float(file.bytes) for file in files]
        rows.append(_row(f"{variant}: size", sizes, formats.megabytes))
    return tuple(rows)


_COUNTS: dict[str, Callable[[Artifact], int]] = {
    "operators": lambda file: sum(file.operators.values()),
    "TRANSPOSE": lambda file: file.operators.get("TRANSPOSE", 0),
    "PAD": lambda file: file.operators.get("PAD", 0) + file.operators.get("PADV2", 0),
}


def _row(title: str, values: list[float | None], text: Callable[[float], str]) -> LoweringRow:
    stock, nhwc = values
    ratio = None if stock is None or not nhwc else stock / nhwc
    texts = [formats.UNKNOWN if value is None else text(value) for value in values]
    return LoweringRow(
        title, texts[0], texts[1], formats.UNKNOWN if ratio is None else f"{ratio:.2f}"
    )


@dataclass(frozen=True, slots=True)
class LoweringSide:
    """What one lowering made of a model.

    Attributes:
        artifacts: The TFLite files.
        failures: Why it could not make others, by variant.
    """

    artifacts: tuple[Artifact, ...]
    failures: Mapping[str, str]

    def artifact(self, variant: str) -> Artifact | None:
        """Return the file of a variant, or None where it could not be made."""
        return next((a for a in self.artifacts if a.variant == variant), None)


@dataclass(frozen=True, slots=True)
class Lowerings:
    """The same model through onnx-tf's own handlers and through ours.

    Attributes:
        stock: What onnx-tf's own handlers made.
        nhwc: What ours made.
        latency: All files timed in turns, named ``<variant> <lowering>``.
    """

    stock: LoweringSide
    nhwc: LoweringSide
    latency: Latency

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants that at least one side has."""
        names = (a.variant for a in (*self.nhwc.artifacts, *self.stock.artifacts))
        return tuple(dict.fromkeys(names))

    def side(self, lowering: LoweringName) -> LoweringSide:
        """Return what a lowering made."""
        return self.stock if lowering == "stock" else self.nhwc

    def latency_of(self, variant: str, lowering: LoweringName) -> LatencySamples | None:
        """Return the samples of a file, or None where there is no such file."""
        return self.latency.of(f"{variant} {lowering}")

    def speedup(self, variant: str) -> float | None:
        """Median latency of the stock lowering divided by ours; None where one is missing."""
        return self.latency.ratio(f"{variant} stock", f"{variant} nhwc")
