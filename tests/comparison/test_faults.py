"""Answers of no use: found, said, left out of every choice, and missed by every gate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.cli.main import main
from engine.comparison import recommendation as overview
from engine.comparison.comparison import Comparison
from engine.comparison.faults import fault_of, fault_sentences
from engine.core.errors import OptionError
from engine.core.store import SAMPLE_IMAGES
from engine.core.types import Fault, MissingVariant
from engine.reporting import tables
from engine.reporting.plots import figures
from engine.reporting.text import overview as overview_sentences
from engine.reporting.text import runs as sentences
from engine.runs.manifest import FILE_NAME
from engine.runs.run import Run
from tests.helpers.factories import LOGITS, comparison
from tests.helpers.tiny_run import tiny_run
from tests.helpers.tiny_tflite import reshape_file

STILL = np.repeat(LOGITS[:1], 3, axis=0)
NAN = np.full_like(LOGITS, np.nan)
WITHOUT_INT8 = MissingVariant("int8", "ConversionError", "Quantizing", "a refusal", "a file", "")


@pytest.mark.parametrize(
    ("reference", "logits", "expected"),
    [
        (LOGITS, LOGITS, None),
        (LOGITS, STILL, "same_answer"),
        (LOGITS, LOGITS * 0.009 + 2, "same_answer"),
        (LOGITS, LOGITS * 0.011 + 2, None),
        (STILL, STILL, None),
        (LOGITS * 0.01 + 100, STILL, None),
        (LOGITS[:1], STILL[:1], None),
        (LOGITS, NAN, "not_finite"),
        (NAN, NAN, None),
        (LOGITS, np.vstack([LOGITS[:2], [[1, np.inf, 0]]]), "not_finite"),
    ],
    ids=[
        "follows",
        "stands still",
        "below a hundredth",
        "above a hundredth",
        "the reference stands still",
        "the reference moves by less than a step of 8 bits",
        "one picture",
        "NaN",
        "the reference is NaN",
        "Inf on one picture",
    ],
)
def test_what_is_a_fault(reference: np.ndarray, logits: np.ndarray, expected: Fault | None) -> None:
    assert fault_of(reference, logits) == expected


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(np.asarray(logits, np.float64))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def fault_in(found: Comparison, name: str = "int8") -> Fault | None:
    return found.variant(name).fault


def test_a_comparison_judges_three_pictures_or_more() -> None:
    assert fault_in(comparison({"int8": STILL})) == "same_answer"
    assert fault_in(comparison({"int8": STILL[:2]})) is None
    assert fault_in(comparison({"int8": STILL[:2]}, known_faults={"int8": "same_answer"})) == (
        "same_answer"
    )
    assert fault_in(comparison({"int8": NAN[:1]})) == "not_finite"


def test_a_softmax_beside_logits_is_judged_by_its_probabilities() -> None:
    assert fault_in(comparison({"theirs": softmax(LOGITS)}, added={"theirs"}), "theirs") is None
    still = comparison({"theirs": softmax(STILL)}, added={"theirs"})
    assert fault_in(still, "theirs") == "same_answer"
    sure = softmax(np.array([[60, 0, 1], [64, 2, 0], [61, 1, 1]]))
    assert fault_in(comparison({"original": sure, "int8": np.rint(sure)})) is None


def test_sentences_name_all_and_what_may_help() -> None:
    both = fault_sentences({"int8": "same_answer", "uint8": "same_answer"})
    assert both[0].startswith("int8 and uint8 answer the same for every picture: do not use them.")
    for way in ("python -m engine layers", "improve", "mix", "int16x8", "--calibration"):
        assert way in both[0]
    (alone,) = fault_sentences({"int8_optimized": "same_answer"})
    assert alone.startswith("int8_optimized answers the same for every picture: do not use it.")
    assert "(improve)" not in alone
    assert "NaN or Inf" in fault_sentences({"float16": "not_finite"})[0]
    assert fault_sentences({}) == ()


def test_it_is_left_out_of_every_choice_and_named_everywhere() -> None:
    sizes = {"float32": 400, "int8": 100}
    found = comparison({"float32": LOGITS, "int8": STILL}, sizes=sizes, float32_bytes=400)
    choice = overview.recommend(overview.candidates(found), 0.0)
    assert [c.variant for c in choice.eligible] == ["float32"]
    assert choice.taken == choice.nearest
    assert choice.bolder is None
    assert overview_sentences.headline(found, choice).startswith("Ship float32: ")
    words = "int8 answers the same for every picture"
    assert sentences.predictions_headline(found) == words
    assert found.faults == found.notes[:1]
    assert found.faults[0].startswith(words)
    plot = figures.trade_off(found)
    assert "int8: same answer always" in " ".join(a.text for a in plot.layout.annotations)
    assert "int8" not in [trace.name for trace in plot.data]
    table = tables.comparison_table(found, tables.OVERVIEW)
    assert table.faults == {"int8": "answers the same for every picture"}
    plain = found.to_dict()["variants"]
    assert (plain["int8"]["fault"], plain["float32"]["fault"]) == ("same_answer", None)
    assert found.to_frame()["fault"].to_list() == [None, "same_answer"]
    nothing = comparison({"int8": STILL})
    none = overview.recommend(overview.candidates(nothing), 0.0)
    assert none.about is None
    assert "These models are broken" in overview_sentences.headline(nothing, none)
    assert "the same for every picture" in overview_sentences.reason(nothing, none)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose int8 rounds everything to 0, without an int16x8 that could not be made."""
    made = tiny_run(tmp_path / "run")
    shape = made.artifact("int8").inputs[0].shape
    reshape_file(made.folder / "also.tflite", shape, dtype="int8", scale=1000.0)
    missing = replace(WITHOUT_INT8, variant="int16x8")
    manifest = replace(made.manifest, missing=(missing,))
    (made.folder / FILE_NAME).write_bytes(manifest.to_json())
    return engine.add_files(made.folder, {"coarse": made.folder / "also.tflite"})


