"""What a sweep found: frozen records and the table made from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine.core.checksums import find_record
from engine.core.errors import OptionError
from engine.core.files import demand_writable, write_whole
from engine.core.store import folder
from engine.core.types import FAULT_WORDS, Fault
from engine.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepBasis:
    """What all cells of a sweep have in common.

    Attributes:
        key: Digest of everything that figures depend on, but the cells' own settings.
        run: Name of the run whose float32 model is quantized.
        run_key: Key of that run.
        model: Name of the model.
        calibration: Folder of the calibration pictures; None for crops of the supplied pictures.
        available: Pictures in that folder; None where there are as many crops as one likes.
        pictures: Pictures that the figures are on; none of them is among those of calibration.
        left_out: Pictures that were left out because calibration may use them.
        created_at: UTC time in ISO 8601.
    """

    key: str
    run: str
    run_key: str
    model: str
    calibration: str | None
    available: int | None
    pictures: int
    left_out: int
    created_at: str

    def exhausted(self, count: int) -> bool:
        """Whether that many pictures are all there are, so that every seed takes the same."""
        return self.available is not None and count >= self.available


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCell:
    """One integer model: its settings, and how far it is from float32.

    Attributes:
        variant: Name of the full recipe, which `engine.convert` takes as well.
        recipe: Name of the recipe without the settings that are swept.
        range_method: How ranges followed from the values seen.
        count: Calibration pictures.
        seed: Seed of the choice among them.
        sha256: Hex digest of the TFLite file.
        rms: Root mean square of the logits' differences, each row's mean removed.
        kl: Mean Kullback-Leibler divergence of the softmaxes in nats.
        sqnr_db: Signal to quantization noise ratio of the logits in dB.
        agreement: Share of pictures with the same first answer.
        non_finite: Pictures with NaN or Inf among their logits; rms, KL and SQNR are NaN then.
        fallback: Why TensorFlow's own calibrator found the ranges, which knows min-max alone;
            None where ours did.
        fault: What makes its answers useless; see `VariantComparison`.
    """

    variant: str
    recipe: str
    range_method: str
    count: int
    seed: int
    sha256: str
    rms: float
    kl: float
    sqnr_db: float
    agreement: float
    non_finite: int
    fallback: str | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over seeds.

    Attributes:
        values: One a seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds (n - 1); NaN for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan

    @property
    def worst(self) -> float:
        """Largest; NaN where one is NaN."""
        return float(np.max(self.values))


@dataclass(frozen=True, slots=True)
class SweepGroup:
    """Cells that differ in nothing but their seed.

    Attributes:
        recipe: As in `SweepCell`.
        range_method: As in `SweepCell`.
        count: As in `SweepCell`.
        cells: In the order of their seeds.
    """

    recipe: str
    range_method: str
    count: int
    cells: tuple[SweepCell, ...]

    @property
    def fault(self) -> Fault | None:
        """What makes the answers of some cell useless."""
        faults = {cell.fault for cell in self.cells}
        return next((fault for fault in FAULT_WORDS if fault in faults), None)

    @property
    def rms(self) -> Spread:
        """Of the logits' differences."""
        return self._spread(lambda cell: cell.rms)

    @property
    def kl(self) -> Spread:
        """In nats."""
        return self._spread(lambda cell: cell.kl)

    @property
    def sqnr_db(self) -> Spread:
        """In dB."""
        return self._spread(lambda cell: cell.sqnr_db)

    @property
    def agreement(self) -> Spread:
        """Shares of pictures."""
        return self._spread(lambda cell: cell.agreement)

    def _spread(self, figure: Callable[[SweepCell], float]) -> Spread:
        return Spread(tuple(figure(cell) for cell in self.cells))


