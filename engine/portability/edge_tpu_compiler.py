"""``edgetpu_compiler``, Google's compiler for the Coral Edge TPU: runs it and reads what it prints.

It says how many operators of a kind are mapped and why others are not, not which they are::

    Edge TPU Compiler version 16.0.384591198
    On-chip memory used for caching model parameters: 3.33MiB
    Off-chip memory used for streaming uncached model parameters: 0.00B
    Total number of operations: 31

    Operator                       Count      Status
    CONV_2D                        15         Mapped to Edge TPU
    DEQUANTIZE                     1          Operation is working on an unsupported data type

Source: "Edge TPU Compiler", https://coral.ai/docs/edgetpu/compiler/; the same lines stand in logs
that people published, of versions 14.1 and 16.0.
"""

from __future__ import annotations

import re
from functools import partial

from engine.core.errors import ConversionError
from engine.core.programs import Failure, last_line, read_words, run_program
from engine.portability.records import (
    Answer,
    Figure,
    FigureName,
    LeftOperator,
    Question,
    cut_reason,
    cut_words,
    first_reason,
)
from engine.tflite.graph import Graph

PROGRAM = "edgetpu_compiler"
_SECONDS = 300
_MAPPED = "Mapped to Edge TPU"
_VERSION = re.compile(r"^Edge TPU Compiler version (\S+)", re.MULTILINE)
_ROW = re.compile(r"^([A-Z][A-Z0-9_]*) +(\d+) +(\S[^\n]*?) *$", re.MULTILINE)
_REFUSAL = re.compile(r"^(?:ERROR: |Compilation failed: |Model not |Invalid model)[^\n]*", re.M)
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_MEMORIES: tuple[tuple[FigureName, str], ...] = (
    ("on_chip", "On-chip memory used for caching model parameters"),
    ("off_chip", "Off-chip memory used for streaming uncached model parameters"),
)


def ask_compiler(question: Question) -> Answer:
    """Compile a file for the Edge TPU, and read how much of it was mapped.

    Raises:
        ConversionError: The compiler failed, or printed something else.
    """
    graph = Graph(question.file.read_bytes())
    failure = partial(
        ConversionError,
        f"Compiling {question.file.name} for the Edge TPU",
        expected="its table of operators",
        todo=f"Leave this target out, or install {PROGRAM} again.",
    )
    code, words = _compile(question, failure)
    by = f"Edge TPU Compiler {_only(_VERSION, words)}".rstrip()
    rows = [(name, int(count), status) for name, count, status in _ROW.findall(words)]
    if code != 0 or not rows:
        refusals = [cut_reason(refusal) for refusal in _REFUSAL.findall(words)]
        if not refusals:
            raise failure(got=f"exit code {code} of {by}: {cut_reason(last_line(words))}")
        # What is most exact comes last: "Invalid model" before "Model not quantized".
        return Answer(
            support="refused",
            reason=f"{refusals[-1].removeprefix('ERROR: ').rstrip('.')}.",
            todo="Choose an int8 variant.",
            operators=len(graph.operators),
            words=cut_words(words),
        )
    left = tuple(
        LeftOperator(name, "", cut_reason(status))
        for name, count, status in rows
        if status != _MAPPED
        for _ in range(min(count, len(graph.operators)))
    )
    mapped = any(status == _MAPPED for _, _, status in rows)
    return Answer(
        support="refused" if not mapped else "part" if left else "whole",
        reason=first_reason(left),
        todo="The CPU runs what is not mapped; write the first such operator in another way."
        * bool(left),
        left=left,
        operators=len(graph.operators),
        figures=_figures(words, by) if mapped else (),
        words=cut_words(words),
    )


def _compile(question: Question, failure: Failure) -> tuple[int, str]:
    """Run the compiler; return its exit code, and what it printed with its log of operators."""
    command = [PROGRAM, "--out_dir", str(question.folder), str(question.file)]
    ended = run_program(command, _SECONDS, PROGRAM, failure, question.folder)
    logs = [log.read_bytes() for log in sorted(question.folder.glob("*.log"))]
    words = read_words(ended)
    if not _ROW.search(words):
        words = "\n".join([words, *(log.decode(errors="replace") for log in logs)])
    return ended.returncode, words


def _figures(words: str, by: str) -> tuple[Figure, ...]:
    figures = []
    for name, title in _MEMORIES:
        size = re.search(rf"^{title}: *([0-9.]+) *([KMG]?i?B)", words, re.MULTILINE)
        if size is not None and size[2] in _UNITS:
            figures.append(Figure(name, float(size[1]) * _UNITS[size[2]], "estimated", by))
    return tuple(figures)


def _only(pattern: re.Pattern[str], words: str) -> str:
    match = pattern.search(words)
    return "" if match is None else match[1]
