"""One cell of a sweep made and measured: the worker's part.

A cell is the very file that `engine.convert` makes of its recipe, by the same parts. What cells
have in common is done once: the float32 model and its answers for all of them, and what was seen
on the calibration pictures for those that share these.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from engine.comparison.comparison import compare
from engine.conversion.variant_files import CoreFiles, WorkFiles
from engine.core.errors import RunError
from engine.core.store import CALIBRATION_IMAGES
from engine.core.system import usable_cores
from engine.core.types import FloatArray, Layout, Progress, Report
from engine.images.cache import FittedPictures
from engine.images.pictures import Picture
from engine.networks.runners.onnx import OnnxRunner
from engine.networks.runners.tflite import TfliteRunner
from engine.quantization.calibration import Calibration, CalibrationChoice, representative_dataset
from engine.quantization.recipes import FLOAT32, Recipe, recipe_named
from engine.runs.run import SAVEDMODEL, WORK, Run
from engine.tasks.show import show_pictures
from engine.tasks.sweep.records import SweepCell, encode_cell, keep_cell, read_cell

_FROM_RUN = (f"{WORK}/{SAVEDMODEL}", f"{WORK}/{FLOAT32.name}.tflite")
"""What cells are made from; nothing else of a run was made from the sweep's own pictures."""


def run_sweep(request: SweepRequest, report: Report) -> bool:
    """Make and measure cells, and store each as it is finished."""
    total = len(request.cells)
    with Bench(request, usable_cores()) as bench:
        for done, name in enumerate(request.cells):
            report(Progress(title(name), done, total))
            # Another process may have made it while this one waited for its turn.
            if read_cell(Path(request.folder), name) is None:
                keep_cell(Path(request.folder), bench.cell(name))
    return True


def title(name: str) -> str:
    """Name a cell for a person who waits for it."""
    recipe = recipe_named(name)
    return f"{recipe.uncalibrated.name}, {recipe.count} pictures, seed {recipe.seed}, " + (
        f"ranges by {recipe.range_method}"
    )


