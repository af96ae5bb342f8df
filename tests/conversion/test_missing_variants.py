"""A variant that cannot be made costs itself alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.cli.main import main
from engine.conversion.build import Conversion
from engine.conversion.missing_variants import missing_sentences
from engine.conversion.resume import ConvertTask, FinishedStages, OriginalModel, keep_finished
from engine.conversion.variant_files import CoreFiles
from engine.core.errors import (
    ConversionError,
    HopError,
    OperatorError,
    OptionError,
    StorageError,
    WorkerDied,
    WorkerKilled,
)
from engine.core.store import SAMPLE_IMAGES
from engine.core.types import FloatArray, MissingVariant
from engine.networks.runners.tflite import TfliteRunner
from engine.quantization.calibration import Calibration
from engine.quantization.recipes import FLOAT32, Recipe, recipe_named
from engine.reporting import plots
from engine.reporting.plots.frame import in_red
from engine.runs.manifest import Stage
from engine.runs.run import ONNX_FILE, SAVEDMODEL, WORK, Run
from engine.tasks.convert import convert_request
from engine.tasks.improve import improve, mix
from tests.helpers.fake_host import HandMadeHost, request_for
from tests.helpers.tiny_run import SIDE, tiny_run
from tests.helpers.tiny_tflite import reshape_file

Making = Callable[[Recipe], None]
FLOATS = ("float16", "dynamic_range", "int8_float_io", "int8_float_io_optimized", "int16x8")


class _End(BaseException):
    """The process ends here, as in a library that calls ``abort``."""


class _Kill(BaseException):
    """Somebody kills the process here."""


class InProcess(HandMadeHost):
    """Converts in this process, with a converter that writes files by hand.

    Args:
        making: Called before each file; what it raises is what the converter does.
    """

    def __init__(self, making: Making, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.tried: list[str] = []

        def written(files: CoreFiles, recipe: Recipe, _: object = None) -> None:
            self.tried.append(recipe.name)
            making(recipe)
            shape = (1, SIDE, SIDE, 3)
            reshape_file(files._side / WORK / f"{recipe.name}.tflite", shape)

        def optimized(files: CoreFiles, recipe: Recipe, calibration: Calibration) -> None:
            files.of(recipe.plain, calibration)
            written(files, recipe)

        def mixed(files: CoreFiles, recipe: Recipe, calibration: Calibration) -> None:
            files.of(recipe.unmixed, calibration)
            written(files, recipe)

        monkeypatch.setattr(CoreFiles, "_convert", written)
        monkeypatch.setattr(CoreFiles, "_optimize", optimized)
        monkeypatch.setattr(CoreFiles, "_make_mixed", mixed)
        monkeypatch.setattr(Conversion, "_make_savedmodel", _make_savedmodel)
        monkeypatch.setattr("engine.conversion.build.with_depthwise_in_parts", lambda model: model)

    @contextmanager
    def worker(self, lowering: object = None) -> Iterator[InProcess]:
        yield self

    def run(self, work: object, task: ConvertTask, report: Callable[..., None]) -> bool:
        self.tasks.append(task)
        try:
            return Conversion(task, report).run()
        except _End:
            raise WorkerDied("Working", got="the end by SIGABRT", expected="", todo="") from None
        except _Kill:
            raise WorkerKilled("Working", got="the end by SIGKILL", expected="", todo="") from None


def _make_savedmodel(conversion: Conversion) -> OriginalModel:
    if conversion._finished.model is not None:
        return conversion._finished.model
    side = conversion._side
    made = tiny_run(side / "made")
    shutil.move(made.folder / ONNX_FILE, side / ONNX_FILE)
    shutil.rmtree(made.folder)
    known = made.manifest
    model = OriginalModel(known.model, known.preprocess, None, known.layout, known.opset)
    logits = conversion.check_inputs(known.preprocess).reshape(4, -1)
    np.save(side / WORK / f"{SAVEDMODEL}.npy", logits)
    stages = (Stage("onnx", 0.1), Stage(SAVEDMODEL, 0.1, "onnx", 0.0, 0.0))
    finished = FinishedStages(wanted=conversion._finished.wanted, stages=stages, model=model)
    conversion._finished = keep_finished(side, finished)
    return model


def fails(*names: str, error: BaseException | None = None) -> Making:
    refusal = ConversionError("Quantizing", got="a refusal", expected="a file", todo="Leave it.")

    def making(recipe: Recipe) -> None:
        if recipe.name in names:
            raise error or refusal

    return making


def reasons(run: Run) -> dict[str, str]:
    return {record.variant: record.got for record in run.missing}


def test_what_passed_stays_and_what_failed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = InProcess(fails("float16", "int16x8"), monkeypatch)
    request = request_for(tmp_path / "m.onnx", "float32", *FLOATS, out=tmp_path / "run")
    run = convert_request(request, host)
    assert run.variants == (
        "float32",
        "dynamic_range",
        "int8_float_io",
        "int8_float_io_optimized",
    )
    assert reasons(run) == {"float16": "a refusal", "int16x8": "a refusal"}
    assert run.missing[0].stage == "Quantizing"
    assert run.damaged(again=True) == ()
    assert not (run.folder / "float16.tflite").exists()
    assert "float32,dynamic_range,float16," in run.manifest.command


def test_who_names_a_missing_variant_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = InProcess(fails("float16"), monkeypatch)
    request = request_for(tmp_path / "m.onnx", "float32", "float16", out=tmp_path / "run")
    run = convert_request(request, host)
    reason = "'float16', which could not be made: a refusal; expected one of"
    for ask in (
        lambda: engine.compare(run, SAMPLE_IMAGES, variants=["float16"]),
        lambda: engine.deploy(run, "float16", SAMPLE_IMAGES),
        lambda: engine.layers(run, "float16", SAMPLE_IMAGES),
    ):
        with pytest.raises(OptionError, match=reason):
            ask()


def test_a_file_that_fails_is_tried_once_and_costs_all_that_are_made_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = InProcess(fails("int8_float_io"), monkeypatch)
    names = ("float16", "int8", "uint8", "int8_float_io", "int8_optimized", "int8_mixed(k=1)")
    run = convert_request(request_for(tmp_path / "m.onnx", *names, out=tmp_path / "run"), host)
    assert run.variants == ("float16",)
    assert set(reasons(run)) == set(names[1:])
    assert set(reasons(run).values()) == {"a refusal"}
    assert host.tried.count("int8_float_io") == 1


def test_a_converter_that_ends_the_process_costs_what_it_was_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = InProcess(fails("int8_float_io_optimized", "int16x8", error=_End()), monkeypatch)
    request = request_for(tmp_path / "m.onnx", "float32", *FLOATS, out=tmp_path / "run")
    run = convert_request(request, host)
    assert run.variants == ("float32", "dynamic_range", "float16", "int8_float_io")
    why = "the converter ended the process: the end by SIGABRT"
    assert reasons(run) == {"int8_float_io_optimized": why, "int16x8": why}
    assert len(host.tasks) == 3
    assert [name for name in host.tried if name in {"float16", "int8_float_io"}] == [
        "float16",
        "int8_float_io",
    ]
    assert run.damaged(again=True) == ()


def test_a_worker_that_was_killed_from_outside_is_given_one_more_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaths = ["float16", "int16x8", "int16x8"]

    def making(recipe: Recipe) -> None:
        if recipe.name in deaths:
            deaths.remove(recipe.name)
            raise _Kill

    host = InProcess(making, monkeypatch)
    request = request_for(tmp_path / "m.onnx", "float32", *FLOATS, out=tmp_path / "run")
    run = convert_request(request, host)
    assert reasons(run) == {"int16x8": "the converter ended the process: the end by SIGKILL"}
    assert "float16" in run.variants
    assert len(host.tasks) == 4
    assert host.tried.count("dynamic_range") == 1


def test_an_end_before_any_variant_is_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = InProcess(fails("float32", error=_End()), monkeypatch)
    with pytest.raises(WorkerDied, match="SIGABRT"):
        convert_request(request_for(tmp_path / "m.onnx", "float16", out=tmp_path / "run"), host)
    assert not (tmp_path / "run").exists()


def test_asking_again_says_the_same_and_tries_only_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for(tmp_path / "m.onnx", "float32", "float16", out=tmp_path / "run")
    first = convert_request(request, InProcess(fails("float16"), monkeypatch))
    host = InProcess(fails(), monkeypatch)
    assert convert_request(request, host).missing == first.missing
    assert host.tasks == []
    more = replace(request, variants=("float16", "dynamic_range"))
    assert convert_request(more, host).variants == ("float32", "dynamic_range")
    assert host.tried == ["dynamic_range"]
    again = convert_request(replace(request, retry=True), host)
    assert again.variants == ("float32", "dynamic_range", "float16")
    assert again.missing == ()
    assert b'"retry":false' in (again.folder / WORK / "request.json").read_bytes()


def test_a_retry_that_fails_says_why_it_failed_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for(tmp_path / "m.onnx", "float32", "float16", out=tmp_path / "run")
    convert_request(request, InProcess(fails("float16"), monkeypatch))
    other = MemoryError("no room")
    host = InProcess(fails("float16", error=other), monkeypatch)
    run = convert_request(replace(request, retry=True), host)
    assert reasons(run) == {"float16": "an internal fault (MemoryError: no room)"}


def test_a_run_always_has_a_file_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = InProcess(fails("float16"), monkeypatch)
    run = convert_request(request_for(tmp_path / "m.onnx", "float16", out=tmp_path / "run"), host)
    assert run.variants == ("float32",)
    assert set(reasons(run)) == {"float16"}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("float32", HopError("Checking", got="x", expected="y", todo="z")),
        ("float32", OperatorError("Converting", got="Atan", expected="y", todo="z")),
        ("float16", StorageError("Writing", got="x", expected="y", todo="z")),
    ],
)
def test_what_stops_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    host = InProcess(fails(name, error=error), monkeypatch)
    request = request_for(tmp_path / "m.onnx", "float32", "float16", out=tmp_path / "run")
    with pytest.raises(type(error)):
        convert_request(request, host)
    assert not (tmp_path / "run").exists()


def test_a_single_variant_that_is_added_raises_and_leaves_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = InProcess(fails("int8_float_io_optimized"), monkeypatch)
    request = request_for(tmp_path / "m.onnx", "float32", "int8_float_io", out=tmp_path / "run")
    run = convert_request(request, host)
    for _ in range(2):
        with pytest.raises(ConversionError, match="a refusal"):
            improve(run, "int8_float_io", host)
    assert host.tried.count("int8_float_io_optimized") == 1
    mistake = OptionError("Making", got="999 layers", expected="1 to 4", todo="Name fewer.")
    host = InProcess(fails("int8_mixed(k=999)", error=mistake), monkeypatch)
    convert_request(replace(request, variants=("int8_float_io_optimized",), retry=True), host)
    with pytest.raises(OptionError, match="999 layers"):
        mix(Run.open(run.folder), "int8_mixed(k=999)", host)
    assert Run.open(run.folder).missing == ()


def test_python_warns_and_the_command_line_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = InProcess(fails("float16"), monkeypatch)
    monkeypatch.setattr("engine.api.conversion.Foreground", lambda on_progress: host)
    file, place = str(tmp_path / "m.onnx"), str(tmp_path / "run")
    Path(file).write_bytes(b"a model")
    sentence = "float16 is missing. Quantizing: got a refusal; expected a file. Leave it."
    for _ in range(2):
        with pytest.warns(engine.MissingVariantWarning, match=sentence) as caught:
            run = engine.convert(onnx=file, variants=["float32", "float16"], out=place)
        assert caught[0].filename == __file__
        assert run.variants == ("float32",)
        words = ["convert", "--onnx", file, "--variants", "float32,float16", "--out", place]
        assert main(words) == 1
        shown = capsys.readouterr()
        assert sentence in shown.err
        assert f"Run: {place}" in shown.out
    assert main([*words[:3], "--variants", "float32", *words[5:]]) == 0
    engine.convert(onnx=file, variants=["float32"], out=place)


def test_the_files_that_a_recipe_is_made_from() -> None:
    names = {
        "float16": ["float16"],
        "uint8": ["int8_float_io"],
        "int16x8_optimized": ["int16x8_optimized", "int16x8"],
        "int8_mixed(k=2)": ["int8_mixed(k=2)", "int8_float_io_optimized", "int8_float_io"],
    }
    for name, cores in names.items():
        assert [core.name for core in recipe_named(name).cores] == cores
    assert FLOAT32.cores == (FLOAT32,)


def test_useless_answers_are_marked_and_wrong_ones_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = TfliteRunner.infer_impl

    def infer(runner: TfliteRunner, batch: FloatArray) -> FloatArray:
        logits = answered(runner, batch)
        wrong = {
            "float16": logits * 1.2,
            "int8_float_io": logits * 1.2,
            "int8_float_io_optimized": np.zeros_like(logits),
            "int16x8": logits * np.nan,
        }
        return wrong.get(runner._file.stem, logits)

    monkeypatch.setattr(TfliteRunner, "infer_impl", infer)
    host = InProcess(fails(), monkeypatch)
    request = request_for(tmp_path / "m.onnx", "float32", *FLOATS, out=tmp_path / "run")
    run = convert_request(request, host)
    assert run.faults == {"int8_float_io_optimized": "same_answer", "int16x8": "not_finite"}
    assert Run.open(run.folder).artifact("int16x8").fault == "not_finite"
    (missing,) = run.missing
    assert missing.variant == "float16"
    assert "0.2 of the largest" in missing.got
    assert "This step broke the model" in missing.todo
    stages = {stage.name: stage for stage in run.manifest.stages}
    assert stages["int8_float_io_optimized"].max_rel_error == pytest.approx(1)
    assert stages["int16x8"].max_rel_error is None
    assert stages["int16x8"].fault == "not_finite"
    assert stages["int8_float_io_optimized"].fault == "same_answer"
    ladder = plots.hop_ladder(run.manifest.stages)
    assert plots.headline_of(ladder) == "int16x8 answers NaN or Inf"
    texts = {trace.name: trace.text[1] for trace in ladder.data}
    assert texts["float32 → int16x8"] == in_red("NaN or Inf")
    assert texts["float32 → int8_float_io_optimized"] == in_red("same answer always")


@pytest.mark.parametrize("added_later", [False, True])
def test_int16_that_is_further_off_than_int8_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, added_later: bool
) -> None:
    answered = TfliteRunner.infer_impl
    # The optimized two differ by no more than rounded weights do.
    factors = {
        "int8_float_io": 1.1,
        "int16x8": 1.2,
        "int8_float_io_optimized": 1.1,
        "int16x8_optimized": 1.11,
    }

    def infer(runner: TfliteRunner, batch: FloatArray) -> FloatArray:
        return answered(runner, batch) * np.float32(factors.get(runner._file.stem, 1))

    monkeypatch.setattr(TfliteRunner, "infer_impl", infer)
    host = InProcess(fails(), monkeypatch)
    request = request_for(tmp_path / "m.onnx", "float32", *FLOATS, out=tmp_path / "run")
    if added_later:
        convert_request(replace(request, variants=("float32", "int16x8")), host)
        assert Run.open(tmp_path / "run").manifest.notes == ()
    (note,) = convert_request(request, host).manifest.notes
    assert note.startswith("int16x8 is further from float32 than int8_float_io on the check")
    assert "int8_optimized" not in note
    convert_request(replace(request, variants=("int16x8_optimized",)), host)
    assert Run.open(tmp_path / "run").manifest.notes == (note,)


def test_sentences_group_reasons_and_hold_no_codes_of_a_terminal() -> None:
    record = MissingVariant("int8", "ConversionError", "Quantizing", "x\x1b[2J", "y", "z")
    evil = replace(record, variant="uint8\x1b[2J", kind="No such kind")
    (sentence,) = missing_sentences((record, evil))
    assert sentence.startswith("int8 and uint8\ufffd[2J are missing. Quantizing: got x\ufffd[2J;")
