"""Targets asked in workers about a run made by hand, and what the run keeps of it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from engine.core.errors import EngineError, OptionError, PictureError
from engine.core.types import Progress
from engine.images.pictures import Picture, picture_at, pictures_in
from engine.portability.catalog import choose_targets
from engine.portability.records import Support
from engine.quantization.recipes import recipe_named
from engine.reporting.text.destination import fit_of
from engine.reporting.text.targets import cell_words, targets_headline
from engine.runs.run import TARGETS, Run
from engine.tasks import targets as task
from engine.tasks.targets import (
    TargetRequest,
    ask_targets,
    choose_variants,
    is_asked,
    list_unmeasured,
    read_memory,
    read_targets,
    run_target,
)
from engine.workers import sandbox
from engine.workers.process import Foreground, Worker
from tests.helpers.software_gpu import use_no_gpu, use_software_gpu
from tests.helpers.tiny_quantized import healthy
from tests.helpers.tiny_run import tiny_run
from tests.hostile.mutants import mutant
from tests.workers.test_sandbox import needs_bubblewrap

HOST = Foreground()
LIGHT = ("edge-tpu", "old-runtimes", "microcontroller")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return tiny_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("targets", "variants", "chosen"),
    [
        ((), ("float16",), ("float16",)),
        ((), ("all",), ("all",)),
        (("microcontroller",), ("all",), ("int8",)),
        (("microcontroller", "edge-tpu"), ("all",), ("int8",)),
        (("cpu",), ("all",), ("all",)),
        (("cpu", "microcontroller"), ("float32",), ("float32",)),
        (("microcontroller",), ("int8_per_tensor",), ("int8_per_tensor",)),
        (("microcontroller",), ("all", "int8_optimized"), ("int8", "int8_optimized")),
        (("edge-tpu",), ("uint8_optimized(count=8)",), ("uint8_optimized(count=8)",)),
    ],
)
def test_targets_choose_what_is_made(
    targets: tuple[str, ...], variants: tuple[str, ...], chosen: tuple[str, ...]
) -> None:
    assert choose_variants(targets, variants) == chosen


@pytest.mark.parametrize("variant", ["float32", "int8_float_io", "int16x8", "int8_mixed(k=3)"])
def test_variants_that_suit_none_of_the_targets_are_refused(variant: str) -> None:
    with pytest.raises(OptionError, match="Leave the variants out, and int8 is made") as refused:
        choose_variants(("microcontroller", "ethos-u55-128"), ("int8", variant))
    assert variant in refused.value.got
    assert "and Microcontroller" in refused.value.got


def test_targets_name_recipes() -> None:
    for target in choose_targets(()):
        assert target.variants == tuple(recipe_named(name).name for name in target.variants)


def test_a_run_is_asked_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[Progress] = []
    assert read_targets(run) is None
    matrix = ask_targets(run, Foreground(stages.append), names=LIGHT)
    assert matrix.variants == ("float32", "int8")
    assert [target.name for target in matrix.targets] == [
        "edge-tpu",
        "microcontroller",
        "old-runtimes",
    ]
    assert (matrix.of("int8", "edge-tpu").support, matrix.of("float32", "edge-tpu").support) == (
        "whole",
        "refused",
    )
    assert matrix.of("int8", "microcontroller").support == "whole"
    assert any("Coral Edge TPU" in progress.stage for progress in stages)
    assert len(list((run.folder / TARGETS).glob("*.json"))) == 6

    def no_worker(*_: object, **__: object) -> Worker:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(task, "Worker", no_worker)
    assert ask_targets(run, HOST, names=LIGHT) == matrix
    stored = read_targets(run)
    assert stored is not None
    assert stored.of("int8", "edge-tpu") == matrix.of("int8", "edge-tpu")
    assert stored.of("int8", "cpu").reason == "This was not asked yet."
    monkeypatch.setattr(task, "tool_version", lambda _: "99")
    with pytest.raises(AssertionError, match="a worker was started"):
        ask_targets(run, HOST, names=("microcontroller",))


def test_a_missing_tool_is_not_asked_and_says_how_to_get_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "has_tool", lambda target: target.package is None)
    matrix = ask_targets(run, HOST, names=("ethos-u55-256",))
    answer = matrix.of("int8", "ethos-u55-256")
    assert answer.support == "not_asked"
    assert answer.reason == "ethos-u-vela is not installed, so nothing was asked."
    assert answer.todo == "Install it with: pip install --no-deps ethos-u-vela."
    assert not (run.folder / TARGETS).exists()


def test_a_tool_that_ends_its_process_costs_its_own_cell_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Worker.run

    def dying(self: Worker, work: object, request: TargetRequest, *more: object) -> object:
        if request.variant == "float32":
            self._process.kill()
        return whole(self, work, request, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Worker, "run", dying)
    matrix = ask_targets(run, HOST, names=("edge-tpu",))
    answer = matrix.of("float32", "edge-tpu")
    assert answer.support == "no_answer"
    assert "the end of the worker process by signal SIGKILL" in answer.reason
    assert matrix.of("int8", "edge-tpu").support == "whole"
    assert len(list((run.folder / TARGETS).glob("*.json"))) == 1


@pytest.mark.slow
def test_memory_and_times_are_measured_in_a_process_of_its_own(run: Run) -> None:
    assert (read_memory(run), list_unmeasured(run)) == ({}, ("float32", "int8"))
    matrix = ask_targets(run, HOST, names=("cpu",), variants=("int8",))
    answer = matrix.of("int8", "cpu")
    figures = {figure.name: figure for figure in answer.figures if not figure.part}
    assert list(figures) == ["load", "first_call", "time", "loaded_memory", "peak_memory"]
    assert {figure.how for figure in figures.values()} == {"measured"}
    assert 0 < figures["time"].value < 1000
    # A network of one operator takes next to nothing above an empty interpreter.
    assert 0 <= figures["loaded_memory"].value <= figures["peak_memory"].value < 30e6
    use = read_memory(run)
    assert list(use) == ["int8"]
    assert (use["int8"].peak_bytes, use["int8"].load_ms) == (
        figures["peak_memory"].value,
        figures["load"].value,
    )
    assert use["int8"].by.startswith("LiteRT ")
    assert list_unmeasured(run) == ("float32",)


@pytest.mark.slow
@needs_bubblewrap
def test_memory_is_measured_in_the_sandbox_too(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_asked_for", True)
    monkeypatch.delenv(sandbox.VARIABLE, raising=False)
    run = tiny_run(own_store / "runs" / "tiny")
    answer = ask_targets(run, HOST, names=("cpu",), variants=("int8",)).of("int8", "cpu")
    peak = answer.figure("peak_memory")
    assert answer.support == "whole"
    assert peak is not None
    assert 0 <= peak.value < 30e6


@pytest.mark.slow
def test_a_gpu_is_asked_in_a_worker_and_software_is_not_counted(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_no_gpu(monkeypatch)
    answer = ask_targets(run, HOST, names=("gpu",), variants=("float32",)).of("float32", "gpu")
    assert (answer.support, answer.todo) == ("not_asked", "Install the Vulkan driver of the GPU.")
    assert len(list((run.folder / TARGETS).glob("*.json"))) == 1
    use_software_gpu(monkeypatch)
    matrix = ask_targets(run, HOST, names=("gpu",), variants=("float32",))
    answer = matrix.of("float32", "gpu")
    assert (answer.support, answer.software[:11]) == ("whole", "SwiftShader")
    assert targets_headline(matrix) == "No variant runs whole on any target that was asked"
    assert (fit_of(answer).level, cell_words(answer)) == ("unknown", "runs whole, in software")


@pytest.mark.slow
def test_answers_are_kept_by_the_pictures_that_were_shown(run: Run, photos: Path) -> None:
    pictures = pictures_in(photos)

    def shown(*chosen: Picture, count: int = 20) -> int:
        matrix = ask_targets(
            run, HOST, names=("microcontroller",), variants=("int8",), pictures=chosen, count=count
        )
        (reference, _) = matrix.of("int8", "microcontroller").differences
        assert reference.identical == reference.pictures
        return reference.pictures

    assert (shown(*pictures[:3]), shown(*pictures, count=2), shown(*pictures[:3])) == (3, 2, 3)
    assert len(list((run.folder / TARGETS).glob("microcontroller-*.json"))) == 2
    stored = read_targets(run)
    assert stored is not None
    assert stored.of("int8", "microcontroller").differences[0].pictures == 2
    assert not is_asked(run, pictures)


def test_a_picture_that_cannot_be_read_is_a_mistake(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"broken\.jpg"):
        ask_targets(run, HOST, names=("microcontroller",), pictures=(picture_at(broken),))
    assert not (run.folder / TARGETS).exists()


def test_a_wrong_name_is_a_mistake(run: Run) -> None:
    with pytest.raises(OptionError, match="'toaster'"):
        ask_targets(run, HOST, names=("toaster",))
    with pytest.raises(OptionError, match="'int4'"):
        ask_targets(run, HOST, names=("edge-tpu",), variants=("int4",))


@pytest.mark.slow
def test_malformed_files_end_no_caller(tmp_path: Path) -> None:
    rng, whole = Random(11), healthy(layers=2, channels=4, pictures=1).int8_file()
    names = [target.name for target in choose_targets(()) if target.name not in ("cpu", "gpu")]
    light = [name for name in names if not name.startswith("ethos-u")] + ["ethos-u55-128"]
    outcomes: set[Support] = set()
    worker = Worker()
    try:
        for number in range(4):
            file = tmp_path / f"{number}.tflite"
            file.write_bytes(mutant(whole, rng))
            for name in light:
                if not worker.alive:
                    worker.close()
                    worker = Worker()
                request = TargetRequest(target=name, file=str(file))
                try:
                    outcomes.add(worker.run(run_target, request).support)
                except EngineError:
                    outcomes.add("no_answer")
    finally:
        worker.close()
    assert "no_answer" in outcomes