class Bench:
    """Makes and measures cells of one basis, one after the other.

    Args:
        request: What the cells have in common.
        workers: Threads that show pictures.
    """

    def __init__(self, request: SweepRequest, workers: int) -> None:
        self._run = Run.open(request.run)
        if not (self._run.folder / WORK / SAVEDMODEL).is_dir():
            raise RunError(
                "Sweeping",
                got=f"no SavedModel in {self._run.folder / WORK}",
                expected="the one that the run's variants were made from",
                todo="Make the run again with: python -m engine convert.",
            )
        self._calibration = request.calibration
        self._pictures = request.pictures
        digests = {picture.sha256 for picture in self._pictures}
        self._fitted = FittedPictures(self._run.manifest.preprocess, digests)
        self._workers = workers
        self._exact: FloatArray | None = None
        self._maker: _Maker | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete the files of the last cells."""
        if self._maker is not None:
            self._maker.close()
            self._maker = None

    def cell(self, name: str) -> SweepCell:
        """Make and measure one cell.

        Args:
            name: Full name of its recipe, with count and seed.

        Raises:
            UserMistake: A picture cannot be decoded.
            ConversionError: It cannot be made, or does not run.
        """
        recipe = recipe_named(name)
        maker = self._maker_for(recipe)
        if self._exact is None:
            self._exact = self._answers(maker.file(FLOAT32), maker.layout)
        file = maker.file(recipe)
        logits = {
            FLOAT32.name: self._exact,
            recipe.name: self._answers(file, maker.layout),
        }
        (figures,) = compare(
            run=self._run.folder.name,
            reference_name=FLOAT32.name,
            logits=logits,
            pictures=tuple(picture.name for picture in self._pictures),
        ).variants
        assert recipe.count is not None
        assert recipe.seed is not None
        return SweepCell(
            variant=recipe.name,
            recipe=recipe.uncalibrated.name,
            range_method=recipe.range_method,
            count=recipe.count,
            seed=recipe.seed,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            rms=figures.logit_rms,
            kl=figures.kl,
            sqnr_db=figures.logit_sqnr_db,
            agreement=figures.top1_agreement,
            non_finite=figures.non_finite,
            fallback=maker.fallback,
            fault=figures.fault,
        )

    def _maker_for(self, recipe: Recipe) -> _Maker:
        assert recipe.count is not None
        assert recipe.seed is not None
        choice = CalibrationChoice(folder=self._calibration, count=recipe.count, seed=recipe.seed)
        if self._maker is None or self._maker.choice != choice:
            self.close()
            self._maker = _Maker(self._run, choice)
        return self._maker

    def _answers(self, file: Path, layout: Layout) -> FloatArray:
        """Logits of a TFLite file on the pictures, shape (pictures, classes), float32."""
        rows: list[FloatArray | None] = [None] * len(self._pictures)
        show_pictures(
            lambda: TfliteRunner(file, layout=layout, threads=1),
            tuple(enumerate(self._pictures)),
            self._fitted.input_of,
            rows.__setitem__,
            self._workers,
        )
        return np.stack([row for row in rows if row is not None])


class _Maker:
    """Makes files from one choice of calibration pictures.

    Args:
        run: Whose float32 model is quantized.
        choice: The pictures.
    """

    def __init__(self, run: Run, choice: CalibrationChoice) -> None:
        self.choice = choice
        self.layout: Layout = run.manifest.artifacts[0].layout
        self._folder = TemporaryDirectory(prefix="qlab-sweep-")
        self._side = Path(self._folder.name)
        (self._side / WORK).mkdir()
        with OnnxRunner(run.onnx_file, layout=run.manifest.layout) as runner:
            batch = runner.batch or 1
        self._calibration = Calibration(
            representative_dataset(choice, CALIBRATION_IMAGES),
            run.manifest.preprocess,
            self.layout,
            batch,
            _silent,
        )
        files = WorkFiles(self._side, run.folder, _FROM_RUN)
        self._cores = CoreFiles(files, run.manifest.allow_flex, nullcontext, _silent)

    @property
    def fallback(self) -> str | None:
        """Why TensorFlow's calibrator found the ranges, where it did."""
        return self._calibration.info.fallback

    def file(self, recipe: Recipe) -> Path:
        """Make the TFLite file of a recipe."""
        core = self._cores.of(recipe, self._calibration if recipe.calibrated else None)
        if recipe.edges == "float32":
            return core
        from engine.conversion.tflite_from_savedmodel import with_edges

        file = self._side / f"{recipe.name}.tflite"
        file.write_bytes(with_edges(core.read_bytes(), recipe.edges))
        return file

    def close(self) -> None:
        """Delete the files."""
        self._folder.cleanup()


def _silent(what: str) -> None:
    """Cells tell their progress, not that of their pictures."""


_LOCK = threading.Lock()
_BENCH: tuple[SweepRequest, Bench] | None = None


def cell_on_cluster(request: SweepRequest, name: str) -> bytes:
    """Run in a worker of a cluster: one cell, encoded.

    One at a time in a process, since TensorFlow's converter is not made for several; the bench of
    the last cell serves the next of the same sweep.
    """
    global _BENCH
    with _LOCK:
        if _BENCH is None or _BENCH[0] != request:
            if _BENCH is not None:
                _BENCH[1].close()
            _BENCH = (request, Bench(request, 1))
        return encode_cell(_BENCH[1].cell(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRequest:
    """Quantize the float32 model of a run many times, and measure each.

    Attributes:
        run: Run folder.
        calibration: Folder of calibration pictures; None takes crops of the supplied pictures.
        pictures: Pictures to measure on.
        cells: Full names of recipes, with count and seed.
        folder: Where finished cells go.
    """

    run: str
    calibration: str | None
    pictures: tuple[Picture, ...]
    cells: tuple[str, ...]
    folder: str
