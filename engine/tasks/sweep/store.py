"""Sweeps in the store: ``sweeps/<model>-<key>/``.

::

    basis.json            what all cells have in common
    cells/<variant>.cell  one finished cell each, written whole

A sweep has no state but its cells: one that was ended goes on with those that are missing.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.core.files import write_whole
from engine.core.store import folder
from engine.runs.run import Run
from engine.tasks.sweep.records import Sweep, SweepBasis, SweepCell

SWEEPS = "sweeps"
_BASIS, _CELLS, _SUFFIX = "basis.json", "cells", ".cell"


def sweep_folder(basis: SweepBasis) -> Path:
    """Where the cells of a basis are kept; made if absent."""
    place = folder(SWEEPS) / f"{basis.model}-{basis.key[:16]}"
    (place / _CELLS).mkdir(parents=True, exist_ok=True)
    if not (place / _BASIS).is_file():
        write_whole(place / _BASIS, msgspec.json.format(msgspec.json.encode(basis), indent=2))
    return place


def encoded(cell: SweepCell) -> bytes:
    """A cell as bytes: MessagePack, which has NaN and infinity, where JSON has null."""
    return msgspec.msgpack.encode(cell)


def decoded(content: bytes) -> SweepCell:
    """The cell again.

    Raises:
        msgspec.DecodeError: It is not one of this version.
    """
    return msgspec.msgpack.decode(content, type=SweepCell)


def keep_cell(place: Path, cell: SweepCell) -> None:
    """Store a finished cell, whole or not at all."""
    write_whole(place / _CELLS / f"{cell.variant}{_SUFFIX}", encoded(cell))


def known_cell(place: Path, variant: str) -> SweepCell | None:
    """A finished cell, or None."""
    return _read(place / _CELLS / f"{variant}{_SUFFIX}")


def stored_sweep(basis: SweepBasis) -> Sweep | None:
    """Every finished cell of a basis, or None where there is none."""
    return _sweep_in(folder(SWEEPS) / f"{basis.model}-{basis.key[:16]}")


def newest_sweep(run: Run) -> Sweep | None:
    """The sweep of a run's model to which a cell was added last, or None."""
    places = [file.parent for file in folder(SWEEPS).glob(f"*/{_BASIS}")]
    for place in sorted(places, key=lambda p: (p / _CELLS).stat().st_mtime, reverse=True):
        found = _sweep_in(place)
        if found is not None and found.basis.run_key == run.manifest.key:
            return found
    return None


def in_table_order(cells: list[SweepCell]) -> tuple[SweepCell, ...]:
    """Cells by recipe, range method, count and seed; methods in the order of `RANGE_METHODS`."""
    from engine.quantization.recipes import RANGE_METHODS, in_order, recipe_named

    recipes = [recipe.name for recipe in in_order({recipe_named(cell.recipe) for cell in cells})]
    methods = [str(method) for method in RANGE_METHODS]

    def place(cell: SweepCell) -> tuple[int, int, int, int]:
        order = recipes.index(cell.recipe), methods.index(cell.range_method)
        return (*order, cell.count, cell.seed)

    return tuple(sorted(cells, key=place))


def _sweep_in(place: Path) -> Sweep | None:
    try:
        basis = msgspec.json.decode((place / _BASIS).read_bytes(), type=SweepBasis)
    except (OSError, msgspec.DecodeError):
        return None
    cells = [cell for file in (place / _CELLS).glob(f"*{_SUFFIX}") if (cell := _read(file))]
    return Sweep(basis, in_table_order(cells)) if cells else None


def _read(file: Path) -> SweepCell | None:
    try:
        return decoded(file.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
