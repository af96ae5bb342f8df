"""This machine's GPU, by LiteRT's WebGPU accelerator in a process of its own.

``python -m engine.portability.gpu FILE FOLDER`` shows the pictures in a folder to a file, and
writes its answers and a record there. A driver can print, end the process or never answer, so
another one reads what is left. A call is timed with the picture's way to the GPU and its answer's
way back. Which adapter was taken stands in LiteRT's log alone; where software plays the GPU
(SwiftShader, llvmpipe), its times are no GPU's and are left out.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np

from engine.core.errors import ConversionError
from engine.core.formats import milliseconds
from engine.core.programs import last_line, read_words, run_program
from engine.core.system import host_name, package_version
from engine.portability.host_answers import differences
from engine.portability.records import (
    Answer,
    Figure,
    LeftOperator,
    Question,
    Target,
    cut_reason,
    cut_words,
    first_reason,
)
from engine.tflite.graph import Graph
from engine.tflite.interpreter import load_interpreter, quantize

_PACKAGE = "ai-edge-litert"
_INPUTS, _OUTPUTS, _RECORD = "inputs.npy", "outputs.npy", "measured.json"
_SECONDS = 120
_REFUSAL = 3
_STEADY_CALLS = 10
_CALLS_SECONDS = 5.0
_STAGE = "Running the file on the GPU in a process of its own"
_FAILURE = partial(
    ConversionError,
    _STAGE,
    expected="some calls",
    todo="Update the GPU's driver, or leave this target out.",
)
_ADAPTER = re.compile(r"Selected adapter: ([^\n]*?), arch=[^\n]*adapterType=([^\n]*)")
_SOFTWARE = re.compile(r"CPU|software|swiftshader|llvmpipe|lavapipe|Basic Render", re.IGNORECASE)
_REFUSED = "Following operations are not supported by GPU delegate:\n"
_REFUSED_LINE = re.compile(r"([A-Z][A-Z0-9_]*): ([^\n]*?\.)(?: ([^\n]+))?")
_NO_ADAPTER = ("No adapters found", "Failed to initialize WebGPU environment")
_DRIVERS = ("/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d")
_DRIVER_VARIABLES = ("VK_ICD_FILENAMES", "VK_DRIVER_FILES")


class Measured(msgspec.Struct, frozen=True):
    """What the process measures: milliseconds; whether the CPU had no part in it."""

    load: float
    first_call: float
    time: float
    whole: bool


def ask_webgpu(question: Question) -> Answer:
    """Run a file on this machine's GPU, and set its answers beside the CPU's.

    Raises:
        ConversionError: The driver ended the process, or did not end at all.
    """
    graph = Graph(question.file.read_bytes())
    np.save(question.folder / _INPUTS, _inputs(question))
    refused, words = _run(question)
    adapter = _ADAPTER.search(words)
    name = adapter[1] if adapter else "an adapter without a name"
    software = name if adapter and _SOFTWARE.search(" ".join(adapter.groups())) else ""
    log = cut_words("\n".join(line for line in words.splitlines() if line[:5] != "INFO:"))
    left = _left(graph, words)
    if refused:
        if adapter is None and any(sign in words for sign in _NO_ADAPTER):
            return Answer(
                support="not_asked",
                reason="LiteRT finds no GPU on this machine, so nothing was asked.",
                todo="Install the Vulkan driver of the GPU.",
            )
        return Answer(
            support="refused",
            reason=first_reason(left) or cut_reason(last_line(log)),
            left=left,
            operators=len(graph.operators),
            words=log,
            software=software,
        )
    measured = msgspec.json.decode((question.folder / _RECORD).read_bytes(), type=Measured)
    by = f"LiteRT {package_version(_PACKAGE)}, {name}, {host_name()}"
    figures = (
        Figure("load", measured.load, "measured", by),
        Figure("first_call", measured.first_call, "measured", by),
        Figure("time", measured.time, "measured", by),
    )
    return Answer(
        support="whole" if measured.whole else "part",
        reason=" ".join(filter(None, (first_reason(left), _about(name, software, measured.time)))),
        left=left,
        operators=len(graph.operators),
        figures=() if software else figures,
        differences=differences(question, np.load(question.folder / _OUTPUTS), "XNNPACK"),
        words=log,
        software=software,
    )


def _about(name: str, software: str, time: float) -> str:
    if not software:
        return f"The GPU is {name}."
    return (
        f"{software} is a software adapter: the CPU plays the GPU, so the {milliseconds(time)} "
        "that a call took say nothing about a GPU and are not ranked."
    )


def _inputs(question: Question) -> np.ndarray:
    """Write the pictures in the file's own type; zeros where there are none."""
    start = load_interpreter(question.file, 1, _STAGE, "").get_input_details()[0]
    if not len(question.pictures):
        return np.zeros((1, *start["shape"]), start["dtype"])
    return np.stack([quantize(picture[None], start) for picture in question.pictures])


