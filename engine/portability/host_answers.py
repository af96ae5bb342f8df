"""Answers of LiteRT on this machine's CPU, beside which those of a target are set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from engine.core.errors import ConversionError
from engine.portability.records import AnswerDifference, Question
from engine.tflite.interpreter import load_interpreter, quantize

Kernels = Literal["reference", "XNNPACK"]
_RESOLVERS: dict[Kernels, str] = {"reference": "BUILTIN_REF", "XNNPACK": "AUTO"}


def differences(
    question: Question, outputs: Sequence[np.ndarray], *kernels: Kernels
) -> tuple[AnswerDifference, ...]:
    """Compare outputs with those of sets of LiteRT's kernels; nothing where LiteRT refuses.

    Args:
        question: Its first pictures are those of the outputs.
        outputs: The target's, one a picture, in the file's own type; more are left out.
        kernels: What to compare with.
    """
    compared, outputs = [], outputs[: len(question.pictures)]
    for name in kernels if len(outputs) else ():
        try:
            host = _answers(question, _RESOLVERS[name], len(outputs))
        except ConversionError:
            continue
        pairs = list(zip(outputs, host, strict=True))
        compared.append(
            AnswerDifference(
                name,
                pictures=len(pairs),
                identical=sum(np.array_equal(a, b) for a, b in pairs),
                largest=_largest(pairs),
                unit="logits" if outputs[0].dtype.kind == "f" else "steps",
            )
        )
    return tuple(compared)


def _largest(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float | None:
    gaps = [np.abs(a.astype(np.float64) - b.astype(np.float64)).max() for a, b in pairs]
    return float(max(gaps)) if np.isfinite(gaps).all() else None


def _answers(question: Question, resolver: str, count: int) -> list[np.ndarray]:
    interpreter = load_interpreter(question.file, 1, "Asking LiteRT", "", kernels=resolver)
    start, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for picture in question.pictures[:count]:
        interpreter.set_tensor(start["index"], quantize(picture[None], start))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(end["index"]))
    return answers
