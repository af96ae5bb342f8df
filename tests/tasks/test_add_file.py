from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

import engine
from engine.cli.main import main
from engine.core.errors import FileError, OptionError, RunError
from engine.core.types import Progress
from engine.images.pictures import pictures_in
from engine.reporting.tables import OVERVIEW, comparison_table
from engine.runs.external_files import check_name, name_for, remove_file
from engine.runs.results import load_latency
from engine.runs.run import ALSO, WORK, Run
from engine.tasks import add_file as add_file_module
from engine.tasks import evaluate, evaluation
from engine.tasks.add_file import add_file
from engine.tflite.artifact import Artifact
from engine.workers import process as host_module
from tests.helpers.factories import artifact, latency
from tests.helpers.tiny_pair import Writer
from tests.helpers.tiny_run import CLASSES, SIDE, STEP, tiny_run
from tests.helpers.tiny_tflite import reshape_file

HOST = host_module.Foreground()
NHWC = (1, SIDE, SIDE, 3)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return tiny_run(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "scale", "tolerance"),
    [("float32", None, 0), ("int8", STEP, STEP), ("uint8", STEP, np.inf), ("int16", 1e-4, 1e-4)],
)
def test_a_file_becomes_a_column(
    run: Run, photos: Path, tmp_path: Path, dtype: str, scale: float | None, tolerance: float
) -> None:
    file = reshape_file(tmp_path / "theirs.tflite", NHWC, dtype=dtype, scale=scale)
    grown = add_file(run, "theirs", file, HOST)
    assert grown.columns == ("original", "float32", "int8", "theirs")
    card = grown.artifact("theirs")
    assert (card.layout, card.inputs[0].dtype, card.inputs[0].scale) == (
        "NHWC",
        dtype,
        scale if scale is None else pytest.approx(scale),
    )
    logits = evaluate.compute_logits(grown, pictures_in(photos), ("original", "theirs"), HOST)
    assert np.abs(logits["original"] - logits["theirs"]).max() <= tolerance
    assert Run.open(run.folder).added[0].origin == "theirs.tflite"


@pytest.mark.slow
def test_a_file_of_a_fixed_batch_answers_for_one_picture_at_a_time(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    file = reshape_file(tmp_path / "four.tflite", (4, SIDE, SIDE, 3), dtype="int8", scale=STEP)
    grown = add_file(run, "four", file, HOST)
    card = grown.artifact("four")
    assert (card.inputs[0].batch, card.depends_on_batch) == (4, False)
    pictures = pictures_in(photos)
    assert len(pictures) % 4, "a last batch that pictures do not fill"
    logits = evaluate.compute_logits(grown, pictures, ("original", "int8", "four"), HOST)
    np.testing.assert_array_equal(logits["four"], logits["int8"])
    comparison = engine.compare(grown, photos)
    (note,) = [note for note in comparison.notes if note.startswith("four takes 4 pictures")]
    assert "one at a time" in note
    timed = engine.latency(grown, variants=["int8", "four"], rounds=1, warmup=0)
    assert [entry.pictures for entry in timed.entries] == [1, 4]
    table = comparison_table(engine.compare(grown, photos, latency=timed), OVERVIEW)
    cells = dict(table.rows)["four"]
    assert any(cell.endswith("\xa0ms (4 pictures)") for cell in cells)


def test_a_file_that_answers_by_its_neighbours_says_so(run: Run, tmp_path: Path) -> None:
    model = Writer()
    x, y = (model.tensor(name, (4, SIDE, SIDE, 3), "float32") for name in "xy")
    others = model.tensor("i", (4, 1), "int32", values=np.array([[3], [0], [1], [2]]))
    model.operator("GATHER_ND", [x, others], y)
    file = tmp_path / "mixes.tflite"
    file.write_bytes(model.file([x], [y]))
    grown = add_file(run, "mixes", file, HOST)
    assert grown.artifact("mixes").depends_on_batch
    (note,) = [n for n in evaluation._notes(grown, (), ("mixes",)) if n.startswith("mixes takes")]
    assert "by the others of the same call" in note


@pytest.mark.slow
def test_the_layout_is_found(run: Run, photos: Path, tmp_path: Path) -> None:
    file = reshape_file(tmp_path / "planar.tflite", (1, 3, SIDE, SIDE))
    grown = add_file(run, "planar", file, HOST)
    assert grown.layout("planar") == "NCHW"
    logits = evaluate.compute_logits(grown, pictures_in(photos), ("original", "planar"), HOST)
    planes = logits["planar"].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(planes.reshape(-1, CLASSES), logits["original"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, SIDE, SIDE, 3), {"rows": 3}, "an output of shape (3, 32) for 2 pictures at once"),
        ((1, SIDE + 1, SIDE, 3), {}, "an input of shape (1, 5, 4, 3)"),
        ((1, SIDE * SIDE * 3), {}, "an input of shape (1, 48)"),
        (NHWC, {"inputs": 2}, "2 inputs and 1 outputs"),
        (NHWC, {"dtype": "int64"}, "type int64"),
        (NHWC, {"dtype": "int8"}, "int8 without a scale"),
    ],
)
def test_what_does_not_fit_is_refused(
    run: Run, tmp_path: Path, shape: tuple[int, ...], options: dict[str, object], message: str
) -> None:
    file = reshape_file(tmp_path / "x.tflite", shape, **options)  # type: ignore[arg-type]
    with pytest.raises(FileError) as caught:
        add_file(run, "theirs", file, HOST)
    assert message in caught.value.got
    assert Run.open(run.folder).added == ()
    assert list((run.folder / "also").iterdir()) == []


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    other = replace(run.manifest, model=replace(run.manifest.model, classes=CLASSES - 1))
    (run.folder / "manifest.json").write_bytes(other.to_json())
    file = reshape_file(tmp_path / "x.tflite", NHWC)
    with pytest.raises(FileError, match="background class") as caught:
        add_file(Run.open(run.folder), "theirs", file, HOST)
    assert f"{CLASSES} outputs" in caught.value.got


