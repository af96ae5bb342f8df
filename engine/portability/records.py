"""What is asked about a TFLite file on a target, and what is answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.core.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd

Support = Literal["whole", "part", "refused", "not_asked", "no_answer"]
SUPPORT_WORDS: dict[Support, str] = {
    "whole": "runs whole",
    "part": "runs in part",
    "refused": "refused",
    "not_asked": "not asked",
    "no_answer": "no answer",
}
How = Literal["measured", "estimated", "rule"]
FigureName = Literal[
    "arena",
    "sram",
    "dram",
    "flash",
    "on_chip",
    "off_chip",
    "time",
    "load",
    "first_call",
    "loaded_memory",
    "peak_memory",
]
FIGURE_TITLES: dict[FigureName, str] = {
    "arena": "Arena",
    "sram": "SRAM",
    "dram": "DRAM",
    "flash": "Flash",
    "on_chip": "Weights in on-chip memory",
    "off_chip": "Weights streamed from off-chip memory",
    "time": "Time of a call",
    "load": "Load time",
    "first_call": "First call",
    "loaded_memory": "Memory after load",
    "peak_memory": "Peak memory",
}
_MILLISECONDS = frozenset({"time", "load", "first_call"})
_MEMORY: tuple[FigureName, ...] = ("arena", "sram", "peak_memory")
_REASON_LENGTH, _WORDS_LENGTH = 300, 20_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a file on a target.

    Attributes:
        name: Which one.
        value: Bytes, or milliseconds of the figures of time.
        how: Measured with the runtime itself, estimated by a tool, or by a rule.
        by: The tool with its version, or the source of the rule.
        part: What of the whole it is, such as one kind of an arena's bytes; empty for the whole.
    """

    name: FigureName
    value: float
    how: How
    by: str
    part: str = ""

    @property
    def in_milliseconds(self) -> bool:
        """Whether the value is milliseconds, not bytes."""
        return self.name in _MILLISECONDS


