from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.images.pictures import Picture
from engine.reporting import plots
from engine.reporting.plots import figures
from engine.tasks.evaluation import Evaluation
from tests.helpers.factories import LOGITS, comparison, latency
from tests.helpers.tiny_run import tiny_run

TIED = LOGITS.copy()
TIED[1] = [2.0, 2.0, 1.5]


def evaluation(folder: Path) -> Evaluation:
    found = comparison({"int8": TIED})
    pictures = tuple(Picture(name, folder / name, name) for name in found.pictures)
    return Evaluation(
        tiny_run(folder / "tiny"), pictures, found, {"original": LOGITS, "int8": TIED}
    )


def test_a_tie_that_changes_the_answer_is_a_flip(tmp_path: Path) -> None:
    made = evaluation(tmp_path)
    figure = figures.margin_loss(made.comparison, "int8")
    assert plots.headline_of(figure).startswith("int8 changes 1 answer of 3")
    changed = figures.changed_classes(made, "int8").data[0]
    assert (list(changed.y), list(changed.x)) == (["class 1"], ["class 0"])


def test_the_worst_picture_comes_first(tmp_path: Path) -> None:
    made = evaluation(tmp_path)
    assert figures.worst_rows(made, 2) == [1, 0]
    heatmap = figures.difference_heatmap(made, [1, 0])
    assert list(heatmap.data[0].y) == ["picture_1.jpg", "picture_0.jpg"]


def test_the_heat_map_begins_with_the_picture_that_its_headline_names(tmp_path: Path) -> None:
    flipped = np.array([[3.0, 1.0, 0.0], [0.0, 1.7, 1.8], [1.0, 0.0, 4.9]], dtype=np.float32)
    found = comparison({"int8": flipped, "float16": LOGITS})
    assert [flip.index for flip in found.variants[0].flips] == [1]
    rows = figures.most_moved_rows(found, 2)
    assert rows == [2, 1]
    names = tuple(found.pictures)
    pictures = tuple(Picture(name, tmp_path, name) for name in names)
    logits = {"original": LOGITS, "int8": flipped, "float16": LOGITS}
    made = Evaluation(tiny_run(tmp_path / "tiny"), pictures, found, logits)
    figure = figures.difference_heatmap(made, rows)
    assert plots.headline_of(figure).startswith("picture_2.jpg moves most")
    assert figure.data[0].y[0] == "picture_2.jpg"


def test_a_variant_without_timings_is_named(tmp_path: Path) -> None:
    found = comparison({"int8": LOGITS, "uint8": LOGITS}, latency=latency({"int8": 4.0}))
    notes = [a.text for a in figures.trade_off(found).layout.annotations]
    assert any("uint8: not timed" in note for note in notes)
    assert "MB" in figures.trade_off(comparison({"int8": LOGITS})).layout.xaxis.title.text


def test_softmax_outputs_are_compared_as_logarithms(tmp_path: Path) -> None:
    shares = np.array([[0.7, 0.2, 0.1]], np.float32)
    found = comparison({"original": shares, "int8": shares})
    made = Evaluation(
        tiny_run(tmp_path / "tiny"),
        (Picture("a", tmp_path, "a"),),
        found,
        {"original": shares, "int8": shares},
    )
    assert found.probabilities
    assert np.allclose(made.comparable("int8"), np.log(shares))
    assert made.probabilities("int8", 0).tolist() == shares[0].astype(float).tolist()