@dataclass(frozen=True, slots=True)
class Sweep:
    """One model quantized many times.

    Attributes:
        basis: What all cells have in common.
        cells: In the order of recipe, range method, count and seed.
    """

    basis: SweepBasis
    cells: tuple[SweepCell, ...]

    @property
    def groups(self) -> tuple[SweepGroup, ...]:
        """Cells over seeds, in the order of the cells."""
        by_key: dict[tuple[str, str, int], list[SweepCell]] = {}
        for cell in self.cells:
            by_key.setdefault((cell.recipe, cell.range_method, cell.count), []).append(cell)
        return tuple(SweepGroup(*key, tuple(cells)) for key, cells in by_key.items())

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names of the recipes that were swept."""
        return tuple(dict.fromkeys(cell.recipe for cell in self.cells))

    def of(self, recipe: str) -> tuple[SweepGroup, ...]:
        """Return the groups of one recipe."""
        return tuple(group for group in self.groups if group.recipe == recipe)

    def rows(self) -> list[dict[str, Any]]:
        """Give the cells in plain Python types, ready for JSON: NaN and infinity become None."""
        return [
            {key: value if _plain(value) else None for key, value in _row(cell, group).items()}
            for group in self.groups
            for cell in group.cells
        ]

    def to_frame(self) -> pd.DataFrame:
        """Give the table.

        Returns:
            One row a cell, in the order of `cells`. ``rms_mean``, ``rms_std``, ``kl_mean`` and
            ``kl_std`` are over the seeds of a cell's group (n - 1; NaN for a single seed), the
            same in each of its rows.
        """
        import pandas as pd

        return pd.DataFrame([_row(cell, group) for group in self.groups for cell in group.cells])

    def write(self, target: str | Path) -> None:
        """Write the table, as CSV or Parquet by the file's suffix, whole or not at all.

        Raises:
            OptionError: Another suffix, or nothing can be written there.
        """
        path = Path(target)
        check_table(path)
        staged = path.with_name(f".{path.name}.partial")
        with demand_writable(path):
            try:
                if path.suffix.lower() == ".csv":
                    self.to_frame().to_csv(staged, index=False, na_rep="NaN")
                else:
                    self.to_frame().to_parquet(staged, index=False)
                staged.replace(path)
            finally:
                staged.unlink(missing_ok=True)


def _row(cell: SweepCell, group: SweepGroup) -> dict[str, Any]:
    return {
        "recipe": cell.recipe,
        "range": cell.range_method,
        "count": cell.count,
        "seed": cell.seed,
        "rms": cell.rms,
        "kl": cell.kl,
        "sqnr_db": cell.sqnr_db,
        "agreement": cell.agreement,
        "non_finite": cell.non_finite,
        "fault": cell.fault or "none",
        "rms_mean": group.rms.mean,
        "rms_std": group.rms.deviation,
        "kl_mean": group.kl.mean,
        "kl_std": group.kl.deviation,
        "variant": cell.variant,
        "sha256": cell.sha256,
    }


def _plain(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def check_table(path: Path) -> None:
    """Refuse a name of a table before any work is done.

    Raises:
        OptionError: Its suffix is not one of `TABLE_SUFFIXES`, or its folder is not there.
    """
    if path.suffix.lower() not in TABLE_SUFFIXES or not path.absolute().parent.is_dir():
        raise OptionError(
            "Choosing where the table goes",
            got=str(path),
            expected="a file that ends in .csv or .parquet, in a folder that is there",
            todo="Name it like sweep.csv.",
        )


SWEEPS = "sweeps"
_BASIS, _CELLS, _SUFFIX = "basis.json", "cells", ".cell"


def sweep_folder(basis: SweepBasis) -> Path:
    """Where the cells of a basis are kept; made if absent."""
    basis_folder = folder(SWEEPS) / f"{basis.model}-{basis.key[:16]}"
    (basis_folder / _CELLS).mkdir(parents=True, exist_ok=True)
    if not (basis_folder / _BASIS).is_file():
        write_whole(
            basis_folder / _BASIS, msgspec.json.format(msgspec.json.encode(basis), indent=2)
        )
    return basis_folder


def encode_cell(cell: SweepCell) -> bytes:
    """Encode a cell in MessagePack, which has NaN and infinity, where JSON has null."""
    return msgspec.msgpack.encode(cell)


def decode_cell(content: bytes) -> SweepCell:
    """Decode a cell from MessagePack.

    Raises:
        msgspec.DecodeError: It is not one of this version.
    """
    return msgspec.msgpack.decode(content, type=SweepCell)


def keep_cell(cells: Path, cell: SweepCell) -> None:
    """Store a finished cell, whole or not at all."""
    write_whole(cells / _CELLS / f"{cell.variant}{_SUFFIX}", encode_cell(cell))


def read_cell(cells: Path, variant: str) -> SweepCell | None:
    """Read a finished cell, or None."""
    return _read(cells / _CELLS / f"{variant}{_SUFFIX}")


def read_sweep(basis: SweepBasis) -> Sweep | None:
    """Every finished cell of a basis, or None where there is none."""
    return _sweep_in(folder(SWEEPS) / f"{basis.model}-{basis.key[:16]}")


def newest_sweep(run: Run) -> Sweep | None:
    """Find the sweep of a run's model to which a cell was added last, or None."""
    places = [file.parent for file in folder(SWEEPS).glob(f"*/{_BASIS}")]
    for sweep_place in sorted(places, key=lambda p: (p / _CELLS).stat().st_mtime, reverse=True):
        sweep = _sweep_in(sweep_place)
        if sweep is not None and sweep.basis.run_key == run.manifest.key:
            return sweep
    return None


def in_table_order(cells: list[SweepCell]) -> tuple[SweepCell, ...]:
    """Cells by recipe, range method, count and seed; methods in the order of `RANGE_METHODS`."""
    from engine.quantization.recipes import RANGE_METHODS, in_order, recipe_named

    recipes = [recipe.name for recipe in in_order({recipe_named(cell.recipe) for cell in cells})]
    methods = [str(method) for method in RANGE_METHODS]

    def rank(cell: SweepCell) -> tuple[int, int, int, int]:
        order = recipes.index(cell.recipe), methods.index(cell.range_method)
        return (*order, cell.count, cell.seed)

    return tuple(sorted(cells, key=rank))


def _sweep_in(cells_folder: Path) -> Sweep | None:
    basis = find_record(cells_folder / _BASIS, SweepBasis)
    if basis is None:
        return None
    cells = [cell for file in (cells_folder / _CELLS).glob(f"*{_SUFFIX}") if (cell := _read(file))]
    return Sweep(basis, in_table_order(cells)) if cells else None


def _read(file: Path) -> SweepCell | None:
    try:
        return decode_cell(file.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
