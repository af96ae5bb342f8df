"""Time files on a phone that ``adb`` sees: push, run ``benchmark_model``, read, and remove again.

On this machine nothing goes through a shell. The phone has one: adb joins what follows ``shell``,
so paths are quoted for it. Source: Android's documentation of adb, and of ``adb devices -l``.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.core.errors import ConversionError, OptionError
from engine.core.formats import join_names
from engine.core.programs import last_line, read_words, run_program
from engine.core.types import Progress, Report
from engine.deployment.description import model_file
from engine.deployment.phone import LARGEST_BYTES, ROUNDS, PhoneBenchmark, add_benchmark
from engine.runs.run import Run
from engine.workers.process import Host, Worker

VARIABLE = "QLAB_BENCHMARK_MODEL"
"""Names the file of benchmark_model for phones, on this machine."""
_ADB = "adb"
_STAGE = "Timing on a phone over adb"
_PARENT = "/data/local/tmp"
_SECONDS, _LONG_SECONDS = 30, 900
_FAILURE = partial(
    ConversionError,
    _STAGE,
    expected="a phone that answers",
    todo="See that it stays plugged in and unlocked, and that the program is for its processor; "
    "then try again.",
)
_MODEL = re.compile(r"\bmodel:(\S+)")
_STATES = {
    "unauthorized": "Unlock the phone, and allow this machine to debug it.",
    "offline": "Unplug the phone and plug it in again.",
    "no permissions": "Add your account to the group plugdev, or see the page that adb names.",
}


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone that adb sees.

    Attributes:
        serial: adb's name of it.
        name: Its model.
    """

    serial: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRequest:
    """Time one file on a phone.

    Attributes:
        serial: The phone.
        folder: A new folder there, which the caller removes.
        model: The TFLite file here.
        name: What to call it there.
        benchmark_model: The program for the phone, here.
        threads: Threads to give it.
    """

    serial: str
    folder: str
    model: Path
    name: str
    benchmark_model: Path
    threads: int


def run_phone_benchmark(request: PhoneRequest, report: Report) -> str:
    """Push a file and ``benchmark_model`` to a phone, and return what it prints there.

    Raises:
        ConversionError: adb or the phone failed.
    """
    program, model = f"{request.folder}/benchmark_model", f"{request.folder}/{request.name}"
    report(Progress(f"Pushing {request.name} to the phone", 0, 0))
    _run(request.serial, "shell", shlex.join(("mkdir", "-p", request.folder)))
    for source, target in ((request.benchmark_model, program), (request.model, model)):
        _run(request.serial, "push", str(source), target, seconds=_LONG_SECONDS)
    _run(request.serial, "shell", shlex.join(("chmod", "755", program)))
    report(Progress(f"Timing {request.name} on the phone", 0, 0))
    options = (f"--num_threads={request.threads}", f"--num_runs={ROUNDS}", "--use_xnnpack=true")
    command = shlex.join((program, f"--graph={model}", *options))
    return _run(request.serial, "shell", command, seconds=_LONG_SECONDS)


def time_on_phone(
    run: Run,
    variants: Sequence[str],
    host: Host,
    *,
    benchmark_model: Path | None = None,
    serial: str | None = None,
    threads: int = 1,
) -> tuple[PhoneBenchmark, ...]:
    """Time variants on a phone and keep the timings in the run; see `engine.time_on_phone`.

    Raises:
        OptionError: A name is wrong; there is no program for the phone, no adb, or not one phone.
        ConversionError: adb or the phone failed.
        FileError: What the program printed holds no timing.
    """
    files = {variant: run.file(variant) for variant in variants}
    program = find_program(benchmark_model)
    phone = find_phone(serial)
    benchmarks = []
    with Worker(network=True) as worker:
        for done, (variant, file) in enumerate(files.items()):
            host.report(Progress(f"Timing {variant} on {phone.name}", done, len(files)))
            request = PhoneRequest(
                serial=phone.serial,
                folder=f"{_PARENT}/qlab-{secrets.token_hex(8)}",
                model=file.absolute(),
                name=model_file(run, variant),
                benchmark_model=program,
                threads=threads,
            )
            try:
                text = host.adopt(worker).run(run_phone_benchmark, request, host.report)
            finally:
                _remove(request)
            benchmarks.append(add_benchmark(run, variant, phone.name, text))
    return tuple(benchmarks)


def find_program(benchmark_model: Path | None = None) -> Path:
    """Find ``benchmark_model`` for phones: the file given, else that of ``$QLAB_BENCHMARK_MODEL``.

    Raises:
        OptionError: There is none.
    """
    named = os.environ.get(VARIABLE, "") if benchmark_model is None else str(benchmark_model)
    if named and Path(named).is_file():
        return Path(named).absolute()
    raise OptionError(
        _STAGE,
        got=f"no file {named}" if named else "no benchmark_model for the phone",
        expected="the program of LiteRT's documentation, built for Android",
        todo=f"Download it, and name it with --benchmark-model FILE or in {VARIABLE}.",
    )


def find_phone(serial: str | None = None) -> Phone:
    """Find the phone that adb sees; with several, the one of that serial number.

    Raises:
        OptionError: adb is not on the path, or sees no phone, several, or one that it may not use.
    """
    if shutil.which(_ADB) is None:
        raise OptionError(
            _STAGE,
            got="no adb on the path",
            expected="Android's platform tools",
            todo="Install them, or run the commands above elsewhere and bring their output.",
        )
    lines = [line.split(None, 1) for line in _run(None, "devices", "-l").splitlines()[1:]]
    phones = {words[0]: words[1] for words in lines if len(words) > 1}
    if serial is not None:
        phones = {name: about for name, about in phones.items() if name == serial}
    ready = [name for name, about in phones.items() if about.split()[0] == "device"]
    if len(ready) == 1:
        model = _MODEL.search(phones[ready[0]])
        return Phone(ready[0], model[1].replace("_", " ") if model else ready[0])
    if ready:
        raise OptionError(
            _STAGE,
            got=f"{len(ready)} phones: {join_names(ready)}",
            expected="one",
            todo="Name one with --serial, or unplug the others.",
        )
    for name, about in phones.items():
        for state, todo in _STATES.items():
            if about.startswith(state):
                raise OptionError(
                    _STAGE, got=f"the phone {name}, {state}", expected="one to use", todo=todo
                )
    raise OptionError(
        _STAGE,
        got="no phone" if serial is None else f"no phone {serial}",
        expected="one that adb sees",
        todo="Plug it in, and switch on USB debugging in its developer options.",
    )


def _remove(request: PhoneRequest) -> None:
    """Remove the folder on the phone; one that is gone took it along, or keeps it."""
    try:
        _run(request.serial, "shell", shlex.join(("rm", "-rf", request.folder)))
    except ConversionError:
        return


def _run(serial: str | None, *words: str, seconds: float = _SECONDS) -> str:
    """Run adb, and return what it printed."""
    command = [_ADB, *(() if serial is None else ("-s", serial)), *words]
    ended = run_program(command, seconds, "adb", _FAILURE)
    text = read_words(ended)[:LARGEST_BYTES]
    if ended.returncode != 0:
        why = last_line(text)[:160]
        raise _FAILURE(got=f"exit code {ended.returncode} of adb {words[0]} ('{why}')")
    return text
