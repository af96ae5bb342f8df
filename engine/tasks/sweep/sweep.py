"""A sweep from what a person asks for: planned, its missing cells made, and read back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from engine.conversion.write_manifest import calibration_of
from engine.core.errors import OptionError, PictureError, RunError
from engine.core.store import CALIBRATION_IMAGES
from engine.core.system import versions
from engine.core.types import Progress
from engine.images.pictures import Picture, digest_of, pictures_in
from engine.quantization.calibration import DEFAULT_SEEDS, MOST_PICTURES
from engine.quantization.recipes import (
    DEFAULT_RECIPES,
    FLOAT32,
    RANGE_METHODS,
    Recipe,
    in_order,
    recipe_named,
)
from engine.runs.run import WORK, Run
from engine.tasks.sweep.cells import SweepRequest, cell_on_cluster, run_sweep, title
from engine.tasks.sweep.records import (
    Sweep,
    SweepBasis,
    SweepCell,
    decode_cell,
    in_table_order,
    keep_cell,
    read_cell,
    sweep_folder,
)
from engine.workers.dask import call_each, check_address, connect
from engine.workers.process import Host

_STAGE = "Sweeping"
_VERSION = 1


def sweep(
    run: Run,
    pictures: tuple[Picture, ...],
    host: Host,
    choice: SweepChoice,
    *,
    calibration: str | None = None,
    dask: str | None = None,
) -> Sweep:
    """Quantize a run's float32 model many times and measure each, but what was measured before.

    See `engine.sweep`.
    """
    if dask is not None:
        check_address(dask)
    folder = own_calibration(run) if calibration is None else str(Path(calibration).absolute())
    basis, shown = basis_of(run, pictures, folder)
    names = cell_names(choice, basis)
    cells_folder = sweep_folder(basis)
    request = SweepRequest(
        run=str(run.folder.absolute()),
        calibration=folder,
        pictures=tuple(replace(p, path=p.path.absolute()) for p in shown),
        cells=tuple(name for name in names if read_cell(cells_folder, name) is None),
        folder=str(cells_folder),
    )
    if request.cells and dask is None:
        with host.worker() as worker:
            worker.run(run_sweep, request, host.report)
    elif request.cells and dask is not None:
        _on_cluster(request, cells_folder, dask, host)
    return Sweep(basis, in_table_order([_read_cell(cells_folder, name) for name in names]))


def _on_cluster(request: SweepRequest, cells_folder: Path, address: str, host: Host) -> None:
    """Make cells in a Dask cluster; the client stores each as it arrives."""
    total = len(request.cells)
    common = replace(request, cells=(), folder="")
    with connect(address, host.report) as client:
        # As a result of the cluster it travels to each worker once, and again to a new one.
        shared = client.submit(_same, common, pure=False)
        asked = [(shared, name) for name in request.cells]
        host.report(Progress(f"{total} cells on the cluster", 0, total))
        for done, (at, content) in enumerate(call_each(client, cell_on_cluster, asked), 1):
            keep_cell(cells_folder, decode_cell(content))
            host.report(Progress(title(request.cells[at]), min(done, total - 1), total))


def _same(request: SweepRequest) -> SweepRequest:
    return request


def _read_cell(cells_folder: Path, name: str) -> SweepCell:
    cell = read_cell(cells_folder, name)
    if cell is None:
        raise RunError(
            _STAGE,
            got=f"no readable result of {name} in {cells_folder}",
            expected="one cell each",
            todo="Sweep again: what is there is kept.",
        )
    return cell


def own_calibration(run: Run) -> str | None:
    """Find the folder that a run was calibrated with; None for the supplied pictures."""
    return calibration_of(run).folder


def unseen_pictures(pictures: tuple[Picture, ...], calibration: str | None) -> tuple[Picture, ...]:
    """List the pictures that calibration cannot use, so that a sweep may measure on them.

    Args:
        pictures: The pictures.
        calibration: Folder of calibration pictures; None for crops of the supplied pictures.

    Raises:
        PictureError: The folder has no picture.
    """
    used = {picture.sha256 for picture in _pool(calibration)}
    return tuple(picture for picture in pictures if picture.sha256 not in used)


def _pool(calibration: str | None) -> tuple[Picture, ...]:
    return pictures_in(CALIBRATION_IMAGES if calibration is None else Path(calibration))


def basis_of(
    run: Run, pictures: tuple[Picture, ...], calibration: str | None
) -> tuple[SweepBasis, tuple[Picture, ...]]:
    """Make the record of what all cells have in common, and list the pictures to measure on.

    Args:
        run: The run.
        pictures: Pictures to measure on, those that calibration may use among them.
        calibration: Folder of calibration pictures; None for crops of the supplied pictures.

    Raises:
        PictureError: The folder has no picture, or none is left to measure on.
    """
    pool = _pool(calibration)
    shown = unseen_pictures(pictures, calibration)
    if not shown:
        raise PictureError(
            _STAGE,
            got=f"{len(pictures)} pictures, all of which calibration may use"
            + (" (it takes crops of the supplied pictures)" if calibration is None else ""),
            expected="other pictures to measure on",
            todo="Choose other pictures to test on, or others for calibration.",
            problem="The supplied pictures already serve for calibration."
            if calibration is None
            else "These pictures already serve for calibration.",
        )
    basis = SweepBasis(
        key=_key(run, pool, shown, demo=calibration is None),
        run=run.folder.name,
        run_key=run.manifest.key,
        model=run.manifest.model.name,
        calibration=calibration,
        available=None if calibration is None else len(pool),
        pictures=len(shown),
        left_out=len(pictures) - len(shown),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return basis, shown


def _key(run: Run, pool: tuple[Picture, ...], shown: tuple[Picture, ...], *, demo: bool) -> str:
    float32 = run.folder / WORK / f"{FLOAT32.name}.tflite"
    packages = versions()
    parts = {
        "version": _VERSION,
        "run": run.manifest.key,
        "weights": run.manifest.model.weights_sha256,
        "float32": hashlib.sha256(float32.read_bytes()).hexdigest() if float32.is_file() else "",
        "calibration": digest_of(pool),
        "demo": demo,
        "pictures": digest_of(shown),
        "versions": {name: packages[name] for name in sorted(packages) if name != "platform"},
    }
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


DEFAULT_COUNTS = (8, 16, 32, 64, 128)
_PLANNING = "Planning the sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepChoice:
    """What is varied.

    Attributes:
        recipes: Calibrated recipes without settings of their own but ``k``.
        counts: Calibration pictures; none takes those of `DEFAULT_COUNTS` that there are.
        seeds: Seeds of the choice among the pictures.
        ranges: Some of `RANGE_METHODS`.
    """

    recipes: tuple[str, ...] = DEFAULT_RECIPES
    counts: tuple[int, ...] = ()
    seeds: tuple[int, ...] = DEFAULT_SEEDS
    ranges: tuple[str, ...] = RANGE_METHODS


def cell_names(choice: SweepChoice, basis: SweepBasis) -> tuple[str, ...]:
    """Full names of the recipes of all cells.

    Args:
        choice: What is varied.
        basis: For how many pictures there are.

    Returns:
        In the order in which they are made: cells with the same pictures beside each other, since
        they share what was seen on these.

    Raises:
        OptionError: A recipe, count, seed or range method cannot be swept.
    """
    recipes = in_order({_sweepable(name) for name in choice.recipes})
    counts = _counts(choice.counts, basis)
    for what, given in (("recipe", recipes), ("seed", choice.seeds), ("method", choice.ranges)):
        if not given:
            raise _refusal(f"no {what}", f"at least one {what}", "Name one, or leave it out.")
    for seed in choice.seeds:
        if seed < 0:
            raise _refusal(f"the seed {seed}", "0 or more", "Give another seed.")
    for method in choice.ranges:
        if method not in RANGE_METHODS:
            methods = ", ".join(RANGE_METHODS)
            raise _refusal(f"ranges by '{method}'", f"some of {methods}", "Name some of these.")
    return tuple(
        _with_settings(recipe, method, count, seed)
        for count in sorted(set(counts))
        for seed in dict.fromkeys(choice.seeds)
        for recipe in recipes
        for method in dict.fromkeys(choice.ranges)
    )


def _sweepable(name: str) -> Recipe:
    recipe = recipe_named(name)
    own = recipe != recipe.uncalibrated
    if recipe.calibrated and not own:
        return recipe
    raise _refusal(
        f"the recipe {recipe.name}" + (", whose settings are swept" if own else ""),
        "a calibrated recipe without settings, such as int8 or int8_optimized",
        "Leave its brackets out." if own else "Name another: this one needs no calibration.",
    )


def _counts(given: tuple[int, ...], basis: SweepBasis) -> tuple[int, ...]:
    available = MOST_PICTURES if basis.available is None else basis.available
    if not given:
        return tuple(n for n in DEFAULT_COUNTS if n <= available) or (available,)
    for count in given:
        if not 1 <= count <= available:
            raise _refusal(
                f"{count} calibration pictures",
                f"1 to {available}, as many as there are",
                "Name smaller counts, or a folder with more pictures.",
            )
    return given


def _with_settings(recipe: Recipe, method: str, count: int, seed: int) -> str:
    stem, _, settings = recipe.name.removesuffix(")").partition("(")
    own = f"{settings}," if settings else ""
    return recipe_named(f"{stem}({own}range={method},count={count},seed={seed})").name


def _refusal(got: str, expected: str, todo: str) -> OptionError:
    return OptionError(_PLANNING, got=got, expected=expected, todo=todo)