@dataclass(frozen=True, slots=True)
class LeftOperator:
    """An operator that a target does not run.

    Attributes:
        opcode: TFLite's name, such as ``CONV_2D``.
        name: Name of its first output; empty where the tool does not say.
        reason: The tool's or the rule's.
    """

    opcode: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class AnswerDifference:
    """How far a target's integers of the output lie from those of LiteRT on this machine.

    Attributes:
        kernels: LiteRT's set of kernels: ``reference`` or ``XNNPACK``.
        pictures: How many were shown.
        identical: On how many of them every output was equal, bit by bit.
        largest: Largest difference of an output; None where one of them is NaN or infinite.
        unit: Steps of the output's scale, or logits where the file gives floats.
    """

    kernels: Literal["reference", "XNNPACK"]
    pictures: int
    identical: int
    largest: float | None
    unit: Literal["steps", "logits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a target does with a file.

    Attributes:
        support: Whether it runs there.
        reason: Why not, or what else there is to say; a sentence.
        todo: What to change; empty where nothing.
        left: Operators that the target does not run, in the order of the file.
        operators: Operators of the file.
        plain: Operators that run there, but not by what makes the others fast; only where the tool
            tells.
        figures: What it needs and takes there.
        differences: Of its answers to those here, where the tool computes answers.
        cycles: Estimated cycles of each operator that runs there, by its index in the file, where
            the tool tells.
        words: The tool's own.
        software: Name of the software adapter that played the device; such an answer shows that
            the operators run, is no measurement of a device, and is not counted among those.
    """

    support: Support
    reason: str = ""
    todo: str = ""
    left: tuple[LeftOperator, ...] = ()
    operators: int = 0
    plain: tuple[LeftOperator, ...] = ()
    figures: tuple[Figure, ...] = ()
    differences: tuple[AnswerDifference, ...] = ()
    cycles: Mapping[int, float] = field(default_factory=dict)
    words: str = ""
    software: str = ""

    @property
    def on_device(self) -> Support:
        """What the device does with the file; software in its place says nothing of that."""
        return "not_asked" if self.software else self.support

    def figure(self, name: FigureName) -> Figure | None:
        """Find a figure of the whole."""
        whole = (figure for figure in self.figures if figure.name == name and not figure.part)
        return next(whole, None)

    @property
    def memory(self) -> Figure | None:
        """The working memory: the arena, the SRAM, or the peak of a process."""
        figures = (self.figure(name) for name in _MEMORY)
        return next((figure for figure in figures if figure is not None), None)

    @property
    def left_names(self) -> str:
        """Operators that stay behind, by name with their count: ``QUANTIZE, 2 × PAD``."""
        counts = Counter(operator.opcode for operator in self.left)
        return ", ".join(f"{n} × {name}" if n > 1 else name for name, n in counts.items())


@dataclass(frozen=True, slots=True)
class Question:
    """A file to ask a target about.

    Attributes:
        file: The TFLite file.
        pictures: Network inputs as floats in the file's own order of dimensions, shape
            (pictures, ...); empty where none are to be shown.
        folder: An empty folder for the tool's files.
    """

    file: Path
    pictures: FloatArray
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a file may run.

    Attributes:
        name: On the command line, such as ``ethos-u55-256``.
        title: For people.
        by: The tool or the source of the rules, for people.
        how: How its figures come.
        ask: Gives the answer; runs in a worker.
        compile: Makes the file that runs there, in the question's folder; None where a TFLite file
            runs there as it is.
        package: The tool's package; None where none is needed.
        todo: How to get the tool.
        module: Module of the package that is imported.
        program: Name of the tool on the path, where it is no package.
        state: Describes what else the answer depends on, such as drivers, by its files.
        instead: What is asked in its place where that one's tool is installed.
        variants: Names of the recipes whose files suit it, the one to make for it first; those with
            other settings of the calibration or optimized suit it, too. Empty where all do.
        revision: Of our own code for the target: a higher one asks again.
        timed: Whether timings are taken, which nothing may run beside.
        here: Whether the figures are of this machine alone.
        answers: Whether it computes answers on pictures, which are set beside the host's.
        graphics: Whether its worker may reach this machine's GPUs.
    """

    name: str
    title: str
    by: str
    how: How
    ask: Callable[[Question], Answer]
    compile: Callable[[Question], Path] | None = None
    package: str | None = None
    module: str = ""
    todo: str = ""
    program: str = ""
    state: Callable[[], str] | None = None
    instead: Target | None = None
    variants: tuple[str, ...] = ()
    revision: int = 1
    timed: bool = False
    here: bool = False
    answers: bool = False
    graphics: bool = False

    @property
    def integers(self) -> bool:
        """Whether it is made for files with integer edges and no float operator."""
        return bool(self.variants)


@dataclass(frozen=True, slots=True)
class Cell:
    """One variant on one target."""

    variant: str
    target: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class TargetTitle:
    """Name of a target, what people read of it, how its figures come and by what.

    ``integers`` is that of `Target`.
    """

    name: str
    title: str
    how: How
    by: str
    integers: bool = False


@dataclass(frozen=True, slots=True)
class TargetMatrix:
    """Variants of a run on targets.

    Attributes:
        run: Name of the run.
        variants: Rows, in the order of the run.
        targets: Columns.
        sizes: Bytes of each variant's file.
        cells: One a variant and target.
    """

    run: str
    variants: tuple[str, ...]
    targets: tuple[TargetTitle, ...]
    sizes: Mapping[str, int]
    cells: tuple[Cell, ...]

    def of(self, variant: str, target: str) -> Answer:
        """Find what a target answers about a variant.

        Raises:
            KeyError: It was not among those asked.
        """
        for cell in self.cells:
            if (cell.variant, cell.target) == (variant, target):
                return cell.answer
        raise KeyError((variant, target))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON."""
        return asdict(self)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a variant and target: support, what stays behind, memory and time.

        Bytes, milliseconds, and beside each figure how it came and by what.
        """
        import pandas as pd

        return pd.DataFrame([self._row(cell) for cell in self.cells])

    def _row(self, cell: Cell) -> dict[str, Any]:
        answer = cell.answer
        row: dict[str, Any] = {
            "variant": cell.variant,
            "target": cell.target,
            "support": SUPPORT_WORDS[answer.support],
            "left": answer.left_names,
            "reason": answer.reason,
            "size": self.sizes[cell.variant],
        }
        for name, figure in (("memory", answer.memory), ("time", answer.figure("time"))):
            row[name] = None if figure is None else figure.value
            row[f"{name}_how"] = "" if figure is None else f"{figure.how} by {figure.by}"
        return row


def cut_reason(text: str) -> str:
    """Cut a tool's message to what a line has room for."""
    line = " ".join(text.split())
    return line if len(line) <= _REASON_LENGTH else f"{line[:_REASON_LENGTH].rstrip()}…"


def cut_words(text: str) -> str:
    """Cut what a tool printed to what is worth storing."""
    return text if len(text) <= _WORDS_LENGTH else f"{text[:_WORDS_LENGTH]}\n…"


def first_reason(left: tuple[LeftOperator, ...]) -> str:
    """Say why operators stay behind: the first reason of each, without repeats."""
    reasons = list(dict.fromkeys(op.reason.rstrip(".") for op in left if op.reason))
    return " ".join(f"{reason}." for reason in reasons[:2])