@pytest.mark.slow
def test_no_gate_lets_it_pass(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "--run", str(run.folder), "--images", str(SAMPLE_IMAGES)]
    assert main([*words, "--min-agreement", "int8=0"]) == 0
    assert main([*words, "--min-agreement", "coarse=0", "--max-size-ratio", "coarse=9"]) == 1
    shown = capsys.readouterr()
    assert "coarse answers the same for every picture, so it passes no gate on agr" in shown.err
    assert "so it passes no gate on size" in shown.err
    assert "Note: coarse answers the same for every picture: do not use it." in shown.out
    assert "Note: int16x8 is missing. Quantizing: got a refusal; expected a file." in shown.out
    assert main([*words, "--min-agreement", "int16x8=0"]) == 2
    assert "'int16x8', which could not be made: a refusal" in capsys.readouterr().err


@pytest.mark.slow
def test_files_and_reports_say_it(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["files", "--run", str(run.folder)]) == 0
    assert "int16x8 is missing. Quantizing: got a refusal" in capsys.readouterr().out
    report = engine.report(run, SAMPLE_IMAGES)
    page = report.to_html()
    assert '<p class="note fault">int16x8 is missing.' in page
    assert '<b class="fault">answers the same for every picture</b></th>' in page
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["manifest"]["missing"][0]["variant"] == "int16x8"
    assert plain["comparison"]["variants"]["coarse"]["fault"] == "same_answer"
    header, *rows = (line.split(",") for line in report.to_csv().splitlines())
    faults = {row[1]: row[-1] for row in rows}
    assert header[-1] == "fault"
    assert faults == {
        "float32": "",
        "int8": "",
        "coarse": "same_answer",
        "int16x8": "missing: Quantizing: a refusal",
    }


@pytest.mark.slow
def test_no_kit_is_made_of_it(run: Run, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="coarse, which answers the same for every picture"):
        engine.deploy(run, "coarse", SAMPLE_IMAGES, out=tmp_path / "kit.zip")
    assert not (tmp_path / "kit.zip").exists()