def test_bytes_that_are_no_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.tflite").write_text("not a model at all")
    with pytest.raises(FileError, match="does not begin like a TFLite file"):
        add_file(run, "theirs", tmp_path / "text.tflite", HOST)
    (tmp_path / "cut.tflite").write_bytes(
        reshape_file(tmp_path / "whole.tflite", NHWC).read_bytes()[:200]
    )
    with pytest.raises(FileError, match="theirs"):
        add_file(run, "theirs", tmp_path / "cut.tflite", HOST)


class Assassin(host_module.Foreground):
    """Ends or stops the worker as soon as it tries the file, as a malformed file would."""

    def __init__(self, sign: signal.Signals) -> None:
        super().__init__(lambda _: None)
        self._sign = sign

    def adopt(self, worker):  # type: ignore[no-untyped-def]
        self._worker = worker
        # Behind this process on a busy machine, so that the signal comes before the answer.
        os.setpriority(os.PRIO_PROCESS, worker._process.pid, 19)
        return worker

    def report(self, progress: Progress) -> None:
        os.kill(self._worker._process.pid, self._sign)


@pytest.mark.parametrize(
    ("sign", "message"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGSTOP, "no answer within 0 s")]
)
def test_a_file_that_kills_or_hangs_its_process(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: signal.Signals, message: str
) -> None:
    monkeypatch.setattr(add_file_module, "TRIAL_SECONDS", 0.3)
    file = reshape_file(tmp_path / "x.tflite", NHWC)
    with pytest.raises(FileError, match=message):
        add_file(run, "theirs", file, Assassin(sign))
    assert Run.open(run.folder).added == ()


@pytest.mark.parametrize(
    "name", ["", "../x", "a b", ".hidden", "int8", "Original", "x" * 41, "a/b", "mine_optimized"]
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(OptionError):
        check_name(name)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("my model (1).tflite", "my_model_1"),
        ("ünï.tflite", "n"),
        ("…", "file"),
        ("a.b.tflite", "a.b"),
    ],
)
def test_names_made_from_files(file: str, name: str) -> None:
    assert name_for(file) == name
    check_name(name)


@pytest.mark.slow
def test_the_same_file_again_changes_nothing_and_another_takes_its_place(
    run: Run, tmp_path: Path
) -> None:
    first = add_file(run, "theirs", reshape_file(tmp_path / "a.tflite", NHWC), HOST)
    assert add_file(first, "theirs", tmp_path / "a.tflite", HOST) is first
    timings = run.folder / "latency" / "threads-1.json"
    timings.parent.mkdir()
    timings.write_bytes(msgspec.json.encode(latency({"float32": 2.0, "theirs": 1.0})))
    (timings.parent / "threads-2.json").write_text("damaged")
    file = reshape_file(tmp_path / "b.tflite", NHWC, dtype="int8", scale=STEP)
    second = add_file(first, "theirs", file, HOST)
    assert second.artifact("theirs").inputs[0].dtype == "int8"
    timed = load_latency(second)
    assert timed is not None
    assert [entry.variant for entry in timed.entries] == ["float32"]


