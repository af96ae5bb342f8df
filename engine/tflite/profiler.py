"""LiteRT's own profiler, which its Python interface lacks.

The package's library offers it in C (``litert/c/litert_profiler.h``), and with it XNNPACK's time of
each of its operators, inside the graph that it runs as a whole. A model that is profiled is
compiled for the CPU alone, with the number of threads asked for.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from engine.core.errors import ConversionError

_Handle = ctypes.c_void_p
# Values of enumerations in LiteRT's headers.
_CPU = 1
_WRITE = 1
_ANY_INT = 2
_REGISTER_ACCELERATORS, _LEAST_LOG_SEVERITY = 24, 25
_ERRORS_ONLY = 3
_CALL, _OPERATOR, _DELEGATED_OPERATOR = 1, 2, 8
_TYPE_BYTES = 1024
"""More than a ``LiteRtRankedTensorType`` takes, which is passed from one function to the next."""


class _Option(ctypes.Structure):
    _fields_ = (
        ("tag", ctypes.c_int64),
        ("type", ctypes.c_int64),
        ("value", ctypes.c_int64),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_size_t * 6),
        ("index", ctypes.c_uint64),
        ("second_index", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


@dataclass(frozen=True, slots=True)
class OperatorEvent:
    """One operator of one call.

    Attributes:
        name: What ran, as LiteRT calls it: ``CONV_2D``, or XNNPACK's
            ``Convolution (NHWC, F32) DWConv``.
        delegated: Whether XNNPACK ran it.
        index: Index among the file's operators; of those of XNNPACK, among its own.
        microseconds: What it took, in whole microseconds.
    """

    name: str
    delegated: bool
    index: int
    microseconds: int


class ProfiledModel:
    """A TFLite file with one input and one output that is timed operator by operator.

    Raises:
        ConversionError: On entering: LiteRT refuses the file.
    """

    def __init__(self, file: Path, threads: int = 1) -> None:
        self._file, self._threads = file, threads

    def __enter__(self) -> Self:
        with ExitStack() as self._handles:
            self._load()
            self._handles = self._handles.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._handles.close()

    def call(self, content: bytes) -> tuple[OperatorEvent, ...]:
        """Run the model once.

        Args:
            content: The input's bytes, in the file's own type and order of dimensions.

        Returns:
            One record an operator, in the order in which they ran.

        Raises:
            ConversionError: The bytes do not fit, or LiteRT fails.
        """
        if len(content) != self._input_bytes:
            raise self._refusal(f"an input of {len(content)} bytes, not {self._input_bytes}")
        memory = _Handle()
        self._do("LiteRtLockTensorBuffer", self._input, ctypes.byref(memory), _WRITE)
        ctypes.memmove(memory, content, len(content))
        self._do("LiteRtUnlockTensorBuffer", self._input)
        # To reset the profiler also stops it.
        self._do("LiteRtResetProfiler", self._profiler)
        self._do("LiteRtStartProfiler", self._profiler)
        count = ctypes.c_size_t(1)
        inputs, outputs = (_Handle * 1)(self._input), (_Handle * 1)(self._output)
        first = ctypes.c_size_t(0)
        self._do("LiteRtRunCompiledModel", self._model, first, count, inputs, count, outputs)
        return tuple(
            OperatorEvent(
                name=event.tag.decode(errors="replace"),
                delegated=event.type == _DELEGATED_OPERATOR,
                index=event.index,
                microseconds=event.elapsed_us,
            )
            for event in self._events()
            if event.type in (_OPERATOR, _DELEGATED_OPERATOR)
        )

    def _events(self) -> list[Any]:
        count = ctypes.c_int()
        self._do("LiteRtGetNumProfilerEvents", self._profiler, ctypes.byref(count))
        events = (_Event * count.value)()
        self._do("LiteRtGetProfilerEvents", self._profiler, count, events)
        return list(events)

    def _load(self) -> None:
        options = (_Option * 2)(
            _Option(_REGISTER_ACCELERATORS, _ANY_INT, _CPU),
            _Option(_LEAST_LOG_SEVERITY, _ANY_INT, _ERRORS_ONLY),
        )
        environment = self._create("LiteRtCreateEnvironment", 2, options, ends="DestroyEnvironment")
        path = str(self._file).encode()
        model = self._create("LiteRtCreateModelFromFile", environment, path, ends="DestroyModel")
        how = self._create("LiteRtCreateOptions", ends="DestroyOptions")
        self._do("LiteRtSetOptionsHardwareAccelerators", how, _CPU)
        self._set(how, b"runtime_options_string", "enable_profiling = true\n")
        self._set(how, b"xnnpack", f"num_threads = {self._threads}\n")
        self._model = self._create(
            "LiteRtCreateCompiledModel", environment, model, how, ends="DestroyCompiledModel"
        )
        self._profiler = self._create("LiteRtCompiledModelGetProfiler", self._model)
        signature = self._create("LiteRtGetModelSignature", model, ctypes.c_size_t(0))
        self._input = self._buffer(environment, signature, "Input")
        self._output = self._buffer(environment, signature, "Output")
        size = ctypes.c_size_t()
        self._do("LiteRtGetTensorBufferPackedSize", self._input, ctypes.byref(size))
        self._input_bytes = size.value

    def _set(self, options: _Handle, name: bytes, toml: str) -> None:
        library = ctypes.CDLL(None)
        library.strdup.restype = _Handle
        text = _Handle(library.strdup(ctypes.c_char_p(toml.encode())))
        opaque = self._create(
            "LiteRtCreateOpaqueOptions", name, text, ctypes.cast(library.free, _Handle)
        )
        self._do("LiteRtAddOpaqueOptions", options, opaque)

    def _buffer(self, environment: _Handle, signature: _Handle, kind: str) -> _Handle:
        first = ctypes.c_size_t(0)
        needs = self._create(
            f"LiteRtGetCompiledModel{kind}BufferRequirements", self._model, first, first
        )
        tensor = self._create(f"LiteRtGetSignature{kind}TensorByIndex", signature, first)
        shape = (ctypes.c_char * _TYPE_BYTES)()
        self._do("LiteRtGetRankedTensorType", tensor, shape)
        make = "LiteRtCreateManagedTensorBufferFromRequirements"
        return self._create(make, environment, shape, needs, ends="DestroyTensorBuffer")

    def _create(self, function: str, *arguments: Any, ends: str = "") -> _Handle:
        handle = _Handle()
        self._do(function, *arguments, ctypes.byref(handle))
        if not handle:
            raise self._refusal(f"nothing of {function}")
        if ends:
            self._handles.callback(_function(f"LiteRt{ends}"), handle)
        return handle

    def _do(self, function: str, *arguments: Any) -> None:
        try:
            status = _function(function)(*arguments)
        except (AttributeError, OSError) as error:
            raise self._refusal(f"a LiteRT without {function}") from error
        if status != 0:
            raise self._refusal(f"status {status} of {function}")

    def _refusal(self, got: str) -> ConversionError:
        return ConversionError(
            f"Profiling {self._file.name}",
            got=got,
            expected="a call that LiteRT times operator by operator",
            todo="Its latency as a whole is measured all the same.",
        )


@cache
def _library() -> ctypes.CDLL:
    package = find_spec("ai_edge_litert")
    folders = None if package is None else package.submodule_search_locations
    return ctypes.CDLL(str(Path((folders or ["."])[0]) / "libLiteRt.so"))


def _function(name: str) -> Callable[..., int]:
    function = getattr(_library(), name)
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return]
