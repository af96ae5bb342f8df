"""This machine's CPU, by LiteRT in a process of its own.

``python -m engine.portability.cpu EMPTY FILE`` prints one JSON record. Memory is resident memory
above what the process holds once it has run an empty interpreter; pages of the file count where
they were read. The peak is the system's own mark, reset before the file is loaded.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from engine.core.errors import ConversionError
from engine.core.programs import last_line, run_program
from engine.core.system import host_name, package_version
from engine.portability.records import (
    Answer,
    Figure,
    LeftOperator,
    Question,
    Target,
    cut_reason,
)
from engine.tflite.graph import Graph, pack_model

CPU = "cpu"
_PACKAGE = "ai-edge-litert"
_SECONDS = 300
_REFUSED = 3
"""Exit code where LiteRT refuses the file: Python itself ends with 1 on any other error."""
_STEADY_CALLS = 10
_STEADY_SECONDS = 3.0
_FURTHER_LOADS = 5
_LOADING_SECONDS = 1.0
_KIBIBYTE = 1024
_PLAIN = "A kernel of LiteRT's own"
_FAILURE = partial(
    ConversionError,
    "Running the file in a process of its own",
    expected="some calls",
    todo="Leave this target out.",
)


class Measured(msgspec.Struct, frozen=True):
    """What the process measures: milliseconds, bytes, and indexes of operators that XNNPACK takes.

    The arena is that of LiteRT as it runs; activations between operators that XNNPACK takes lie in
    memory of XNNPACK's own. ``plain_arena`` is that of LiteRT's own kernels alone; None where these
    refuse the file.
    """

    load: float
    first_call: float
    time: float
    loaded_memory: float
    peak_memory: float
    arena: float
    plain_arena: float | None
    delegated: frozenset[int]


def ask_litert(question: Question) -> Answer:
    """Run a file in a process of its own with one thread, and measure it."""
    graph = Graph(question.file.read_bytes())
    empty = question.folder / "empty.tflite"
    empty.write_bytes(_empty_file())
    command = [sys.executable, "-P", "-m", __name__, str(empty), str(question.file)]
    ended = run_program(command, _SECONDS, "LiteRT", _FAILURE)
    if ended.returncode != 0:
        why = cut_reason(last_line(ended.stderr.decode(errors="replace")))
        if ended.returncode == _REFUSED:
            return Answer(support="refused", reason=why, operators=len(graph.operators))
        raise _FAILURE(got=f"the end of the process with code {ended.returncode}: {why}")
    measured = msgspec.json.decode(ended.stdout, type=Measured)
    by = f"LiteRT {package_version(_PACKAGE)}, one thread, {host_name()}"
    plain = tuple(
        LeftOperator(operator.opcode, operator.name, _PLAIN)
        for index, operator in enumerate(graph.operators)
        if index not in measured.delegated
    )
    return Answer(
        support="whole",
        reason=_taken_sentence(len(graph.operators), len(plain)),
        operators=len(graph.operators),
        plain=plain,
        figures=(
            Figure("load", measured.load, "measured", by),
            Figure("first_call", measured.first_call, "measured", by),
            Figure("time", measured.time, "measured", by),
            Figure("loaded_memory", measured.loaded_memory, "measured", by),
            Figure("peak_memory", measured.peak_memory, "measured", by),
            Figure("arena", measured.arena, "measured", by, "LiteRT's arena, with XNNPACK"),
            *_plain_arena(measured, by),
        ),
    )


def _plain_arena(measured: Measured, by: str) -> Iterator[Figure]:
    if measured.plain_arena is not None:
        yield Figure("arena", measured.plain_arena, "measured", by, "LiteRT's arena without it")


def _taken_sentence(operators: int, plain: int) -> str:
    if not plain:
        return "XNNPACK takes every operator."
    if plain == operators:
        return "XNNPACK takes no operator: LiteRT's own kernels run them all."
    count = f"{operators - plain} of {operators} operators"
    return f"XNNPACK takes {count}; LiteRT's own kernels run the rest."


def _empty_file() -> bytes:
    """Write a TFLite file that adds one number to itself."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = [schema.TensorT(), schema.TensorT()]
    for tensor, name in zip(tensors, "xy", strict=True):
        tensor.name, tensor.shape, tensor.buffer = name, [1], 0
    code: Any = schema.OperatorCodeT()
    code.version, code.builtinCode = 1, schema.BuiltinOperator.ADD
    operator: Any = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 0], [1]
    operator.builtinOptionsType = schema.BuiltinOptions.AddOptions
    operator.builtinOptions = schema.AddOptionsT()
    graph: Any = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], [0], [1]
    model: Any = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    model.buffers = [schema.BufferT()]
    return pack_model(model, 0)


