from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

from engine.tasks.sweep.records import (
    decode_cell,
    encode_cell,
    in_table_order,
    keep_cell,
    newest_sweep,
    read_cell,
    read_sweep,
    sweep_folder,
)
from tests.helpers.factories import manifest
from tests.helpers.sweeps import BASIS, cell
from tests.helpers.tiny_run import tiny_run


def test_a_cell_is_kept_with_its_nan_and_infinity() -> None:
    odd = cell("mse", 8, 0, math.nan, sqnr_db=math.inf)
    again = decode_cell(encode_cell(odd))
    assert math.isnan(again.rms)
    assert again.sqnr_db == math.inf
    assert replace(again, rms=0.0, kl=0.0) == replace(odd, rms=0.0, kl=0.0)


def test_half_a_cell_is_none() -> None:
    place = sweep_folder(BASIS)
    kept = cell("mse", 8, 0, 0.1)
    keep_cell(place, kept)
    assert read_cell(place, kept.variant) == kept
    (file,) = (place / "cells").iterdir()
    file.write_bytes(file.read_bytes()[:20])
    assert read_cell(place, kept.variant) is None
    assert read_sweep(BASIS) is None


def test_cells_come_back_in_order() -> None:
    place = sweep_folder(BASIS)
    cells = [
        cell(method, count, seed, 0.1)
        for method in ("min_max", "percentile_99.9", "mse")
        for count in (8, 16, 128)
        for seed in (0, 1, 10)
    ]
    for one in reversed(cells):
        keep_cell(place, one)
    (place / "cells" / f".{cells[0].variant}.cell.123").write_bytes(b"left by a killed process")
    found = read_sweep(BASIS)
    assert found is not None
    assert found.basis == BASIS
    assert found.cells == tuple(cells) == in_table_order(cells[::-1])


def test_the_newest_sweep_of_a_run_is_found(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    assert run.manifest.key == manifest().key == BASIS.run_key
    assert newest_sweep(run) is None
    for number, key in enumerate(("a", "b", "c")):
        other = replace(BASIS, key=key * 64, run_key="other" if key == "c" else BASIS.run_key)
        place = sweep_folder(other)
        keep_cell(place, cell("mse", 8, 0, 0.1))
        os.utime(place / "cells", (number, number))
    found = newest_sweep(run)
    assert found is not None
    assert found.basis.key == "b" * 64
