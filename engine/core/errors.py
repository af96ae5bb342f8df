"""Everything the engine raises on purpose.

::

    EngineError                 stage, got, expected, todo
    ├── UserMistake             the person can correct it        exit code 2
    │   ├── ModelError          unknown model, weights, checkpoint, ONNX file
    │   ├── PictureError        an unreadable picture, an empty folder
    │   ├── LabelsError         label files and label tables
    │   ├── OptionError         a value that is not allowed, options that contradict each other
    │   ├── OperatorError       the model needs operators that TFLite's built-in set lacks
    │   ├── FileError           a TFLite file of another tool that does not fit or does not run
    │   ├── RunError            a run folder that is absent, damaged or of another version
    │   ├── StorageError        the disk is full, or refuses to be written
    │   └── PackageError        a package is not installed
    ├── ConversionError         a stage of the chain failed      exit code 3
    │   └── HopError            a stage finished, but its model answers differently
    └── WorkerError             the worker process itself        exit code 3
        ├── WorkerDied
        │   └── WorkerKilled    from outside: out of memory, or by somebody
        └── JobCancelled

Errors of other libraries are mapped to these at the boundary, with ``raise ... from``.
"""

from __future__ import annotations

import math
from typing import ClassVar

_LONGEST = 2000


def fit_to_show(text: str) -> str:
    """Cut a text to 2,000 characters, with U+FFFD for those that cannot be printed.

    Names of files, tensors and operators come from outside and stand in messages: they could steer
    a terminal or turn a line around.
    """
    cut = text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
    return "".join(
        sign if sign.isprintable() or sign in "\n\xa0\u202f" else "\ufffd" for sign in cut
    )


def first_line(error: BaseException) -> str:
    """Give the first line of a library's message, or the name of an error without one."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class EngineError(Exception):
    """A failure that one message explains to a person.

    Args:
        stage: What was being done, in the person's words ("reading the checkpoint").
        got: What was met.
        expected: What would have been right.
        todo: What the person can do now.
        problem: What is wrong, in one short sentence, where stage and got do not say so as plainly.
    """

    exit_code: ClassVar[int] = 3

    def __init__(
        self, stage: str, *, got: str, expected: str, todo: str, problem: str = ""
    ) -> None:
        self.stage = fit_to_show(stage)
        self.got = fit_to_show(got)
        self.expected = fit_to_show(expected)
        self.todo = fit_to_show(todo)
        self.problem = fit_to_show(problem)
        super().__init__(self.stage, self.got, self.expected, self.todo)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes: `BaseException` would call the class by position."""
        return _again, (type(self), self.stage, self.got, self.expected, self.todo, self.problem)

    def __str__(self) -> str:
        first = f"{self.problem} " if self.problem else ""
        return f"{first}{self.stage}: got {self.got}; expected {self.expected}. {self.todo}"


class UserMistake(EngineError):
    """Something the person who asked can correct."""

    exit_code: ClassVar[int] = 2


class ModelError(UserMistake):
    """The model cannot be had: its name, weights, checkpoint or ONNX file."""


class PictureError(UserMistake):
    """A picture or a folder of pictures cannot be used."""


class LabelsError(UserMistake):
    """A file of labels does not fit the model or the pictures."""


class OptionError(UserMistake):
    """A value that is not allowed, or options that contradict each other."""


class OperatorError(UserMistake):
    """The model needs operators outside TFLite's built-in set."""


class FileError(UserMistake):
    """A TFLite file from elsewhere cannot be used beside the variants of a run."""


class RunError(UserMistake):
    """A run folder is absent, damaged, of another version, or holds something else."""


class StorageError(UserMistake):
    """The disk is full, or refuses to be written."""


class PackageError(UserMistake):
    """A package that the work needs is not installed."""


class ConversionError(EngineError):
    """A stage of the conversion failed."""


class HopError(ConversionError):
    """A stage finished, but the model it made answers differently from the one before."""


class WorkerError(EngineError):
    """The worker process failed, not the work."""


class WorkerDied(WorkerError):
    """The worker process ended without an answer."""


class WorkerKilled(WorkerDied):
    """SIGKILL ended the worker process: the machine was out of memory, or somebody sent it."""


class JobCancelled(WorkerError):
    """The person cancelled the job."""


class MissingVariantWarning(UserWarning):
    """A run was made without some of the variants that were asked for; see `Run.missing`."""


def _again(
    kind: type[EngineError], stage: str, got: str, expected: str, todo: str, problem: str
) -> EngineError:
    return kind(stage, got=got, expected=expected, todo=todo, problem=problem)


def _subclasses(root: type[EngineError]) -> dict[str, type[EngineError]]:
    classes = {root.__name__: root}
    for child in root.__subclasses__():
        classes |= _subclasses(child)
    return classes


def require_range(
    stage: str, value: float, what: str, low: float, high: float = math.inf, *, todo: str = ""
) -> None:
    """Raise `OptionError` for a number of ``what`` outside of low to high, both allowed."""
    if not low <= value <= high:
        raise OptionError(
            stage,
            got=f"{value} {what}",
            expected=f"{low} or more" if math.isinf(high) else f"{low} to {high}",
            todo=todo or f"Give another number of {what}.",
        )


def error_named(name: str) -> type[EngineError]:
    """Find an error class of this module by name; `EngineError` for a name that is not of it."""
    return _subclasses(EngineError).get(name, EngineError)
