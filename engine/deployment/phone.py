"""``benchmark_model`` on a phone: the command that runs it, and a reader of its output.

The tool prints its timings in microseconds in one line that has had three wordings::

    Inference timings in us: Init: 3400, First inference: 11386, … Inference (avg): 9800
    Average inference timings in us: Warmup: 83235, Init: 38467, Inference: 79760.9
    Average inference timings in us: Warmup: 2331.42, Init: 896, no stats: 2177.1

and before it one line a phase, the last of which is that of the timed calls::

    count=100 first=10023 curr=9790 min=9600 max=11000 avg=9800 std=120 p5=9650 median=9780 p95=9990

and after it what memory grew by, in MiB::

    Memory footprint delta from the start of the tool (MB): init=6.14844 overall=109.848

Sources: ``benchmark_model.cc`` of TensorFlow Lite, now and before 2020.
"""

from __future__ import annotations

import hashlib
import math
import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import msgspec

from engine.core.checksums import read_record
from engine.core.errors import FileError, RunError
from engine.core.files import write_whole
from engine.deployment.description import model_file
from engine.runs.run import PHONE, Run

_STAGE = "Reading the output of benchmark_model"
LARGEST_BYTES = 8 * 1024**2
ROUNDS = 50

_NUMBER = r"([-+0-9.eE]+|nan|inf)"
_SUMMARY = re.compile(r"^.*inference timings in us:(.*)$", re.IGNORECASE | re.MULTILINE)
_MEAN = re.compile(rf"(?:Inference \(avg\)|\bInference|\bno stats): {_NUMBER}")
_COUNTED = re.compile(r"count=(\d+)\s(?:[^\n]*)")
_FIELD = re.compile(rf"\b(first|min|max|avg|std|p5|median|p95)={_NUMBER}")
_THREADS = re.compile(r"(?:Num threads|#threads used for CPU inference): \[(-?\d+)\]")
_GRAPH = re.compile(r"Graph: \[([^\]\n]+)\]")
_SIZE = re.compile(rf"input model file size \(MB\): {_NUMBER}")
_MEMORY = re.compile(rf"Memory footprint delta[^\n]*\(MB\): [^\n]*\boverall={_NUMBER}")
_FIRST = re.compile(rf"First inference: {_NUMBER}")
_DELEGATE = re.compile(r"Created TensorFlow Lite (?:delegate for )?(\w+)")


@dataclass(frozen=True, slots=True)
class PhoneTiming:
    """Timings of one call of ``benchmark_model``.

    Attributes:
        mean_ms: Mean time of the timed calls, in milliseconds.
        median_ms: Their median, where the tool prints it.
        std_ms: Their standard deviation, where it prints it.
        first_ms: The first call of all, where it prints it.
        calls: Timed calls; None where it does not say.
        threads: Threads; None where it does not say.
        file: Name of the model file; None where it does not say.
        megabytes: Size of that file in 10^6 bytes; None where it does not say.
        delegate: XNNPACK, NNAPI, GPU …; None where none was named.
        memory_bytes: By how much the tool's memory grew; approximate, as it says itself.
    """

    mean_ms: float
    median_ms: float | None = None
    std_ms: float | None = None
    first_ms: float | None = None
    calls: int | None = None
    threads: int | None = None
    file: str | None = None
    megabytes: float | None = None
    delegate: str | None = None
    memory_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class PhoneBenchmark:
    """A timing that was brought into a run.

    Attributes:
        variant: Whose model was timed.
        phone: What the person calls the phone.
        timing: What was found.
        added_at: UTC time in ISO 8601.
        digest: SHA-256 of the text that it was read from.
    """

    variant: str
    phone: str
    timing: PhoneTiming
    added_at: str
    digest: str


def benchmark_log(file: str) -> str:
    """Name of the file that the command writes the tool's output to."""
    return f"benchmark_{PurePosixPath(file).stem}.txt"


def benchmark_command(file: str, threads: int = 1) -> str:
    """Write the commands that time a model on a phone over adb.

    Args:
        file: The model, as it lies in the kit.
        threads: Threads to give it; 1 is what this machine's figures are measured with.

    Returns:
        Lines for a POSIX shell.
    """
    # adb joins its arguments for the phone's shell, which reads the quotes a second time.
    graph = shlex.quote(shlex.quote(f"--graph=/data/local/tmp/{file}"))
    return "\n".join(
        (
            f"adb push benchmark_model {shlex.quote(file)} /data/local/tmp/",
            "adb shell chmod +x /data/local/tmp/benchmark_model",
            f"adb shell /data/local/tmp/benchmark_model {graph} \\",
            f"  --num_threads={threads} --num_runs={ROUNDS} --use_xnnpack=true "
            f"2>&1 | tee {shlex.quote(benchmark_log(file))}",
        )
    )