def _run(question: Question) -> tuple[bool, str]:
    """Start the process; return whether it refused the file, and what it printed."""
    command = [sys.executable, "-P", "-m", __name__, str(question.file), str(question.folder)]
    ended = run_program(command, _SECONDS, "LiteRT", _FAILURE)
    if ended.returncode not in (0, _REFUSAL):
        code = ended.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise _FAILURE(got=f"the end of the process by {how}, as a driver does that fails")
    return ended.returncode == _REFUSAL, read_words(ended)


def _left(graph: Graph, words: str) -> tuple[LeftOperator, ...]:
    """Find the operators that the accelerator does not take: it names their first input."""
    _, _, after = words.partition(_REFUSED)
    refused: dict[int, LeftOperator] = {}
    for line in after.splitlines():
        match = _REFUSED_LINE.fullmatch(line)
        if match is None:
            break
        opcode, reason, name = match.groups()
        for op in graph.operators:
            inputs = {graph.name(tensor) for tensor in op.activations.values()}
            if op.opcode == opcode and (name is None or name in inputs):
                refused[op.index] = LeftOperator(opcode, op.name, reason.rstrip("."))
    return tuple(refused[index] for index in sorted(refused))


def drivers() -> str:
    """Describe what Vulkan drivers and GPUs there are, by their files."""
    files = [file for folder in _DRIVERS for file in sorted(Path(folder).glob("*.json"))]
    parts = [f"{file} {file.stat().st_mtime_ns}" for file in files]
    parts += [str(device) for device in sorted(Path("/dev/dri").glob("*"))]
    return " ".join([*parts, *(os.environ.get(name, "") for name in _DRIVER_VARIABLES)])


def measure(file: str, folder: Path) -> Measured:
    """Compile a file for the GPU in this process, call it, and write its answers in a folder.

    Raises:
        RuntimeError: LiteRT finds no GPU, or refuses the file.
    """
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator

    began = time.perf_counter()
    whole = True
    try:
        model = _compiled(file, HardwareAccelerator.GPU)
    except RuntimeError:
        # What the GPU does not take runs on the CPU; without a GPU this is refused, too.
        whole = False
        model = _compiled(file, HardwareAccelerator.GPU | HardwareAccelerator.CPU)
    load = (time.perf_counter() - began) * 1000
    pictures = np.load(folder / _INPUTS)
    (signature, *_) = model.get_signature_list()
    (details, *_) = model.get_output_tensor_details(signature).values()
    shape, dtype = details["shape"], np.dtype(details["dtype"])
    start, end = model.create_input_buffers(0), model.create_output_buffers(0)
    times: list[float] = []
    answers, ends = [], time.perf_counter() + _CALLS_SECONDS
    while len(times) < max(len(pictures), _STEADY_CALLS + 1):
        began = time.perf_counter()
        start[0].write(pictures[len(times) % len(pictures)])
        model.run_by_index(0, start, end)
        answers.append(end[0].read(int(np.prod(shape)), dtype).reshape(shape))
        times.append((time.perf_counter() - began) * 1000)
        if len(times) > 1 and time.perf_counter() > ends:
            break
    np.save(folder / _OUTPUTS, np.stack(answers[: len(pictures)]))
    return Measured(
        load=load,
        first_call=times[0],
        time=median(times[1:]),
        # LiteRT's own word on it counts what XNNPACK accelerates on the CPU, too.
        whole=whole and bool(model.is_fully_accelerated()),
    )


def _compiled(file: str, accelerators: Any) -> Any:
    from ai_edge_litert.compiled_model import CompiledModel

    return CompiledModel.from_file(file, hardware_accel=accelerators)


def main() -> None:
    """Measure the file of the command line and write the record; exit with 3 on a refusal."""
    file, folder = sys.argv[1], Path(sys.argv[2])
    try:
        measured = measure(file, folder)
    except (RuntimeError, ValueError) as error:
        sys.stderr.write(" ".join(str(error).split()))
        sys.exit(_REFUSAL)
    (folder / _RECORD).write_bytes(msgspec.json.encode(measured))


TARGETS = (
    Target(
        name="gpu",
        title="This machine's GPU",
        by="LiteRT's WebGPU accelerator in a process of its own",
        how="measured",
        ask=ask_webgpu,
        package=_PACKAGE,
        module="ai_edge_litert",
        todo="Install the packages of requirements.txt.",
        state=drivers,
        timed=True,
        here=True,
        answers=True,
        graphics=True,
    ),
)

if __name__ == "__main__":
    main()
