"""A stand-in for ``edgetpu_compiler``, whose output has the form of the real one's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import ConversionError
from engine.portability.catalog import choose_targets, tool_version
from engine.portability.edge_tpu_compiler import PROGRAM, ask_compiler
from engine.portability.records import Question
from tests.helpers.tiny_quantized import healthy

INT8 = healthy(layers=2, channels=4, pictures=1).int8_file()
# The lines are those of published logs of version 16.0.384591198.
HEAD = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.
"""
WHOLE = f"""{HEAD}
Model compiled successfully in 63 ms.

Input model: tiny.tflite
Input size: 3.05KiB
Output model: tiny_edgetpu.tflite
Output size: 28.00KiB
On-chip memory used for caching model parameters: 18.00KiB
On-chip memory remaining for caching model parameters: 6.86MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 2
Operation log: tiny_edgetpu.log
See the operation log file for individual operation details.
Compilation child process completed within timeout period.
Compilation succeeded!
"""
TABLE = """Edge TPU Compiler version 16.0.384591198
Input: tiny.tflite
Output: tiny_edgetpu.tflite

Operator                       Count      Status

CONV_2D                        2          Mapped to Edge TPU
"""
PARTLY = TABLE + (
    "RESHAPE                        2          More than one subgraph is not supported\n"
    "DEQUANTIZE                     1          Operation is working on an unsupported data type\n"
)
UNFIT = f"{HEAD}ERROR: Didn't find op for builtin opcode 'CONV_2D' version '6'.\nERROR: x\n"


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: str, table: str = "", code: int = 0
) -> None:
    """Put a script on the path that prints words, and writes the log of operators."""
    folder.mkdir(exist_ok=True)
    (folder / "words").write_text(words)
    (folder / "table").write_text(table)
    script = folder / PROGRAM
    copy = f'cp "{folder}/table" "$2/tiny_edgetpu.log"\n' if table else ""
    script.write_text(
        f'#!/bin/sh\n[ "$1" = --out_dir ] || exit 9\n{copy}cat "{folder}/words"\nexit {code}\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.fixture
def question(tmp_path: Path) -> Question:
    file, work = tmp_path / "tiny.tflite", tmp_path / "work with a space"
    file.write_bytes(INT8)
    work.mkdir()
    return Question(file, np.empty((0,), np.float32), work)


def test_a_file_that_is_mapped_whole(
    question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "bin", monkeypatch, WHOLE, TABLE)
    answer = ask_compiler(question)
    assert (answer.support, answer.left, answer.operators) == ("whole", (), 2)
    figures = {figure.name: (figure.value, figure.how, figure.by) for figure in answer.figures}
    by = "Edge TPU Compiler 16.0.384591198"
    assert figures == {
        "on_chip": (18 * 1024, "estimated", by),
        "off_chip": (0, "estimated", by),
    }
    assert "Mapped to Edge TPU" in answer.words


def test_what_is_not_mapped_is_listed_with_its_status(
    question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "bin", monkeypatch, WHOLE, PARTLY)
    answer = ask_compiler(question)
    assert (answer.support, answer.left_names) == ("part", "2 × RESHAPE, DEQUANTIZE")
    assert answer.reason == (
        "More than one subgraph is not supported. Operation is working on an unsupported data type."
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (f"{HEAD}Invalid model: tiny.tflite\nModel not quantized\n", "Model not quantized."),
        (
            UNFIT.removesuffix("ERROR: x\n"),
            "Didn't find op for builtin opcode 'CONV_2D' version '6'.",
        ),
    ],
)
def test_a_refusal_is_a_sentence(
    question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, reason: str
) -> None:
    install(tmp_path / "bin", monkeypatch, words, code=1)
    answer = ask_compiler(question)
    assert (answer.support, answer.reason, answer.figures) == ("refused", reason, ())


@pytest.mark.parametrize("words", ["", f"{HEAD}Internal compiler error. Aborting!\n", WHOLE])
def test_a_compiler_that_fails_is_no_refusal(
    question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    install(tmp_path / "bin", monkeypatch, words, code=0 if words == WHOLE else 1)
    with pytest.raises(ConversionError, match="Edge TPU Compiler"):
        ask_compiler(question)


def test_the_compiler_is_asked_where_it_is_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rules,) = choose_targets(["edge-tpu"])
    assert (rules.how, tool_version(rules)) == ("rule", "")
    install(tmp_path / "bin", monkeypatch, WHOLE, TABLE)
    (compiler,) = choose_targets(["edge-tpu"])
    assert (compiler.how, compiler.by) == ("estimated", "Edge TPU Compiler")
    before = tool_version(compiler)
    install(tmp_path / "bin", monkeypatch, WHOLE * 2, TABLE)
    os.utime(tmp_path / "bin" / PROGRAM, (1, 1))
    assert tool_version(compiler) != before
