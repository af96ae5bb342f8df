"""Compile a file of a run for a target whose compiler makes another file of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.core.checksums import is_verified, move_verified
from engine.core.errors import OptionError
from engine.core.limits import LIMITS
from engine.core.locks import shared_lock
from engine.core.types import Progress, Report
from engine.portability.catalog import has_tool, target_named
from engine.portability.records import Question, Target
from engine.runs.run import Run
from engine.runs.staging import fresh_staging_folder
from engine.tasks.targets import answer_file
from engine.workers.process import Host, Worker

_STAGE = "Compiling for a target"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileRequest:
    """Compile a file.

    Attributes:
        target: Name of the target.
        file: The TFLite file.
        out: Where the compiled file is to be.
    """

    target: str
    file: str
    out: str


def run_compile(request: CompileRequest, _: Report) -> bool:
    """Compile a file."""
    target = target_named(request.target)
    assert target.compile is not None
    with tempfile.TemporaryDirectory() as folder:
        nothing = np.empty((0,), np.float32)
        compiled = target.compile(Question(Path(request.file), nothing, Path(folder)))
        shutil.copyfile(compiled, request.out)
    return True


def compiled_file(run: Run, variant: str, target: Target) -> Path | None:
    """Find the compiled file that a run keeps, by the content of the variant's and the compiler."""
    file = answer_file(run, variant, target).with_suffix(".tflite")
    return file if is_verified(file) else None


def compile_for_target(run: Run, variant: str, name: str, host: Host) -> Path:
    """Compile a variant for a target, once; see `engine.compile_for`.

    Raises:
        OptionError: A name is wrong, nothing is compiled for this target, or its compiler is not
            installed.
        ConversionError: The compiler failed, or leaves every operator to the processor.
    """
    target = target_named(name)
    if target.compile is None or not has_tool(target):
        raise OptionError(
            _STAGE,
            got=f"'{name}'" + (f" without {target.package}" if target.compile else ""),
            expected="a target whose compiler is installed",
            todo=target.todo if target.compile else "Take the variant's own file there.",
        )
    before = compiled_file(run, variant, target)
    if before is not None:
        return before
    file = answer_file(run, variant, target).with_suffix(".tflite")
    with shared_lock(run.folder), fresh_staging_folder(file) as staging:
        out = staging / file.name
        request = CompileRequest(
            target=name, file=os.fspath(run.file(variant).absolute()), out=str(out.absolute())
        )
        host.report(Progress(f"Compiling {variant} for {target.title}", 0, 1))
        with Worker(LIMITS.foreign_silent_seconds) as worker:
            host.adopt(worker).run(run_compile, request, host.report)
        move_verified(out, file)
    return file


def compiled_name(run: Run, variant: str, target: str) -> str:
    """Name the compiled file for somebody who takes it home."""
    name = f"{run.manifest.model.file_stem}_{variant}_{target}.tflite"
    return "".join(c if c.isalnum() or c in "_-." else "_" for c in name)
