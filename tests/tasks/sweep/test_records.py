from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from engine.core.errors import OptionError
from engine.tasks.sweep.records import Spread, check_table
from tests.helpers.sweeps import SETTLED, cell, sweep


def test_spread_by_hand() -> None:
    spread = Spread((1.0, 3.0))
    assert (spread.mean, spread.worst) == (2.0, 3.0)
    assert spread.deviation == pytest.approx(math.sqrt(2))
    assert math.isnan(Spread((1.0,)).deviation)
    assert math.isnan(Spread((1.0, math.nan)).worst)
    assert math.isnan(Spread((1.0, math.nan)).mean)


def test_groups_are_over_seeds() -> None:
    found = sweep(SETTLED)
    assert len(found.groups) == 8
    first = found.groups[0]
    assert (first.range_method, first.count, len(first.cells)) == ("min_max", 8, 2)
    assert first.rms.mean == pytest.approx(0.25)
    assert first.kl.mean == pytest.approx((0.09 + 0.04) / 2)


def test_the_table_has_a_row_a_cell_with_the_figures_of_its_group() -> None:
    frame = sweep(SETTLED).to_frame()
    assert len(frame) == 16
    assert list(frame["range"][:8]) == ["min_max"] * 8
    assert list(frame["count"][:4]) == [8, 8, 16, 16]
    assert frame["rms_mean"][0] == frame["rms_mean"][1] == pytest.approx(0.25)
    assert frame["rms_std"][0] == pytest.approx(0.1 / math.sqrt(2))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "T.CSV"])
def test_a_table_is_written_and_read_bit_for_bit(tmp_path: Path, name: str) -> None:
    found = sweep({"mse": {8: (1 / 3,), 16: (math.nan,)}})
    found.write(tmp_path / name)
    if name.endswith("parquet"):
        back = pd.read_parquet(tmp_path / name)
    else:
        back = pd.read_csv(tmp_path / name)
    pd.testing.assert_frame_equal(back, found.to_frame(), check_exact=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_json_has_no_nan() -> None:
    found = sweep({"mse": {8: (math.nan,)}})
    (row,) = found.rows()
    assert row["rms"] is None
    assert row["sqnr_db"] == 20.0
    assert (row["recipe"], row["range"], row["count"], row["seed"]) == (
        "int8_float_io",
        "mse",
        8,
        0,
    )


@pytest.mark.parametrize("name", ["t.txt", "t", "nowhere/t.csv"])
def test_another_suffix_or_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"\.csv or \.parquet"):
        check_table(tmp_path / name)


def test_a_place_that_cannot_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(OptionError, match="a refusal"):
        sweep({"mse": {8: (0.1,)}}).write(tmp_path / "t.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_pictures_that_are_all_there_are_known() -> None:
    basis = sweep(SETTLED).basis
    assert basis.exhausted(64)
    assert not basis.exhausted(63)
    assert cell("mse", 8, 0, 0.1).variant == "int8_float_io(range=mse,count=8,seed=0)"
