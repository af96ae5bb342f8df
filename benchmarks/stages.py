"""The stages of the bench for one model: prepare, convert, check and measure, each resumable.

A model's folder holds what was prepared and one folder a converter; every result lies beside what
it came from, so that a stage whose inputs did not change is not done again.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.attempts import (
    FLOAT32,
    INT8,
    INT8_FLOAT_IO,
    PRECISIONS,
    Attempt,
    Precision,
    Prepared,
    attempt_file,
    read_attempt,
    read_prepared,
    shorten,
    write_record,
)
from benchmarks.checks import Check
from benchmarks.latency import Turns
from benchmarks.results import Entry, ModelResult
from benchmarks.tools import ROOT, Tool

# Generous, because what a process is run under may make it wait for its turn.
TIMEOUT_SECONDS = 1800
MEASURE_SECONDS = 15.0
LOG = "log.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """One model's folder and how processes are started for it.

    Attributes:
        folder: Where everything of this model lies.
        model: Its name.
        tools: Converters side by side.
        conversions_under: Words put before each conversion, such as ``nice``.
        measurements_under: Words put before each measurement, such as ``taskset -c 1``.
    """

    folder: Path
    model: str
    tools: tuple[Tool, ...]
    conversions_under: str
    measurements_under: str

    def prepare(self) -> Prepared:
        """Make what every converter starts from, unless it is there.

        Raises:
            SystemExit: The network cannot be prepared; the log's name is said.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / Prepared.FILE).is_file():
            command = [sys.executable, "-m", "benchmarks.prepare", self.model, str(self.folder)]
            reason = self._run(command, self.conversions_under, self.folder / "prepare.log")
            if reason is not None:
                raise SystemExit(f"{self.model}: preparing it failed ({reason})")
        return read_prepared(self.folder)

    def convert(self, tool: Tool, again: bool) -> None:
        """Let a converter make its files, unless it made them from the same.

        Args:
            tool: The converter.
            again: Whether to do it in any case.
        """
        out, key = self.folder / tool.name, tool.key(self.prepare())
        attempts = [read_attempt(out, precision) for precision in PRECISIONS]
        if not again and all(attempt is not None and attempt.key == key for attempt in attempts):
            return
        if not tool.python.is_file():
            raise SystemExit(f"{tool.name} has no environment yet; make it with: make bench-peers")
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        command = [str(tool.python), "-m", tool.module, str(self.folder), str(out), key]
        reason = self._run(command, self.conversions_under, out / LOG)
        for precision in PRECISIONS:
            if read_attempt(out, precision) is None:
                attempt = Attempt(
                    precision=precision,
                    key=key,
                    import_seconds=None,
                    convert_seconds=None,
                    failure=reason or "ended without a word",
                )
                write_record(attempt_file(out, precision), attempt)

    def check(self) -> None:
        """Hold every file against PyTorch, unless that file was checked already."""
        for tool in self.tools:
            for file in sorted((self.folder / tool.name).glob("*.tflite")):
                out = file.with_suffix(".check.json")
                if out.is_file() and out.stat().st_mtime > file.stat().st_mtime:
                    continue
                command = [sys.executable, "-m", "benchmarks.checks"]
                command += [str(self.folder), str(file), str(out)]
                log = file.with_suffix(".check.log")
                out.unlink(missing_ok=True)
                reason = self._run(command, self.conversions_under, log)
                if reason is not None:
                    out.write_text(json.dumps({"failure": reason}))

    def measure(self, precision: Precision, again: bool) -> None:
        """Time the files of all converters in turns, unless these very files were timed.

        Args:
            precision: Whose files.
            again: Whether to do it in any case.
        """
        sound_files = {tool.name: self._sound_file(tool, precision) for tool in self.tools}
        sound = {name: pair for name, pair in sound_files.items() if pair is not None}
        digests = {name: check.sha256 for name, (_, check) in sound.items()}
        of = self.folder / f"turns_{precision}.of.json"
        turns = self.folder / f"turns_{precision}.json"
        measured = turns.is_file() and of.is_file() and json.loads(of.read_text()) == digests
        if not sound or (measured and not again):
            return
        turns.unlink(missing_ok=True)
        command = [sys.executable, "-m", "benchmarks.latency", str(self.folder), str(turns)]
        command += [str(MEASURE_SECONDS), *(f"{name}={file}" for name, (file, _) in sound.items())]
        log = self.folder / f"turns_{precision}.log"
        reason = self._run(command, self.measurements_under, log)
        if reason is not None:
            raise SystemExit(f"{self.model}: timing failed ({reason})")
        of.write_text(json.dumps(digests))

    def result(self) -> ModelResult:
        """Put together what is known of the model."""
        prepared = read_prepared(self.folder)
        turns = {precision: self._turns(precision) for precision in PRECISIONS}
        entries = [
            self._entry(tool, precision, turns[precision])
            for precision in PRECISIONS
            for tool in self.tools
        ]
        first = next((taken for taken in turns.values() if taken is not None), None)
        return ModelResult(
            model=prepared.model,
            parameters=prepared.parameters,
            height=prepared.height,
            width=prepared.width,
            random_weights=prepared.random_weights,
            opset=prepared.opset,
            measured_at=first.measured_at if first else "",
            host=first.host if first else "",
            cores=first.cores if first else 0,
            int8_edges="float32" if self._int8_stem() == INT8_FLOAT_IO else "int8",
            entries=tuple(entries),
        )

    def _entry(self, tool: Tool, precision: Precision, turns: Turns | None) -> Entry:
        attempt = read_attempt(self.folder / tool.name, precision)
        failure = "not tried" if attempt is None else attempt.failure
        check: Check | None = None
        if failure is None:
            result = self._check(tool, precision)
            failure, check = (result, None) if isinstance(result, str) else (None, result)
        samples = turns.samples_ms.get(tool.name, ()) if turns and check else ()
        return Entry(
            tool=tool.name,
            precision=precision,
            failure=failure,
            import_seconds=attempt.import_seconds if attempt else None,
            convert_seconds=attempt.convert_seconds if attempt else None,
            note=attempt.note if attempt else "",
            check=check,
            samples_ms=samples,
        )

    def _turns(self, precision: Precision) -> Turns | None:
        file = self.folder / f"turns_{precision}.json"
        return msgspec.json.decode(file.read_bytes(), type=Turns) if file.is_file() else None

    def _int8_stem(self) -> str:
        """Edges that every converter with an int8 file has, so that like is timed with like."""
        stems = [
            {file.stem for file in (self.folder / tool.name).glob("int8*.tflite")}
            for tool in self.tools
        ]
        common = set.intersection(*filter(None, stems)) if any(stems) else {INT8}
        return INT8 if INT8 in common or not common else INT8_FLOAT_IO

    def _sound_file(self, tool: Tool, precision: Precision) -> tuple[Path, Check] | None:
        check = self._check(tool, precision)
        return None if isinstance(check, str) else (self._file(tool, precision), check)

    def _file(self, tool: Tool, precision: Precision) -> Path:
        stem = FLOAT32 if precision == "float32" else self._int8_stem()
        return self.folder / tool.name / f"{stem}.tflite"

    def _check(self, tool: Tool, precision: Precision) -> Check | str:
        file = self._file(tool, precision)
        if not file.is_file():
            return f"made no {file.name}"
        record = file.with_suffix(".check.json")
        if not record.is_file():
            return "its file was not checked yet"
        raw = record.read_bytes()
        failure = json.loads(raw).get("failure")
        if failure is not None:
            return f"its file does not run ({failure})"
        check = msgspec.json.decode(raw, type=Check)
        if check.layout != "NHWC":
            return "its file takes pictures in NCHW"
        return check

    def _run(self, command: Sequence[str], under: str, log: Path) -> str | None:
        """Run a command; None where it went well, else why not in one line."""
        environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [*shlex.split(under), *command],
                cwd=log.parent,  # converters leave files where they stand
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that a converter's own children end with it
            )
            try:
                code = process.wait(TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                return f"no end after {TIMEOUT_SECONDS} s"
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if code == 0:
            return None
        if code < 0:
            return f"killed by signal {-code}"
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
        return shorten(next((line for line in reversed(lines) if line), f"exit code {code}"))
