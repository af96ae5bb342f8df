"""One conversion in the worker: stage by stage, each checked against the one before."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from engine.comparison.faults import fault_of
from engine.comparison.hops import NUDGE, check_answers_follow, check_hop, check_reference
from engine.conversion.missing_variants import error_of
from engine.conversion.onnx_from_torch import (
    LOWEST_DYNAMO_OPSET,
    onnx_from_either_exporter,
    torch_export_note,
)
from engine.conversion.resume import (
    ConvertTask,
    FinishedStages,
    OriginalModel,
    keep_finished,
    load_finished,
    with_failure,
    without_others,
)
from engine.conversion.variant_files import CheckLogits, CoreFiles, WorkFiles
from engine.conversion.write_manifest import ONNX, write_manifest
from engine.core.errors import PackageError, StorageError, UserMistake
from engine.core.parity import FLOAT_TOLERANCE, hop_errors
from engine.core.store import SAMPLE_IMAGES
from engine.core.system import release_memory
from engine.core.types import Fault, FloatArray, Layout, Progress
from engine.images.pictures import Picture, pictures_in
from engine.images.preprocess import PreprocessSpec
from engine.networks.load import model_source
from engine.networks.runners.base import Runner
from engine.networks.runners.onnx import OnnxRunner
from engine.networks.runners.pytorch import TorchRunner
from engine.networks.runners.savedmodel import SavedModelRunner
from engine.networks.runners.tflite import TfliteRunner
from engine.networks.source import ModelSource, OnnxSource, TorchSource
from engine.quantization.calibration import Calibration, CalibrationInfo, Calibrations
from engine.quantization.recipes import FLOAT32, Recipe, recipes_named
from engine.runs.manifest import CHECKED, PYTORCH, Stage
from engine.runs.run import ONNX_FILE, SAVEDMODEL, WORK, Run
from engine.tflite.artifact import Artifact, artifact_of
from engine.tflite.edits import with_depthwise_in_parts
from engine.workers.protocol import engine_error

CHECK_PICTURES = 4
GIVEN = "given file"
"""Name of an ONNX file as a person gave it, where its copy computes in another type."""
HEAVY_BYTES = 3 << 30
"""Memory held after a stage with which the next one is left to another process."""
_TITLES = {
    PYTORCH: "Building the network",
    ONNX: "PyTorch to ONNX",
    SAVEDMODEL: "ONNX to SavedModel",
}


class _HandOver(Exception):
    """Another process shall continue."""


class Conversion:
    """Makes the files of a run in a staging folder.

    Args:
        task: What to make, and where.
        report: Receives progress.
    """

    def __init__(self, task: ConvertTask, report: Callable[[Progress], None]) -> None:
        self._task = task
        self._report = report
        self._side = Path(task.side)
        self._base = None if task.base is None else Run.open(task.base)
        wanted = recipes_named(task.request.variants)
        present = _present(self._base) if self._base else ()
        if self._base is not None and not task.request.retry:
            present += tuple(record.variant for record in self._base.missing)
        self._recipes = tuple(recipe for recipe in wanted if recipe.name not in present)
        self._calibrations = Calibrations(task.request.calibration, self._recipes)
        self._input_layout = task.request.input_layout
        finished = load_finished(self._side, task.wanted)
        names = {recipe.name for recipe in self._recipes}
        finished = replace(without_others(self._side, finished, names), being_made=None)
        # At once, so that the end of this process before its first stage loses nothing.
        self._finished = keep_finished(self._side, finished)
        (self._side / WORK).mkdir(exist_ok=True)
        self._files = WorkFiles(self._side, None if self._base is None else self._base.folder)
        self._check_logits = CheckLogits(self._files)
        self._check_inputs: FloatArray | None = None
        self._artifacts: dict[str, Artifact] = {}
        self._batch: int | None = None

    def run(self) -> bool:
        """Do every missing stage, then write the manifest.

        Returns:
            Whether it is finished. If not, this process holds much memory that TensorFlow does not
            give back, and another one resumes after the last finished stage.

        Raises:
            EngineError: A stage failed that all variants need, or the person who asked can mend
                why every variant fails.
        """
        try:
            self._run()
        except _HandOver:
            return False
        return True

    def _run(self) -> None:
        if self._finished.stages:
            self._say(f"Going on after {self._finished.stages[-1].name}, which was made before")
        if self._base is None:
            model = self._make_savedmodel()
        else:
            m = self._base.manifest
            described = m.preprocess, m.labels, m.layout, m.opset, m.notes
            model = OriginalModel(m.model, *described, m.preprocess_origin, m.facts)
        self._make_variants(model)
        self._write_manifest(model)

    def _make_savedmodel(self) -> OriginalModel:
        from engine.conversion.savedmodel_from_onnx import savedmodel_from_onnx
        from engine.networks.onnx_reading import read_onnx
        from engine.networks.onnx_tidying import operator_set

        if SAVEDMODEL in self._finished.names and self._finished.model is not None:
            return self._finished.model
        request = self._task.request
        started = self._begin(_TITLES[PYTORCH])
        source = model_source(request.model, request.preprocess)
        if isinstance(source, TorchSource) and PYTORCH not in self._finished.names:
            self._finish(PYTORCH, started, TorchRunner(source.build), source, against=None)
        layout: Layout = "NCHW" if isinstance(source, TorchSource) else source.layout
        file = self._side / ONNX_FILE
        if ONNX not in self._finished.names:
            if isinstance(source, TorchSource):
                started = self._begin(_TITLES[ONNX])
            before, tolerance = self._write_onnx(source, file)
            runner = OnnxRunner(file, layout=layout)
            self._finish(ONNX, started, runner, source, before, tolerance)
        started = self._begin(_TITLES[SAVEDMODEL])
        folder = self._side / WORK / SAVEDMODEL
        shutil.rmtree(folder, ignore_errors=True)
        graph = read_onnx(file)
        opset = operator_set(graph)
        savedmodel_from_onnx(
            graph,
            folder,
            layout=layout,
            input_layout=request.input_layout,
            lowering=request.lowering,
        )
        saved = SavedModelRunner(folder, layout=request.input_layout)
        notes = source.notes
        if isinstance(source, TorchSource) and opset >= LOWEST_DYNAMO_OPSET:
            notes += (torch_export_note("has no translation of an operator"),)
        described = source.preprocess, source.labels, layout, opset, notes
        model = OriginalModel(source.identity, *described, source.origin, source.facts)
        self._finished = replace(self._finished, model=model)
        self._finish(SAVEDMODEL, started, saved, source, against=ONNX)
        return model

    def _write_onnx(self, source: ModelSource, file: Path) -> tuple[str | None, float | None]:
        """Write the ONNX file; give the stage to check it against, and the tolerance."""
        size, opset = source.preprocess, self._task.request.opset
        if isinstance(source, TorchSource):
            onnx_from_either_exporter(
                source.build(), file, opset=opset, height=size.height, width=size.width
            )
            return PYTORCH, FLOAT_TOLERANCE
        return self._copy_onnx(source, file)

    def _copy_onnx(self, source: OnnxSource, file: Path) -> tuple[str | None, float | None]:
        from engine.networks.onnx_files import with_fixed_input
        from engine.networks.onnx_reading import onnx_reading

        network = self._task.request.model.network
        if network is not None:
            shutil.copyfile(network.pictures, self._side / WORK / f"{CHECKED}.npy")
            shutil.copyfile(network.logits, self._side / WORK / f"{PYTORCH}.npy")
            self._keep(Stage(PYTORCH, network.seconds))
        size = source.preprocess
        sizes = size.height, size.width, source.output, source.output_shape, source.batch
        reading = onnx_reading(source.file)
        file.write_bytes(with_fixed_input(reading.model, *sizes).SerializeToString())
        if network is not None:
            return PYTORCH, reading.tolerance
        if reading.given is None:
            return None, None
        given = with_fixed_input(reading.given, *sizes)
        with OnnxRunner(given.SerializeToString(), layout=source.layout) as runner:
            logits = runner.infer(self.check_inputs(size))
        check_hop(GIVEN, None, logits, tolerance=None, weights=source.weights)
        check_reference(GIVEN, logits)
        np.save(self._side / WORK / f"{GIVEN}.npy", logits)
        return GIVEN, reading.tolerance

    def _make_variants(self, model: OriginalModel) -> None:
        allow_flex = self._task.request.allow_flex
        self._cores = CoreFiles(self._files, allow_flex, self._making, self._say)
        core = self._files.find(f"{WORK}/{FLOAT32.name}.tflite")
        if core is None and FLOAT32 not in self._recipes:
            started = self._begin(f"SavedModel to TFLite: {FLOAT32.name}")
            self._finish_tflite(FLOAT32, started, self._cores.of(FLOAT32, None), model)
        for recipe in self._recipes:
            if recipe == FLOAT32:
                self._make_variant(recipe, model)
            elif self._finished.failure(recipe) is None:
                self._try_variant(recipe, model)
        if any(self._is_made(recipe) for recipe in self._recipes):
            return
        failures = self._finished.failures_of(self._recipes)
        errors = [error_of(record) for record in failures]
        if errors and all(isinstance(error, UserMistake) for error in errors):
            raise errors[0]
        if self._base is None:
            # A run has at least one file to look at.
            self._recipes = (FLOAT32, *self._recipes)
            self._make_variant(FLOAT32, model)

    def _try_variant(self, recipe: Recipe, model: OriginalModel) -> None:
        """Make a variant; a failure costs it, and those made from the file that failed."""
        try:
            with self._making(recipe.name):
                self._make_variant(recipe, model)
        except _HandOver:
            raise
        except Exception as error:  # the converter and the optimizer raise nearly anything
            failed = engine_error(error, f"Making {recipe.name}")
            if isinstance(failed, StorageError | PackageError):
                raise failed from error
            traceback.print_exc()
            for name in (f"{recipe.name}.tflite", f"{WORK}/{recipe.name}.npy"):
                (self._side / name).unlink(missing_ok=True)
            self._record(with_failure(self._finished, recipe, failed))

    @contextmanager
    def _making(self, name: str) -> Iterator[None]:
        """Record what is being made: an error, or the end of the process, is charged to it."""
        if name == FLOAT32.name:
            yield
            return
        before = self._finished.being_made
        self._record(replace(self._finished, being_made=name))
        yield
        self._record(replace(self._finished, being_made=before))

    def _is_made(self, recipe: Recipe) -> bool:
        file = self._side / f"{recipe.name}.tflite"
        return recipe.name in self._finished.names and file.is_file()

    def _make_variant(self, recipe: Recipe, model: OriginalModel) -> None:
        from engine.conversion.tflite_from_savedmodel import with_edges

        if self._is_made(recipe):
            return
        file = self._side / f"{recipe.name}.tflite"
        started = self._begin(f"SavedModel to TFLite: {recipe.name}")
        calibration = self._calibrate(recipe, model) if recipe.calibrated else None
        core = self._cores.of(recipe, calibration).read_bytes()
        if recipe.activations == "float32" and self._task.request.lowering == "nhwc":
            core = with_depthwise_in_parts(core)
        file.write_bytes(with_edges(core, recipe.edges))
        self._finish_tflite(recipe, started, file, model)

    def _finish_tflite(
        self, recipe: Recipe, started: float, file: Path, model: OriginalModel
    ) -> None:
        against = SAVEDMODEL if recipe == FLOAT32 else FLOAT32.name
        artifact = artifact_of(file, variant=recipe.name, layout=self._input_layout)
        self._artifacts[recipe.name] = artifact
        if artifact.select_tf:
            why = f"LiteRT does not run SELECT_TF operators ({', '.join(artifact.select_tf)})"
            seconds = time.perf_counter() - started
            self._keep(Stage(recipe.name, seconds, against, unchecked=why))
        else:
            runner = TfliteRunner(file, layout=self._input_layout)
            self._finish(recipe.name, started, runner, model, against, recipe.tolerance)

    def _calibrate(self, recipe: Recipe, model: OriginalModel) -> Calibration:
        if self._batch is None:
            with OnnxRunner(self._files.get(ONNX_FILE), layout=model.layout) as runner:
                self._batch = runner.batch or 1
        return self._calibrations.of(
            recipe, model.preprocess, self._input_layout, self._batch, self._say
        )

    def _finish(
        self,
        stage: str,
        started: float,
        runner: Runner,
        model: OriginalModel | ModelSource,
        against: str | None,
        tolerance: float | None = FLOAT_TOLERANCE,
    ) -> None:
        """Check the stage's model on the check pictures and note how long all of it took.

        A variant whose answers are of no use passes: its stage and its artifact are marked.
        """
        before = None
        if against is not None:
            before = self._check_logits.of(against)
            assert before is not None, "every stage keeps its check logits"
        hop = stage if against is None else f"{against} to {stage}"
        pictures = self.check_inputs(model.preprocess)
        errors: tuple[float | None, float | None] = (None, None)
        fault: Fault | None = None
        with runner:
            logits = runner.infer(pictures)
            if before is not None and against == FLOAT32.name and before.shape == logits.shape:
                fault = fault_of(before, logits)
            if fault is None:
                errors = check_hop(
                    hop,
                    before,
                    logits,
                    tolerance=tolerance,
                    nudged=lambda: runner.infer(pictures * np.float32(NUDGE)),
                    weights=None if isinstance(model, OriginalModel) else model.weights,
                )
        if before is None:
            check_reference(hop, logits)
        elif fault is None:
            check_answers_follow(hop, before, logits)
        elif fault == "same_answer":
            errors = hop_errors(before, logits)
        np.save(self._side / WORK / f"{stage}.npy", logits)
        seconds = time.perf_counter() - started
        self._keep(Stage(stage, seconds, against, *errors, fault=fault))

    def check_inputs(self, preprocess: PreprocessSpec) -> FloatArray:
        """Give the input that every stage is checked on, shape (N, H, W, C), float32.

        Pictures of the calibration folder, where one is given, and then sample images: a classifier
        of another field may say the same of all of these. They are stored for variants that are
        added later, perhaps with another folder.
        """
        if self._check_inputs is None:
            self._check_inputs = self._load_check_inputs(preprocess)
        return self._check_inputs

    def _load_check_inputs(self, preprocess: PreprocessSpec) -> FloatArray:
        name = f"{WORK}/{CHECKED}.npy"
        file = self._files.find(name)
        if file is None:
            if self._base is not None:  # a run from before they were stored
                return check_inputs(preprocess)
            file = self._side / name
            fitted = [
                preprocess.fitted(picture.decode(preprocess.picture_mode))
                for picture in check_pictures(self._calibrations)
            ]
            np.save(file, np.stack(fitted))
        return np.stack([preprocess.normalized(picture) for picture in np.load(file)])

    def _keep(self, stage: Stage) -> None:
        """Note a stage as finished, so that a conversion that is killed can go on from it."""
        calibrations = dict(self._finished.calibrations)
        for recipe in self._recipes:
            if recipe.name == stage.name and (info := self._calibrations.info(recipe)) is not None:
                calibrations[recipe.name] = info
        stages = (*(s for s in self._finished.stages if s.name != stage.name), stage)
        self._record(
            replace(self._finished, stages=stages, calibrations=calibrations, being_made=None)
        )
        failures = self._finished.failures_of(self._recipes)
        ended = self._finished.names | {record.variant for record in failures}
        if not {recipe.name for recipe in self._recipes} <= ended:
            _hand_over_where_heavy()

    def _record(self, finished: FinishedStages) -> None:
        self._finished = keep_finished(self._side, finished)

    def _begin(self, what: str) -> float:
        self._say(what)
        return time.perf_counter()

    def _say(self, what: str) -> None:
        total = len(self._recipes) + (0 if self._base else 3)
        done = len(self._finished.stages) + len(self._finished.failures)
        self._report(Progress(what, done, max(total, done + 1)))

    def _write_manifest(self, model: OriginalModel) -> None:
        artifacts = tuple(self._artifact(r) for r in self._recipes if self._is_made(r))
        every = (*(self._base.manifest.artifacts if self._base else ()), *artifacts)
        notes = (*model.notes, *self._check_logits.int16_notes(every))
        write_manifest(
            self._task,
            self._base,
            self._finished,
            replace(model, notes=tuple(dict.fromkeys(notes))),
            artifacts,
            self._finished.failures_of(self._recipes),
            calibration=self._own_calibration(),
        )

    def _artifact(self, recipe: Recipe) -> Artifact:
        artifact = self._artifacts.get(recipe.name)
        if artifact is None:  # of a stage that another process finished
            file = self._side / f"{recipe.name}.tflite"
            artifact = artifact_of(file, variant=recipe.name, layout=self._input_layout)
        stages = {stage.name: stage for stage in self._finished.stages}
        return replace(artifact, fault=stages[recipe.name].fault)

    def _own_calibration(self) -> CalibrationInfo | None:
        """Give the run's own, with the fallback that an earlier process noted of it."""
        own, finished = self._calibrations.own_info, self._finished.calibrations.values()
        return next((info for info in finished if own and info.digest == own.digest), own)


def _hand_over_where_heavy() -> None:
    process = psutil.Process()
    if process.memory_info().rss > HEAVY_BYTES:
        release_memory()
        if process.memory_info().rss > HEAVY_BYTES:
            raise _HandOver


def _present(base: Run) -> tuple[str, ...]:
    """List variants of a run whose files are not in quarantine."""
    artifacts = base.manifest.artifacts
    return tuple(card.variant for card in artifacts if (base.folder / card.file).is_file())


def check_pictures(calibrations: Calibrations) -> tuple[Picture, ...]:
    """Choose the pictures on which every stage of a conversion is checked."""
    return (*calibrations.own_pictures, *pictures_in(SAMPLE_IMAGES))[:CHECK_PICTURES]


def check_inputs(preprocess: PreprocessSpec) -> FloatArray:
    """Give the first few of the sample images as a network's input, shape (N, H, W, C), float32."""
    pictures = pictures_in(SAMPLE_IMAGES)[:CHECK_PICTURES]
    mode = preprocess.picture_mode
    return np.stack([preprocess.apply(picture.decode(mode)) for picture in pictures])