def _memory(name: str) -> int:
    """Read a line of this process's status in bytes: ``VmRSS``, or its peak, ``VmHWM``."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _KIBIBYTE
    raise OSError(f"no {name} in /proc/self/status")


def _start(file: str, *, kernels: str = "AUTO") -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType[kernels]
    interpreter = Interpreter(
        model_path=file, num_threads=1, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    return interpreter


def measure(empty: str, file: str) -> Measured:
    """Load and call a file in this process, after an empty one.

    Raises:
        RuntimeError: LiteRT refuses the file.
    """
    import numpy as np

    nothing = _start(empty)
    nothing.invoke()
    before = _memory("VmRSS")
    # Resets VmHWM. In the sandbox /proc is read-only; nothing was freed yet, so it stands right.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    interpreter, load = _time_start(file)
    loaded = _memory("VmRSS")
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    first = _milliseconds_of(interpreter)
    steady, ends = [first], time.perf_counter() + _STEADY_SECONDS
    while len(steady) <= _STEADY_CALLS and time.perf_counter() < ends:
        steady.append(_milliseconds_of(interpreter))
    peak = _memory("VmHWM")
    # More loads, now that they cannot raise the peak: one alone is at the mercy of the machine.
    loads, ends = [load], time.perf_counter() + _LOADING_SECONDS
    while len(loads) <= _FURTHER_LOADS and time.perf_counter() < ends:
        del interpreter
        interpreter, load = _time_start(file)
        loads.append(load)
    return Measured(
        load=median(loads),
        first_call=first,
        time=median(steady[1:] or steady),
        loaded_memory=loaded - before,
        peak_memory=peak - before,
        arena=arena_bytes(interpreter),
        plain_arena=_measure_plain_arena(file),
        delegated=delegated_operators(interpreter),
    )


def _time_start(file: str) -> tuple[Any, float]:
    began = time.perf_counter()
    interpreter = _start(file)
    return interpreter, (time.perf_counter() - began) * 1000


def _measure_plain_arena(file: str) -> int | None:
    try:
        return arena_bytes(_start(file, kernels="BUILTIN_WITHOUT_DEFAULT_DELEGATES"))
    except (RuntimeError, ValueError):
        return None


def delegated_operators(interpreter: Any) -> frozenset[int]:
    """Find the operators that a delegate took, by index in the file.

    LiteRT appends a node for each part of the graph that a delegate takes, and keeps the nodes of
    the file; no public name gives them. Such a node reads all that its part reads from outside,
    constants as well, so walking from its outputs back to these meets the operators of the part and
    no other.
    """
    nodes = interpreter._get_ops_details()
    makers = {
        int(tensor): node for node in nodes if not _is_part(node) for tensor in node["outputs"]
    }
    taken: set[int] = set()
    for part in filter(_is_part, nodes):
        outside = set(map(int, part["inputs"]))
        waiting = list(map(int, part["outputs"]))
        while waiting:
            node = makers.get(waiting.pop())
            if node is not None and node["index"] not in taken:
                taken.add(int(node["index"]))
                waiting += [int(t) for t in node["inputs"] if int(t) not in outside]
    return frozenset(taken)


def _is_part(node: dict[str, Any]) -> bool:
    return bool(node["op_name"] == "DELEGATE")


def arena_bytes(interpreter: Any) -> int:
    """Measure the memory that an interpreter's activations share, by their addresses.

    Bytes that lie under several activations count once.
    """
    nodes = interpreter._get_ops_details()
    shared = {int(tensor) for node in nodes for tensor in node["outputs"]}
    shared |= {details["index"] for details in interpreter.get_input_details()}
    ranges = []
    for tensor in shared:
        try:
            values = interpreter.tensor(tensor)()
        except ValueError:  # it lies within a delegate
            continue
        start = values.__array_interface__["data"][0]
        ranges.append((start, start + values.nbytes))
    total = end = 0
    for first, last in sorted(ranges):
        total += max(0, last - max(first, end))
        end = max(end, last)
    return total


def _milliseconds_of(interpreter: Any) -> float:
    began = time.perf_counter()
    interpreter.invoke()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure the files of the command line and print the record; a refusal has its own code."""
    try:
        measured = measure(*sys.argv[1:])
    except (RuntimeError, ValueError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(_REFUSED)
    sys.stdout.buffer.write(msgspec.json.encode(measured))


TARGETS = (
    Target(
        name=CPU,
        title="This machine's CPU",
        by="LiteRT in a process of its own",
        how="measured",
        ask=ask_litert,
        package=_PACKAGE,
        module="ai_edge_litert",
        todo="Install the packages of requirements.txt.",
        revision=3,
        timed=True,
        here=True,
    ),
)

if __name__ == "__main__":
    main()
