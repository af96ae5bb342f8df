"""A chosen target: what it refuses is not recommended, and the sentences say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.comparison.destination import Destination, Fit
from engine.comparison.recommendation import Candidate, Choice, candidates, recommend
from engine.core.formats import with_plain_spaces
from engine.portability.records import Answer, Cell, Figure, LeftOperator, TargetMatrix, TargetTitle
from engine.reporting.plots import figures
from engine.reporting.text import overview as sentences
from engine.reporting.text.destination import card_lines, destination_of, other_lines
from tests.helpers.factories import LOGITS, comparison, latency
from tests.helpers.tiny_run import tiny_run

QUICK = Candidate("int8", 5.0, 100, 0.1, 1.0)
SLOW = Candidate("int16x8", 50.0, 120, 0.01, 1.0)
EXACT = Candidate("float32", 10.0, 400, 0.0, 1.0)
ALL = (EXACT, QUICK, SLOW)


def on_mcu(**levels: Fit) -> Destination:
    return Destination(target="microcontroller", where="on a microcontroller", fits=levels)


WHOLE, PART = Fit("whole"), Fit("part", "No floats.", left="2 × PAD")
REFUSED, UNKNOWN = Fit("refused", "Hybrid models."), Fit("unknown", "The tool failed.")


@pytest.mark.parametrize(
    ("levels", "taken", "eligible"),
    [
        ({"int8": WHOLE, "int16x8": WHOLE, "float32": WHOLE}, "int8", 3),
        ({"int8": REFUSED, "int16x8": WHOLE, "float32": WHOLE}, "float32", 2),
        ({"int8": PART, "int16x8": WHOLE, "float32": REFUSED}, "int16x8", 1),
        ({"int8": PART, "int16x8": REFUSED, "float32": UNKNOWN}, "int8", 1),
        ({"int8": UNKNOWN, "int16x8": REFUSED, "float32": UNKNOWN}, "int8", 2),
        ({}, "int8", 3),
        ({"int8": REFUSED, "int16x8": REFUSED, "float32": REFUSED}, None, 0),
    ],
)
def test_what_runs_whole_comes_before_what_runs_in_part_and_what_is_not_known(
    levels: dict[str, Fit], taken: str | None, eligible: int
) -> None:
    choice = recommend(ALL, 0.9, on_mcu(**levels))
    assert (choice.taken.variant if choice.taken else None) == taken
    assert len(choice.eligible) == eligible
    anywhere = choice.elsewhere.variant if choice.elsewhere else "int8"
    assert anywhere == "int8"
    assert (choice.elsewhere is None) == (taken == "int8")


def test_a_variant_that_runs_but_keeps_too_few_answers_is_not_taken() -> None:
    pair = (replace(QUICK, agreement=0.5), EXACT)
    choice = recommend(pair, 0.9, on_mcu(int8=WHOLE, float32=REFUSED))
    assert choice.taken is None
    assert choice.about is pair[0]
    assert sentences.recommendation(choice) == (
        "No variant that runs on a microcontroller keeps 90\xa0% of the answers"
    )
    unknown = recommend(pair, 0.9, on_mcu(float32=REFUSED))
    assert sentences.recommendation(unknown) == "No variant keeps 90\xa0% of the answers"


SHOWN = comparison(
    {"float32": LOGITS, "int8": LOGITS, "int16x8": LOGITS},
    latency=latency({"float32": 10.0, "int8": 5.0, "int16x8": 50.0}),
)


def chosen(**levels: Fit) -> Choice:
    return recommend(candidates(SHOWN), 0.9, on_mcu(**levels))


def test_the_sentence_says_which_target_decided() -> None:
    choice = chosen(int8=REFUSED, float32=WHOLE, int16x8=WHOLE)
    assert sentences.headline(SHOWN, choice).endswith("runs whole on a microcontroller")
    reason = with_plain_spaces(sentences.reason(SHOWN, choice))
    assert "that keep at least 90 % of the answers and run whole on a microcontroller" in reason
    assert (
        "The target decides: otherwise int8 would be taken, which is refused there. "
        "Speed was measured on this machine's CPU, not there."
    ) in reason
    names = ["float32", "int8", "int16x8"]
    assert card_lines(choice, names) == (
        "float32: runs whole on a microcontroller",
        "int8: refused on a microcontroller: Hybrid models.",
    )
    assert other_lines(choice, names) == ("int16x8: runs whole on a microcontroller",)
    assert sentences.not_recommended(choice, "int8") == (
        "int8: refused on a microcontroller: Hybrid models."
    )


def test_what_is_not_known_is_not_refused() -> None:
    choice = chosen(int8=UNKNOWN, float32=UNKNOWN, int16x8=REFUSED)
    assert choice.taken is not None
    assert choice.taken.variant == "int8"
    reason = sentences.reason(SHOWN, choice)
    assert "Whether it runs on a microcontroller is not known. The tool failed." in reason
    assert "runs" not in sentences.headline(SHOWN, choice)
    lines = card_lines(choice, ["int8"])
    assert lines == ("int8: not known whether it runs on a microcontroller: The tool failed.",)


def test_a_target_that_refuses_all_is_said_first() -> None:
    choice = chosen(int8=REFUSED, float32=REFUSED, int16x8=REFUSED)
    assert sentences.headline(SHOWN, choice) == "No variant runs on a microcontroller"
    chip = sentences.chip(choice)
    assert chip is not None
    assert chip.words == "Refused there"
    assert sentences.reason(SHOWN, choice).startswith("Choose another target")


def test_the_plot_fades_what_the_target_refuses() -> None:
    figure = figures.trade_off(SHOWN, chosen(int8=REFUSED, float32=WHOLE, int16x8=WHOLE))
    pale = {trace.name for trace in figure.data if trace.name and trace.opacity is not None}
    assert pale == {"int8"}


def test_a_destination_is_made_of_what_one_target_answers(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    npu = TargetTitle("ethos-u55-256", "Ethos-U55, 256 MACs", "estimated", "Vela", integers=True)
    left = LeftOperator("PAD", "x", "No")
    matrix = TargetMatrix(
        run="r",
        variants=("float32", "int8"),
        targets=(npu,),
        sizes={"float32": 4, "int8": 1},
        cells=(
            Cell("float32", npu.name, Answer(support="no_answer", reason="It failed.")),
            Cell(
                "int8",
                npu.name,
                Answer(
                    support="part",
                    left=(left, left),
                    figures=(Figure("time", 14.5, "estimated", "Vela 5"),),
                ),
            ),
        ),
    )
    made = destination_of(matrix, run.artifacts)
    assert made.where == "on Ethos-U55 (256 MACs)"
    assert made.integer_only == ("int8",)
    assert made.fit("float32") == Fit("unknown", "It failed.")
    assert made.fit("int8") == Fit(
        "part", left="2 × PAD", figures="Time of a call 14.5\xa0ms (estimated by Vela 5)"
    )
    assert made.fit("int4").level == "unknown"
    choice = recommend(ALL, 0.9, made)
    lines = card_lines(choice, ["float32", "int8"])
    assert lines[-1] == (
        "Such a device is made for integer edges and no float operator: int8 has both"
    )
