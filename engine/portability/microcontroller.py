"""Microcontrollers, by the interpreter of TFLite Micro on this machine.

Operators, arena and answers are the runtime's own. Its structures hold pointers, so on a device of
32 bits the arena is a little smaller. Its time here is no device's, and is left out.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core.errors import first_line
from engine.core.system import package_version
from engine.portability.host_answers import differences
from engine.portability.records import (
    Answer,
    Figure,
    LeftOperator,
    Question,
    Target,
    cut_reason,
    cut_words,
)
from engine.tflite.graph import Graph
from engine.tflite.interpreter import quantize

_PACKAGE = "tflite-micro"
_ARENA_BYTES = 512 << 20
_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")
_PART = re.compile(r"'([^']+)' used (\d+) bytes|Arena allocation (head|tail) (\d+) bytes")
_NODE = re.compile(r"Node (\w+) \(number (\d+)\) failed")
_MISSING = re.compile(r"Didn't find op for builtin opcode '(\w+)'")
_PART_WORDS = {"head": "scratch and activations", "tail": "structures that stay"}
_INT8 = "Choose an integer variant: int8, int8_optimized or int16x8."


@dataclass(frozen=True, slots=True)
class Shown:
    """What TFLite Micro does with a file, and with the pictures of a question.

    Attributes:
        answer: As a target's.
        inputs: What it was fed, in its own type, shape (1, ...) each; empty where it refuses.
        outputs: What it answered to each, likewise.
    """

    answer: Answer
    inputs: tuple[np.ndarray, ...] = ()
    outputs: tuple[np.ndarray, ...] = ()


def ask_tflite_micro(question: Question) -> Answer:
    """Load a file into TFLite Micro's interpreter, show it pictures, and read its arena."""
    return show_to_tflite_micro(question).answer


def show_to_tflite_micro(question: Question) -> Shown:
    """Ask TFLite Micro as `ask_tflite_micro` does, and keep what it was fed and answered."""
    from tflite_micro import runtime

    content = question.file.read_bytes()
    graph = Graph(content)
    with _printed() as printed:
        try:
            interpreter = runtime.Interpreter.from_bytes(content, arena_size=_ARENA_BYTES)
            shown = [_answer_of(interpreter, picture) for picture in question.pictures]
            interpreter.print_allocations()
        except (RuntimeError, ValueError) as error:
            words = printed() + str(error)
            return Shown(_refusal(graph, words, first_line(error)))
        words = printed()
    outputs = tuple(output for _, output in shown)
    answer = Answer(
        support="whole",
        operators=len(graph.operators),
        figures=(*_figures(words), _flash(len(content))),
        differences=differences(question, outputs, "reference", "XNNPACK"),
        words=cut_words(words),
    )
    return Shown(answer, tuple(fed for fed, _ in shown), outputs)


@contextmanager
def _printed() -> Iterator[Any]:
    """Collect what native code prints on standard error; yields a function that reads it."""
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)

        def read() -> str:
            file.seek(0)
            return file.read().decode(errors="replace")

        try:
            yield read
        finally:
            os.dup2(before, 2)
            os.close(before)


def _answer_of(interpreter: Any, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the input that a picture becomes, and what the interpreter answers."""
    details = interpreter.get_input_details(0)
    grid = details["quantization_parameters"]
    tensor = {
        "dtype": details["dtype"],
        "quantization": (*grid["scales"], *grid["zero_points"]) or (0.0, 0),
    }
    fed = quantize(picture[None], tensor)
    interpreter.set_input(fed, 0)
    interpreter.invoke()
    return fed, np.array(interpreter.get_output(0))


def _figures(words: str) -> list[Figure]:
    by = f"{_PACKAGE} {package_version(_PACKAGE)}"
    figures = [Figure("arena", float(m[1]), "measured", by) for m in _TOTAL.finditer(words)]
    for part in _PART.finditer(words):
        kind, size, end, end_size = part.groups()
        name = kind or _PART_WORDS[end]
        figures.append(Figure("arena", float(size or end_size), "measured", by, name))
    return figures


def _flash(size: int) -> Figure:
    return Figure("flash", float(size), "measured", "the size of the file")


def _refusal(graph: Graph, words: str, error: str) -> Answer:
    node, missing = _NODE.search(words), _MISSING.search(words)
    lines = [line for line in words.splitlines() if line.strip() and "Node " not in line]
    why = cut_reason(re.sub(r"^tensorflow/\S+ ", "", lines[0])) if lines else error
    left: tuple[LeftOperator, ...] = ()
    if node is not None and int(node[2]) < len(graph.operators):
        left = (LeftOperator(node[1], graph.operators[int(node[2])].name, why),)
    elif missing is not None:
        left = (LeftOperator(missing[1], "", why),)
    return Answer(
        support="refused",
        reason=why,
        todo=_INT8,
        left=left,
        operators=len(graph.operators),
        words=cut_words(words),
    )


TARGETS = (
    Target(
        name="microcontroller",
        title="Microcontroller",
        by="TFLite Micro's interpreter on this machine",
        how="measured",
        ask=ask_tflite_micro,
        package=_PACKAGE,
        module="tflite_micro",
        todo="Install it with: pip install --no-deps tflite-micro.",
        answers=True,
        variants=("int8", "uint8", "int8_per_tensor", "uint8_per_tensor"),
    ),
)