def read_timing(text: str) -> PhoneTiming:
    """Read the output of ``benchmark_model``.

    Args:
        text: What it printed, alone or among other lines such as those of logcat.

    Returns:
        The timing; the last one where the text holds several calls of the tool.

    Raises:
        FileError: There is no timing in it, or one that is no time.
    """
    summaries = [line for line in _SUMMARY.finditer(text) if _MEAN.search(line.group(1))]
    if not summaries:
        raise FileError(
            _STAGE,
            got=_describe(text),
            expected="its line 'Inference timings in us: …'",
            todo="Give everything that the tool printed; where it stopped early, run it again.",
        )
    summary = summaries[-1].group(1)
    printed = _MEAN.findall(summary)[-1]
    mean = _microseconds(printed)
    if mean is None:
        raise FileError(
            _STAGE,
            got=f"'{printed}' as the time of a call",
            expected="microseconds, more than 0",
            todo="Run the tool again.",
        )
    # What was said before an earlier call's end belongs to that call.
    begin = summaries[-2].end() if len(summaries) > 1 else 0
    own = text[begin : summaries[-1].start()]
    calls, fields = _read_calls(own)
    first, sizes = _FIRST.findall(summary), _SIZE.findall(own)
    graphs, threads, delegates = (p.findall(own) for p in (_GRAPH, _THREADS, _DELEGATE))
    return PhoneTiming(
        mean_ms=mean,
        median_ms=_microseconds(fields.get("median", "")),
        std_ms=_microseconds(fields.get("std", "")),
        first_ms=_microseconds(first[-1]) if first else None,
        calls=calls,
        threads=int(threads[-1]) if threads and int(threads[-1]) > 0 else None,
        file=PurePosixPath(graphs[-1].replace("\\", "/")).name if graphs else None,
        megabytes=_number(sizes[-1]) if sizes else None,
        delegate=delegates[-1] if delegates else None,
        memory_bytes=_read_memory(text[summaries[-1].end() :]),
    )


def _describe(text: str) -> str:
    errors = [
        line.strip() for line in text.splitlines() if re.match(r"\s*(ERROR|E )", line) is not None
    ]
    if errors:
        return f"a run that failed ('{errors[-1][:160]}')"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"a text that begins '{lines[0][:80]}'" if lines else "an empty text"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _microseconds(text: str) -> float | None:
    value = _number(text)
    return value / 1000 if value else None


def _read_memory(text: str) -> float | None:
    printed = _MEMORY.search(text)
    value = None if printed is None else _number(printed[1])
    return None if value is None else value * 2**20


def _read_calls(text: str) -> tuple[int | None, dict[str, str]]:
    lines = list(_COUNTED.finditer(text))
    if not lines:
        return None, {}
    return int(lines[-1].group(1)), dict(_FIELD.findall(lines[-1].group(0)))


def variant_of(run: Run, timing: PhoneTiming) -> str | None:
    """Find the variant of a run that was timed, by the name of its file; None where unclear."""
    if timing.file is None:
        return None
    fitting = [
        artifact.variant
        for artifact in run.artifacts
        if timing.file in {model_file(run, artifact.variant), artifact.file}
    ]
    return fitting[0] if len(fitting) == 1 else None


def add_benchmark(run: Run, variant: str, phone: str, text: str) -> PhoneBenchmark:
    """Keep the output of ``benchmark_model`` in a run.

    Args:
        run: The run.
        variant: Whose model was timed.
        phone: What to call the phone.
        text: What the tool printed.

    Returns:
        What is kept; the same text is kept once.

    Raises:
        FileError: The text is not the tool's, or is about another variant's file.
        OptionError: The run has no such variant.
        StorageError: The disk refuses.
    """
    run.artifact(variant)
    timing = read_timing(text)
    about = variant_of(run, timing)
    if about is not None and about != variant:
        raise FileError(
            _STAGE,
            got=f"timings of {timing.file}, the file of {about}",
            expected=f"those of {model_file(run, variant)}",
            todo=f"Choose {about}, or give the other text.",
        )
    digest = hashlib.sha256(text.encode()).hexdigest()
    benchmark = PhoneBenchmark(
        variant=variant,
        phone=" ".join(phone.split())[:60] or "phone",
        timing=timing,
        added_at=datetime.now(UTC).isoformat(timespec="seconds"),
        digest=digest,
    )
    write_whole(_file(run, benchmark), msgspec.json.encode(benchmark))
    return benchmark


def remove_benchmark(run: Run, benchmark: PhoneBenchmark) -> None:
    """Take a timing out of a run again."""
    _file(run, benchmark).unlink(missing_ok=True)


def _file(run: Run, benchmark: PhoneBenchmark) -> Path:
    return run.folder / PHONE / f"{benchmark.variant}-{benchmark.digest[:16]}.json"


def benchmarks_of(run: Run) -> tuple[PhoneBenchmark, ...]:
    """Read the timings that were brought into a run, in the order they came.

    Raises:
        RunError: One of them is damaged.
    """
    benchmarks = []
    for file in sorted((run.folder / PHONE).glob("*.json")):
        todo = f"Delete {file} and add the text again."
        try:
            benchmarks.append(
                read_record(file, PhoneBenchmark, f"Opening the run {run.folder.name}", todo)
            )
        except RunError:
            if file.exists():  # else another person removed it since it was listed
                raise
    return tuple(sorted(benchmarks, key=lambda benchmark: benchmark.added_at))
