"""Sentences about targets, made from the data."""

from __future__ import annotations

from engine.core.formats import with_plain_spaces
from engine.portability.records import (
    Answer,
    AnswerDifference,
    Cell,
    Figure,
    LeftOperator,
    TargetMatrix,
    TargetTitle,
)
from engine.reporting.text.targets import (
    cell_words,
    difference_sentence,
    figures_words,
    not_asked_sentences,
    source_sentence,
    targets_headline,
    why_sentence,
)

QUANTIZE = LeftOperator("QUANTIZE", "x", "No floats")


def arena(size: float) -> tuple[Figure, ...]:
    return (
        Figure("arena", size, "measured", "tool"),
        Figure("arena", size / 2, "measured", "tool", "head"),
    )


def matrix(**supports: Answer) -> TargetMatrix:
    """Two variants on a microcontroller and an NPU, by ``variant_target``."""
    names = {"mcu": "microcontroller", "npu": "npu"}
    cells = []
    for key, answer in supports.items():
        variant, _, target = key.partition("_")
        cells.append(Cell(variant, names[target], answer))
    return TargetMatrix(
        run="r",
        variants=("float32", "int8"),
        targets=tuple(TargetTitle(name, name, "measured", "tool") for name in names.values()),
        sizes={"float32": 400, "int8": 100},
        cells=tuple(cells),
    )


def test_the_headline_names_the_variant_of_most_targets_and_its_memory() -> None:
    shown = matrix(
        float32_mcu=Answer(support="whole", figures=arena(6.2e6)),
        float32_npu=Answer(support="refused"),
        int8_mcu=Answer(support="whole", figures=arena(1.7e6)),
        int8_npu=Answer(support="whole"),
    )
    assert with_plain_spaces(targets_headline(shown)) == (
        "int8 runs whole on 2 of 2 targets; on a microcontroller int8 needs 1.7 MB, "
        "3.6 × less than float32"
    )


def test_a_missing_tool_and_a_lost_answer_are_not_counted() -> None:
    absent = Answer(support="not_asked", reason="It is not installed.", todo="Install it.")
    shown = matrix(
        float32_mcu=absent,
        float32_npu=Answer(support="whole"),
        int8_mcu=absent,
        int8_npu=Answer(support="no_answer"),
    )
    assert targets_headline(shown) == "float32 runs whole on 1 of 1 target"
    assert not_asked_sentences(shown) == ("It is not installed. Install it.",)
    assert why_sentence(absent) == ""


def test_nothing_that_runs_whole_is_said() -> None:
    refused = Answer(support="refused")
    shown = matrix(float32_mcu=refused, float32_npu=refused, int8_mcu=refused, int8_npu=refused)
    assert targets_headline(shown) == "No variant runs whole on any target that was asked"


def test_a_cell_says_what_stays_behind() -> None:
    left = (QUANTIZE, QUANTIZE, LeftOperator("PAD", "y", ""))
    part = Answer(support="part", left=left, figures=arena(2e6), reason="No floats.", todo="Do.")
    assert cell_words(part) == "runs in part, without 2 × QUANTIZE, PAD"
    assert with_plain_spaces(figures_words(part)) == "Arena 2.0 MB"
    assert why_sentence(part) == "No floats. Do."
    assert cell_words(Answer(support="refused", left=left)) == "refused: QUANTIZE"
    assert cell_words(Answer(support="whole")) == "runs whole"


def test_a_difference_is_told_exactly() -> None:
    assert difference_sentence(AnswerDifference("reference", 4, 4, 0.0, "steps")) == (
        "Its answers on 4 pictures equal those of LiteRT's reference kernels, bit by bit."
    )
    assert difference_sentence(AnswerDifference("XNNPACK", 4, 1, 3.0, "steps")) == (
        "Its answers equal those of LiteRT's XNNPACK kernels on 1 of 4 pictures; no output "
        "differs by more than 3 steps."
    )
    assert difference_sentence(AnswerDifference("XNNPACK", 1, 0, 0.00123, "logits")).endswith(
        "on 0 of 1 picture; no output differs by more than 0.0012."
    )
    assert source_sentence(arena(2.0)[0]) == "Arena: measured by tool"
    assert "NaN or infinite" in difference_sentence(
        AnswerDifference("XNNPACK", 4, 1, None, "steps")
    )
