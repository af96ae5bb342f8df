"""How a report is made from a run and pictures."""

from __future__ import annotations

from engine.core.errors import OptionError
from engine.core.types import ORIGINAL, IntArray
from engine.images.pictures import Picture
from engine.reporting.report import DEFAULT_NEED, Report
from engine.runs.results import stored_latency, stored_timings
from engine.runs.run import Run
from engine.tasks import evaluate
from engine.tasks import layers as layers_module
from engine.tasks.evaluate import answers_of
from engine.tflite.artifact import computes_in_integers
from engine.workers import host as host_module


def report_of(
    run: Run,
    pictures: tuple[Picture, ...],
    host: host_module.Host,
    *,
    reference: str = ORIGINAL,
    labels: IntArray | None = None,
    against: Run | None = None,
    threads: int = 1,
    need: float = DEFAULT_NEED,
) -> Report:
    """Compare a run on pictures and gather what is stored about it.

    Args:
        run: The run.
        pictures: At least one picture.
        host: Gets the worker and its progress.
        reference: One of `Run.columns`.
        labels: Right answers, shape (pictures,), -1 for unknown.
        against: Another run with as many classes, to hold it against on the same pictures.
        threads: Which stored timings stand beside the figures.
        need: Share of equal first answers that the recommendation asks for, 0 to 1.

    Returns:
        The report.

    Raises:
        UserMistake: A name, a picture or a number is wrong.
        WorkerError: The worker process failed.
    """
    if not 0 <= need <= 1:
        raise _wrong("agreement", f"{need:g}", "a share of 0 to 1", "Give 0.95 for 95 %.")
    timed = stored_latency(run, threads)
    evaluation = answers_of(run, pictures, host, reference=reference, labels=labels, latency=timed)
    layers = (
        layers_module.stored_layers(run, artifact.variant, pictures)
        for artifact in run.artifacts
        if computes_in_integers(artifact)
    )
    other = None
    if against is not None:
        _check_classes(run, against)
        other = evaluate.compare_run(
            against,
            pictures,
            host,
            reference=reference,
            labels=labels,
            latency=stored_latency(against, threads),
        )
    return Report(
        evaluation=evaluation,
        timings=stored_timings(run),
        layers=tuple(found for found in layers if found is not None),
        against=other,
        need=need,
    )


def _check_classes(run: Run, against: Run) -> None:
    one, other = run.manifest.model.classes, against.manifest.model.classes
    if one != other:
        raise _wrong(
            "run to hold it against",
            f"{other} classes",
            f"{one}, as the run of the report has",
            "Name a run of a model for the same classes.",
        )


def _wrong(what: str, got: str, expected: str, todo: str) -> OptionError:
    return OptionError(f"Choosing the {what}", got=got, expected=expected, todo=todo)
