"""Arm's NPUs Ethos-U55, U65 and U85, by their own compiler, Vela.

Time is Vela's estimate of the NPU's part, in the system that Vela assumes for the configuration;
operators left to the processor beside it take theirs on top.
"""

from __future__ import annotations

import csv
import re
import sys
from functools import partial
from pathlib import Path

from engine.core.errors import ConversionError
from engine.core.programs import last_line, read_words, run_program
from engine.core.system import package_version
from engine.portability.records import (
    Answer,
    Figure,
    FigureName,
    LeftOperator,
    Question,
    Target,
    cut_reason,
    cut_words,
    first_reason,
)
from engine.tflite.graph import Graph

CONFIGURATIONS = {
    "ethos-u55-128": "Ethos-U55, 128 MACs",
    "ethos-u55-256": "Ethos-U55, 256 MACs",
    "ethos-u65-256": "Ethos-U65, 256 MACs",
    "ethos-u65-512": "Ethos-U65, 512 MACs",
    "ethos-u85-256": "Ethos-U85, 256 MACs",
}
"""Vela's names of the configurations, with titles."""
_PACKAGE = "ethos-u-vela"
_NPU = "ethos-u"
_SECONDS = 120
_KIBIBYTE = 1024
_CALL = "import sys; from ethosu.vela.vela import main; sys.exit(main(sys.argv[1:]))"
_WARNING = re.compile(
    r"^Warning \([^)]*operators\) operator: (\w+), ofm: '([^']*)'\nReason: (.*)", re.MULTILINE
)
_TENSOR = re.compile(r" \([^()]*\)$")
_TABLE = re.compile(r"^#+\nPerformance for NPU.*?\n\n", re.MULTILINE | re.DOTALL)
_INTEGER_EDGES = "Choose an integer variant with integer edges: int8 or int8_optimized."
_MEMORIES: tuple[tuple[FigureName, tuple[str, ...]], ...] = (
    ("sram", ("sram_memory_used",)),
    ("dram", ("dram_memory_used",)),
    ("flash", ("on_chip_flash_memory_used", "off_chip_flash_memory_used")),
)


def ask_vela(question: Question, configuration: str) -> Answer:
    """Compile a file for a configuration, and read Vela's summary and what it left behind."""
    words = _compile(question, configuration)
    graph = Graph(question.file.read_bytes())
    compiled = Graph(_single(question.folder, "*_vela.tflite").read_bytes())
    left = _left(compiled, words)
    summary = read_summary(_single(question.folder, "*_summary_*.csv"))
    if not _runs_on_npu(compiled):
        return Answer(
            support="refused",
            reason=f"No operator runs on the NPU. {first_reason(left)}".strip(),
            todo=_INTEGER_EDGES,
            left=left,
            operators=len(graph.operators),
            words=cut_words(words),
        )
    edges = {operator.opcode for operator in left} <= {"QUANTIZE", "DEQUANTIZE"}
    return Answer(
        support="part" if left else "whole",
        reason=first_reason(left),
        todo="Choose a variant with integer edges, and quantize in the app." * bool(left and edges),
        left=left,
        operators=len(graph.operators),
        figures=_figures(summary),
        cycles=read_cycles(_single(question.folder, "*_per-layer.csv"), graph),
        words=cut_words(words),
    )


def compile_file(question: Question, configuration: str) -> Path:
    """Compile a file for a configuration.

    Returns:
        The compiled file: a TFLite file with an operator of the NPU in it.

    Raises:
        ConversionError: Vela failed, or left every operator to the processor.
    """
    _compile(question, configuration)
    compiled = _single(question.folder, "*_vela.tflite")
    if not _runs_on_npu(Graph(compiled.read_bytes())):
        raise ConversionError(
            f"Compiling {question.file.name} for {configuration}",
            got="no operator on the NPU",
            expected="a file that uses it",
            todo=_INTEGER_EDGES,
        )
    return compiled


def _runs_on_npu(compiled: Graph) -> bool:
    return any(operator.opcode == _NPU for operator in compiled.operators)


def _compile(question: Question, configuration: str) -> str:
    """Run Vela in a process of its own, and return what it printed.

    Raises:
        ConversionError: It failed.
    """
    failure = partial(
        ConversionError,
        f"Compiling {question.file.name} for {configuration}",
        expected="a compiled file",
        todo="Leave this target out, or write what it names in another way.",
    )
    options = ["--accelerator-config", configuration, "--output-dir", str(question.folder)]
    options += ["--show-cpu-operations", "--verbose-performance"]
    command = [sys.executable, "-c", _CALL, str(question.file), *options]
    ended = run_program(command, _SECONDS, "Vela", failure, question.folder)
    words = read_words(ended)
    if ended.returncode != 0 or not list(question.folder.glob("*_vela.tflite")):
        raise failure(got=f"exit code {ended.returncode} of Vela: {cut_reason(last_line(words))}")
    return _TABLE.sub("", words)  # it stands in the CSV file


def _single(folder: Path, pattern: str) -> Path:
    (file,) = folder.glob(pattern)
    return file


def read_summary(file: Path) -> dict[str, str]:
    """Read Vela's summary, a CSV file of one row."""
    with file.open(newline="") as opened:
        (row,) = csv.DictReader(opened)
    return row


def read_cycles(file: Path, graph: Graph) -> dict[int, float]:
    """Add up Vela's cycles of each operator of a file, by its index.

    Vela makes several operators of one, such as a convolution and its activation, and names them by
    the output of the one, some with a suffix. Operators of the processor have no estimate.
    """
    indexes = {operator.name: index for index, operator in enumerate(graph.operators)}
    cycles: dict[int, float] = {}
    with file.open(newline="") as opened:
        for row in csv.DictReader(opened):
            name = row["Name"]
            while name not in indexes and "_" in name:
                name = name.rpartition("_")[0]
            if row["Target"] == "NPU" and name in indexes:
                index = indexes[name]
                cycles[index] = cycles.get(index, 0.0) + float(row["Op Cycles"])
    return cycles


def _figures(summary: dict[str, str]) -> tuple[Figure, ...]:
    """Take memory, in KiB there, and time, in seconds there, from Vela's summary."""
    by = f"Vela {package_version(_PACKAGE)}, {summary['system_config']}, {summary['memory_mode']}"
    milliseconds = float(summary["inference_time"]) * 1000
    figures = [Figure("time", milliseconds, "estimated", by)]
    for name, columns in _MEMORIES:
        size = sum(float(summary[column]) for column in columns) * _KIBIBYTE
        if size:
            figures.append(Figure(name, size, "estimated", by))
    return tuple(figures)


def _left(compiled: Graph, words: str) -> tuple[LeftOperator, ...]:
    """List the operators that Vela left in the file as they were, with its reasons."""
    reasons = {
        (opcode, name): cut_reason(_TENSOR.sub("", reason))
        for opcode, name, reason in _WARNING.findall(words)
    }
    return tuple(
        LeftOperator(op.opcode, op.name, reasons.get((op.opcode, op.name), ""))
        for op in compiled.operators
        if op.opcode != _NPU
    )


TARGETS = tuple(
    Target(
        name=name,
        title=title,
        by="Vela, Arm's compiler",
        how="estimated",
        ask=partial(ask_vela, configuration=name),
        compile=partial(compile_file, configuration=name),
        package=_PACKAGE,
        module="ethosu.vela",
        revision=2,
        todo="Install it with: pip install --no-deps ethos-u-vela.",
        variants=("int8", "uint8", "int8_per_tensor", "uint8_per_tensor"),
    )
    for name, title in CONFIGURATIONS.items()
)
