"""Changed .tflite files asked about on this machine's GPU, and shown to a stand-in compiler."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.portability.edge_tpu_compiler import PROGRAM
from engine.tasks.targets import TargetRequest, run_target
from engine.workers.process import Worker
from tests.helpers.software_gpu import use_software_gpu
from tests.hostile.mutants import mutant
from tests.hostile.rows import Noted, Row, Scaled
from tests.hostile.test_tflite_files import seeds_of_mutants

pytestmark = pytest.mark.hostile

# By the file's size it maps some, refuses, fails, prints noise, or is killed.
_COMPILER = """#!/bin/sh
size=$(wc -c < "$3")
echo "Edge TPU Compiler version 16.0.384591198"
case $((size % 5)) in
0) echo "CONV_2D 99999999 Mapped to Edge TPU"; echo "RESHAPE 99999999999999 No reason" ;;
1) echo "Invalid model: x"; echo "Model not quantized"; exit 1 ;;
2) echo "Internal compiler error. Aborting!"; exit 134 ;;
3) head -c 2000000 "$3" ; head -c 2000000 /dev/urandom ;;
4) kill -SEGV $$ ;;
esac
"""


def ask_about_mutants(target: str, row: Row, folder: Path) -> None:
    whole = seeds_of_mutants(folder)
    worker, file = Worker(), folder / "x.tflite"
    try:
        for number, rng in row.cases():
            file.write_bytes(mutant(rng.choice(whole), rng))
            if not worker.alive:
                worker.close()
                worker = Worker()
            with row.tried(number, "answered"):
                answer = worker.run(run_target, TargetRequest(target=target, file=str(file)))
                assert answer.support in {"whole", "part"} or answer.reason
                assert all(np.isfinite(figure.value) for figure in answer.figures)
    finally:
        worker.close()
    row.check()


@pytest.mark.timeout(1200)
def test_on_a_gpu_in_software(
    scaled: Scaled, noted: Noted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_software_gpu(monkeypatch)
    ask_about_mutants("gpu", Row("mutated .tflite on a GPU", scaled(200), noted), tmp_path)


@pytest.mark.timeout(600)
def test_shown_to_a_compiler_that_misbehaves(
    scaled: Scaled, noted: Noted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "bin" / PROGRAM
    compiler.parent.mkdir()
    compiler.write_text(_COMPILER)
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}:{os.environ['PATH']}")
    row = Row("mutated .tflite, Edge TPU Compiler", scaled(200), noted)
    ask_about_mutants("edge-tpu", row, tmp_path)