@pytest.mark.slow
def test_who_has_the_card_of_a_replaced_file_does_no_harm_to_the_new_one(
    run: Run, tmp_path: Path
) -> None:
    first = add_file(run, "theirs", reshape_file(tmp_path / "a.tflite", NHWC), HOST)
    file = reshape_file(tmp_path / "b.tflite", NHWC, dtype="int8", scale=STEP)
    second = add_file(run, "theirs", file, HOST)
    with pytest.raises(RunError, match="no such file"):
        first.file("theirs")
    assert second.file("theirs").read_bytes() == file.read_bytes()
    assert second.damaged(again=True) == ()
    assert not (run.folder / "damaged").exists()


@pytest.mark.slow
def test_a_file_of_no_use_is_marked_when_it_is_added(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    pictures = rng.integers(0, 256, (4, *NHWC[1:]), dtype=np.uint8)
    inputs = np.stack([run.manifest.preprocess.normalized(picture) for picture in pictures])
    (run.folder / WORK).mkdir()
    np.save(run.folder / WORK / "check_pictures.npy", pictures)
    np.save(run.folder / WORK / "float32.npy", inputs.reshape(len(pictures), -1))
    for name, scale in (("coarse", 1000.0), ("fine", 0.02)):
        file = reshape_file(tmp_path / name, NHWC, dtype="int8", scale=scale)
        run = engine.add_files(run, {name: file})
    assert run.faults == {"coarse": "same_answer"}


def test_removing(run: Run, tmp_path: Path) -> None:
    grown = add_file(run, "theirs", reshape_file(tmp_path / "a.tflite", NHWC), HOST)
    assert remove_file(grown, "theirs").columns == run.columns
    assert list((run.folder / "also").iterdir()) == []
    with pytest.raises(OptionError, match="'int8'"):
        remove_file(run, "int8")


@pytest.mark.slow
def test_answers_that_disagree_wholly_are_told_in_plain_words(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    file = reshape_file(tmp_path / "planar.tflite", (1, 3, SIDE, SIDE))
    comparison = engine.compare(run, photos, variants=["float32"], also={"planar": file})
    assert [variant.variant for variant in comparison.variants] == ["float32", "planar"]
    assert "other preprocessing" in comparison.notes[0]
    assert comparison.sizes["planar"] == file.stat().st_size


@pytest.mark.slow
def test_on_the_command_line(
    run: Run, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = reshape_file(tmp_path / "a.tflite", NHWC)
    words = ["--run", str(run.folder)]
    out = str(tmp_path / "C.json")
    compare = ["compare", *words, "--images", str(photos), "--json", out]
    assert main([*compare, "--also", f"theirs={file}", "--min-agreement", "theirs=1"]) == 0
    assert json.loads(Path(out).read_text())["variants"]["theirs"]["top1_agreement"] == 1
    assert main(["files", *words]) == 0
    assert "a.tflite" in capsys.readouterr().out
    assert main([*compare, "--also", f"int8={file}"]) == 2
    assert main([*compare, "--also", "theirs"]) == 2
    assert main([*compare, "--also", "theirs=/nowhere.tflite"]) == 2
    assert main(["files", *words, "--remove", "theirs"]) == 0
    assert main(["files", *words, "--remove", "theirs"]) == 2


def test_two_who_add_a_file_of_one_name_at_once_get_one_of_them_whole(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_are_there = threading.Barrier(2, timeout=60)

    def tried(run: Run, name: str, file: Path, host: object) -> Artifact:
        content = file.read_bytes()
        both_are_there.wait()
        assert file.read_bytes() == content
        card = replace(artifact(name, len(content)), file=f"{ALSO}/{name}.tflite")
        return replace(card, sha256=hashlib.sha256(content).hexdigest())

    monkeypatch.setattr(add_file_module, "_try_in_worker", tried)
    files = [
        reshape_file(tmp_path / f"{dtype}.tflite", NHWC, dtype=dtype, scale=scale)
        for dtype, scale in (("float32", None), ("int8", STEP))
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda file: add_file(run, "theirs", file, HOST), files))
    (found,) = Run.open(run.folder).added
    content = (run.folder / found.artifact.file).read_bytes()
    assert found.artifact.sha256 == hashlib.sha256(content).hexdigest()
    assert found.origin in {file.name for file in files}
    assert (tmp_path / found.origin).read_bytes() == content
    assert not list((run.folder / ALSO).glob(".*"))
