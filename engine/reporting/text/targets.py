"""Sentences about where a file runs and what it needs there."""

from __future__ import annotations

from engine.core.formats import (
    join_names,
    megabytes,
    milliseconds,
    plural,
    spell_count,
    times,
    verb,
)
from engine.portability.records import (
    FIGURE_TITLES,
    SUPPORT_WORDS,
    Answer,
    AnswerDifference,
    Figure,
    TargetMatrix,
    TargetTitle,
)
from engine.quantization.recipes import FLOAT32

_ASKED = frozenset({"whole", "part", "refused"})
_ON = {
    "microcontroller": "on a microcontroller",
    "cpu": "on this machine's CPU",
    "gpu": "on this machine's GPU",
    "edge-tpu": "on a Coral Edge TPU",
    "android-gpu": "on Android's GPU delegate",
    "old-runtimes": "on old runtimes",
}
_HEADS = {
    "android-gpu": "Android",
    "cpu": "CPU",
    "edge-tpu": "Coral",
    "gpu": "GPU",
    "microcontroller": "Micro",
    "old-runtimes": "Old TFLite",
}
_MEMORY_FIRST = ("microcontroller", "cpu")
_MOST_NAMES = 2


def cell_words(answer: Answer) -> str:
    """Say within a cell what a target does with a file: "runs in part, without 2 × PAD"."""
    words = SUPPORT_WORDS[answer.support] + ", in software" * bool(answer.software)
    if answer.support == "part":
        return f"{words}, without {answer.left_names}"
    if answer.support == "refused" and answer.left:
        return f"{words}: {answer.left[0].opcode}"
    return words


def figures_words(answer: Answer) -> str:
    """List the figures of a cell with their units: "Arena 1.7 MB, Flash 5.3 MB"."""
    whole = (figure for figure in answer.figures if not figure.part)
    return ", ".join(f"{FIGURE_TITLES[figure.name]} {written(figure)}" for figure in whole)


def source_sentence(figure: Figure) -> str:
    """Say how a figure came and by what."""
    how = "by rule" if figure.how == "rule" else f"{figure.how} by"
    return f"{FIGURE_TITLES[figure.name]}: {how} {figure.by}"


def written(figure: Figure) -> str:
    """Write the value of a figure with its unit."""
    return milliseconds(figure.value) if figure.in_milliseconds else megabytes(figure.value)


def why_sentence(answer: Answer) -> str:
    """Say why a cell is as it is, what to change, and how far its answers are from those here."""
    if answer.support == "not_asked":
        return ""
    differences = (difference_sentence(difference) for difference in answer.differences)
    return " ".join(filter(None, (answer.reason, answer.todo, *differences)))


def difference_sentence(difference: AnswerDifference) -> str:
    """Compare the answers on a target with those of LiteRT's kernels here."""
    kernels = f"LiteRT's {difference.kernels} kernels"
    pictures = plural(difference.pictures, "picture")
    if difference.identical == difference.pictures:
        return f"Its answers on {pictures} equal those of {kernels}, bit by bit."
    start = f"Its answers equal those of {kernels} on {difference.identical} of {pictures}"
    if difference.largest is None:
        return f"{start}; a difference is NaN or infinite."
    steps = difference.unit == "steps"
    far = plural(round(difference.largest), "step") if steps else f"{difference.largest:.2g}"
    return f"{start}; no output differs by more than {far}."


def not_asked_sentences(matrix: TargetMatrix) -> tuple[str, ...]:
    """Say of each tool that is missing how to get it."""
    answers = (cell.answer for cell in matrix.cells if cell.answer.support == "not_asked")
    return tuple(dict.fromkeys(f"{answer.reason} {answer.todo}".strip() for answer in answers))


def support_words(answer: Answer) -> str:
    """Say in some words whether a file runs: "whole", "in part, in software"."""
    words = SUPPORT_WORDS[answer.support].removeprefix("runs ")
    return words + ", in software" * bool(answer.software)


def head_of(target: TargetTitle) -> str:
    """Name a target in the head of a narrow column: "U55-128" for Ethos-U55, 128 MACs."""
    return _HEADS.get(target.name) or target.name.removeprefix("ethos-").capitalize()


def matrix_words(answer: Answer) -> str:
    """Say in a cell of the matrix whether a file runs, and in how much memory."""
    words = support_words(answer)
    return words if answer.memory is None else f"{words}, {written(answer.memory)}"


def targets_headline(matrix: TargetMatrix) -> str:
    """Say which variant runs whole on most targets, and what it needs on the first that tells.

    Among equals the smaller file counts. Targets whose tool is missing or gave no answer are not
    counted, nor a GPU that software plays.
    """
    asked = {
        variant: [t.name for t in matrix.targets if _support(matrix, variant, t.name) in _ASKED]
        for variant in matrix.variants
    }
    whole = {
        variant: [name for name in names if _support(matrix, variant, name) == "whole"]
        for variant, names in asked.items()
    }
    most = max(len(names) for names in whole.values())
    if not most:
        return "No variant runs whole on any target that was asked"
    best = [variant for variant, names in whole.items() if len(names) == most]
    best.sort(key=lambda variant: matrix.sizes[variant])
    many = len(best) > _MOST_NAMES
    names = spell_count(len(best), "variant") if many else join_names(best)
    start = f"{names} {verb(len(best), 'runs', 'run')}"
    count = plural(len(asked[best[0]]), "target")
    return f"{start} whole on {most} of {count}{_need(matrix, best[0])}"


def _support(matrix: TargetMatrix, variant: str, target: str) -> str:
    return matrix.of(variant, target).on_device


def on_target(target: TargetTitle) -> str:
    """Say where a file runs, within a sentence: "on Ethos-U55 (256 MACs)"."""
    name, _, detail = target.title.partition(", ")
    return _ON.get(target.name, f"on {name} ({detail})" if detail else f"on {name}")


def _need(matrix: TargetMatrix, variant: str) -> str:
    """Say what a variant needs on a microcontroller, else on this CPU, beside float32."""
    for target in _MEMORY_FIRST:
        if target not in {title.name for title in matrix.targets}:
            continue
        words = _ON[target]
        own = matrix.of(variant, target).memory
        if own is None:
            continue
        text = f"; {words} {variant} needs {megabytes(own.value)}"
        exact = matrix.of(FLOAT32.name, target).memory if FLOAT32.name in matrix.variants else None
        if exact is None or variant == FLOAT32.name or own.value <= 0:
            return text
        return f"{text}, {times(exact.value / own.value)} less than {FLOAT32.name}"
    return ""
