"""Changed pictures through models whose answer is the brightest pixel: known by hand.

A pixel of 200 beats one of 159 until both are white, and then the first of them is the answer. At
+60 % the latter is 254, which int8's step of 1.17 levels does not tell from white; at +70 % it is
white for float models, too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.errors import OptionError, PictureError
from engine.core.types import Progress
from engine.images.changes import SCALES, Change
from engine.images.pictures import Picture, picture_at
from engine.runs.changed_predictions import (
    ChangedPicture,
    ChangedPredictions,
    Prediction,
    best_classes,
    first_class,
    predict,
)
from engine.runs.run import Run
from engine.tasks import changed_pictures as asking
from engine.tasks.changed_pictures import ask_models
from engine.tasks.evaluate import evaluate
from engine.tasks.robustness import find_flips, measure_robustness, read_robustness
from engine.workers.process import Foreground
from tests.helpers.tiny_run import SIDE, tiny_run

BRIGHTER = 3
"""Class of the second pixel's red."""
HOST = Foreground()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tiny_run(tmp_path_factory.mktemp("runs") / "run")


def picture(folder: Path, level: int) -> Picture:
    """Black but for red pixels of a level and of 200."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[0, 0, 0], pixels[0, 1, 0] = level, 200
    Image.fromarray(pixels).save(file := folder / f"{level}.png")
    return picture_at(file)


def test_the_least_strength_is_known_by_hand(run: Run, tmp_path: Path) -> None:
    shown = picture(tmp_path, 159)
    evaluation = evaluate(run, (shown,), HOST)
    flips = find_flips(evaluation, shown, HOST, kinds=("brightness",))
    assert flips is not None
    assert {flip.model: flip.strength for flip in flips.of("brightness")} == {
        "original": 70.0,
        "float32": 70.0,
        "int8": 60.0,
    }
    assert {flip.clean_class for flip in flips.flips} == {BRIGHTER}
    assert {flip.changed_class for flip in flips.flips} == {0}
    assert find_flips(evaluation, shown, None) == flips


def test_a_curve_is_known_by_hand(run: Run, tmp_path: Path) -> None:
    # 10 stays dark; 169 is 254 at +50 %, and white at +80 %.
    pictures = picture(tmp_path, 10), picture(tmp_path, 169)
    measured = measure_robustness(run, pictures, HOST, kinds=("brightness",))
    counts = {
        model: [(p.agreeing, p.stable) for p in measured.line("brightness", model)]
        for model in ("original", "float32", "int8")
    }
    quiet = [(2, 2)] * 5  # -80, -50, -20, 0, 20
    assert counts["original"] == counts["float32"] == [*quiet, (2, 2), (2, 1)]
    assert counts["int8"] == [*quiet, (1, 1), (2, 1)]
    assert measured.pictures == ("10.png", "169.png")
    evaluation = evaluate(run, pictures, HOST)
    assert read_robustness(evaluation) == measured


class CountingHost(Foreground):
    """Counts the workers that it was asked for."""

    workers = 0

    def worker(self, lowering: object = None):  # type: ignore[no-untyped-def]
        self.workers += 1
        return super().worker()


def test_nothing_is_asked_twice(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = picture(tmp_path, 33)
    changes = [(Change("blur", sigma),) for sigma in (1.0, 2.0)]
    first, second = (ChangedPicture(shown, change) for change in changes)
    host = CountingHost()
    assert ask_models(run, (first,), ("int8",), None) is None
    ask_models(run, (first,), ("int8",), host)
    ask_models(run, (first,), ("int8",), host)
    assert host.workers == 1
    asked: list[asking.AskedModel] = []
    answer = asking.run_changed_pictures

    def spy(request: asking.ChangedPicturesRequest, report: object) -> object:
        asked.extend(request.models)
        assert request.pictures == (second, first)
        return answer(request, report)  # type: ignore[arg-type]

    class Worker:
        def run(self, work: object, request: object, report: object) -> object:
            return spy(request, report)  # type: ignore[arg-type]

    class Context:
        def __enter__(self) -> Worker:
            return Worker()

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(asking, "worker_for", lambda *_: Context())
    stored = ask_models(run, (second, first), ("int8", "float32"), host)
    assert [(model.name, model.indices) for model in asked] == [("int8", (0,)), ("float32", (0, 1))]
    assert stored is not None
    assert stored.of("float32", shown, changes[0]) is not None
    assert ChangedPredictions(run, (shown,)).missing("int8", (first, second)) == ()


def test_clean_and_changed_pictures_go_through_one_worker(run: Run, tmp_path: Path) -> None:
    host = CountingHost()
    measure_robustness(run, (picture(tmp_path, 91),), host, kinds=("blur",))
    assert host.workers == 1
    measure_robustness(run, (picture(tmp_path, 91),), host, kinds=("blur",))
    assert host.workers == 1


def test_the_same_content_under_another_name_is_not_asked_again(run: Run, tmp_path: Path) -> None:
    shown = picture(tmp_path, 44)
    copied = tmp_path / "copy.png"
    copied.write_bytes(shown.path.read_bytes())
    change = (Change("crop", 70.0),)
    ask_models(run, (ChangedPicture(shown, change),), ("int8",), HOST)
    again = ChangedPicture(picture_at(copied), change)
    assert ask_models(run, (again,), ("int8",), None) is not None


def test_chunks_of_pictures_give_the_same_predictions(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = tuple(
        ChangedPicture(picture(tmp_path, level), (Change("noise", levels),))
        for level in (51, 52, 53)
        for levels in (20.0, 90.0)
    )
    model = asking.AskedModel("float32", tuple(range(len(shown))))
    request = asking.ChangedPicturesRequest(run=str(run.folder), pictures=shown, models=(model,))
    said: list[Progress] = []
    whole = asking.run_changed_pictures(request, said.append)
    monkeypatch.setattr(asking, "_MOST_BYTES", 4 * SIDE * SIDE * 3)
    assert asking.run_changed_pictures(request, said.append) == whole
    assert all(step.done <= step.total == 6 for step in said)


@pytest.mark.slow
def test_only_kinds_that_were_shown_to_every_model_are_read(run: Run, tmp_path: Path) -> None:
    pictures = picture(tmp_path, 61), picture(tmp_path, 62)
    evaluation = evaluate(run, pictures, HOST)
    assert read_robustness(evaluation) is None
    assert find_flips(evaluation, pictures[0], None) is None
    measure_robustness(run, pictures, HOST, kinds=("jpeg",), variants=("int8",))
    assert read_robustness(evaluation) is None
    measure_robustness(run, pictures, HOST, kinds=("jpeg",))
    measured = read_robustness(evaluation)
    assert measured is not None
    assert measured.kinds == ("jpeg",)


def test_a_damaged_file_is_asked_again(run: Run, tmp_path: Path) -> None:
    shown = ChangedPicture(picture(tmp_path, 71), (Change("blur", 1.0),))
    ask_models(run, (shown,), ("int8",), HOST)
    (file,) = (run.folder / "robustness").glob(f"{shown.picture.sha256[:32]}.json")
    file.write_bytes(file.read_bytes()[:-9])
    assert ask_models(run, (shown,), ("int8",), None) is None
    assert ask_models(run, (shown,), ("int8",), HOST) is not None


def test_wrong_names_are_refused(run: Run, tmp_path: Path) -> None:
    pictures = (picture(tmp_path, 81),)
    with pytest.raises(OptionError, match="'fog'; expected one of crop, rotation"):
        measure_robustness(run, pictures, HOST, kinds=("fog",))
    with pytest.raises(OptionError, match="'int4'"):
        measure_robustness(run, pictures, HOST, variants=("int4",))
    pictures[0].path.write_bytes(b"no picture")
    with pytest.raises(PictureError):
        ask_models(run, (ChangedPicture(pictures[0], (Change("blur", 1.0),)),), ("int8",), HOST)


def test_a_prediction_holds_the_first_classes_with_their_shares() -> None:
    logits = np.log(np.array([0.1, 0.2, 0.4, 0.05, 0.05, 0.2], np.float32))
    prediction = predict(logits)
    assert prediction.classes == (2, 1, 5, 0, 3)
    best = best_classes(prediction, probabilities=False)
    assert [share for _, share in best] == pytest.approx([0.4, 0.2, 0.2, 0.1, 0.05], abs=1e-6)
    shares = best_classes(predict(np.exp(logits)), probabilities=True)
    assert [share for _, share in shares] == pytest.approx([0.4, 0.2, 0.2, 0.1, 0.05], abs=1e-6)
    assert first_class(prediction, probabilities=False) == 2


def test_nan_is_no_answer() -> None:
    prediction = predict(np.array([1.0, np.nan], np.float32))
    assert prediction == Prediction((), (), 0.0)
    assert first_class(prediction, probabilities=False) == -1
    assert best_classes(prediction, probabilities=False) == ()


@pytest.mark.parametrize(
    ("value", "probabilities", "answer"), [(0.4, True, 0), (0.4, False, 1), (-0.1, False, 0)]
)
def test_one_output_is_read_as_two_classes(value: float, probabilities: bool, answer: int) -> None:
    prediction = predict(np.array([value], np.float32))
    assert first_class(prediction, probabilities) == answer
    (best, share), (_, rest) = best_classes(prediction, probabilities)
    assert best == answer
    assert share + rest == pytest.approx(1)


def test_the_search_of_every_kind_is_on_the_slider() -> None:
    for scale in SCALES.values():
        assert len(scale.positions) == len(scale.search) + 1
