"""What would make a run better, by figures that are known by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from engine.comparison.comparison import Comparison
from engine.comparison.recommendation import candidates, recommend
from engine.reporting.text import opportunities
from engine.reporting.text.opportunities import Opportunities, find_opportunities
from engine.runs.run import Run
from tests.helpers.factories import LOGITS, comparison, latency, memory_use
from tests.helpers.tiny_run import tiny_run

FAR = LOGITS + np.array([[0.2, 0, 0]], np.float32)
NEAR = LOGITS + np.array([[0.05, 0, 0]], np.float32)
FLIPPED = LOGITS[:, [1, 0, 2]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tiny_run(tmp_path_factory.mktemp("opportunities") / "tiny")


def compared(answers: Mapping[str, np.ndarray], **options: object) -> Comparison:
    timed = latency(dict.fromkeys(answers, 4.0))
    return comparison(answers, **({"latency": timed} | options))


def checked(run: Run, answers: Comparison, need: float = 0.95) -> Opportunities:
    return find_opportunities(run, answers, recommend(candidates(answers), need))


def kinds(checks: Opportunities) -> list[str]:
    return [item.kind for item in checks.offered]


def test_a_fresh_run_has_everything_to_do(run: Run) -> None:
    checks = checked(run, compared({"float32": LOGITS, "int8": FAR}, latency=None))
    assert kinds(checks)[:4] == ["optimize", "prove", "time", "label"]
    optimize, prove = checks.offered[:2]
    assert (optimize.what, optimize.variant) == ("Optimize int8", "int8")
    assert prove.what == "Show it 70 more pictures"
    assert prove.gain == "proves that 95\xa0% of the answers stay, if none of them changes"


def with_variant(run: Run, name: str) -> Run:
    """The run with one more variant, as far as its manifest says."""
    more = replace(run.artifact("int8"), variant=name)
    artifacts = (*run.manifest.artifacts, more)
    return replace(run, manifest=replace(run.manifest, artifacts=artifacts))


def test_what_is_done_has_passed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = with_variant(run, "int8_optimized")
    answers = {"float32": LOGITS, "int8": FAR, "int8_optimized": NEAR}
    monkeypatch.setattr(opportunities, "list_unmeasured", lambda _: ())
    memory = memory_use(dict.fromkeys(answers, 15e6))
    labels = np.array([0, 1, 2])
    checks = checked(done, compared(answers, labels=labels, memory=memory), need=0.4)
    assert kinds(checks) in (["mix"], ["mix", "calibrate"])
    assert checks.passed[:5] == (
        "int8_optimized removes 75.0\xa0% of int8's error",
        "3 pictures prove that 40\xa0% of the answers stay",
        "3 models timed steadily",
        "Peak memory of 3 variants measured",
        "The right answers of 3 pictures are there",
    )


def test_layers_in_float32_are_offered_until_they_are_there(run: Run) -> None:
    answers = {"float32": LOGITS, "int8_optimized": FAR}
    assert "mix" not in kinds(checked(run, compared({"float32": LOGITS, "int8": FAR})))
    (mix,) = (x for x in checked(run, compared(answers)).offered if x.kind == "mix")
    assert mix.variant == "int8_optimized"
    name = "int8_mixed(k=3)"
    mixed = checked(with_variant(run, name), compared({**answers, name: NEAR}))
    assert "mix" not in kinds(mixed)
    assert "int8_mixed(k=3) removes 75.0\xa0% of int8_optimized's error" in mixed.passed


def test_timings_that_are_missing_or_noisy_are_named(run: Run) -> None:
    answers = {"float32": LOGITS, "int8": FAR}
    missing = checked(run, compared(answers, latency=latency({"float32": 4.0}))).offered[2]
    assert (missing.kind, missing.gain) == ("time", "so far without int8")
    noisy = latency({"float32": 4.0, "int8": 4.0}, spread=0.6)
    again = checked(run, compared(answers, latency=noisy)).offered[2]
    assert (again.what, again.gain.split(":")[0]) == ("Time again", "2 of 2 timings were noisy")


def test_memory_that_is_missing_is_offered_once_the_speed_is_there(run: Run) -> None:
    answers = {"float32": LOGITS, "int8": FAR}
    assert "memory" not in kinds(checked(run, compared(answers, latency=None)))
    (nothing,) = [item for item in checked(run, compared(answers)).offered if item.kind == "memory"]
    assert nothing.gain == "tells which variants fit where memory is small"
    memory = memory_use({"float32": 46e6})
    some = checked(run, compared(answers, memory=memory)).offered
    (rest,) = [item for item in some if item.kind == "memory"]
    assert rest.gain == "so far without float32, int8"  # the run on disk was asked about neither


def test_nothing_is_offered_that_would_prove_nothing(run: Run) -> None:
    flipping = compared({"int8": FLIPPED}, random_weights=True)
    assert "prove" not in kinds(checked(run, flipping))
    assert "label" not in kinds(checked(run, flipping))
    broken = compared({"int8": np.full_like(LOGITS, np.nan)})
    assert "optimize" not in kinds(checked(run, broken))
