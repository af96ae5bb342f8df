from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import coverage
from benchmarks.coverage_table import ERROR_LIMIT, Row, as_markdown
from engine.networks.timm_networks import PREFIX

GOOD = Row(
    name="small",
    parameters=2_000_000,
    input_size=224,
    seconds=12.3,
    peak_bytes=1_500_000_000,
    opset=13,
    error=2e-6,
    float32_bytes=8_000_000,
    operators={"CONV_2D": 20, "TRANSPOSE": 2},
    int8_bytes=2_100_000,
    int8_sqnr_db=31.25,
)
LARGE = Row(
    name="large",
    parameters=600_000_000,
    input_size=518,
    seconds=3.0,
    peak_bytes=400_000_000,
    float32_reason="Choosing large: got 2.40 GB",
    int8_reason="Choosing large: got 2.40 GB",
)
NO_INT8 = replace(
    GOOD,
    name="float_only",
    parameters=5_000_000,
    int8_bytes=None,
    int8_sqnr_db=None,
    int8_reason="SavedModel to TFLite (int8): a <failure>",
)
INEXACT = replace(GOOD, name="inexact", parameters=1_000_000, error=2 * ERROR_LIMIT)


def page(*rows: Row, missing: tuple[str, ...] = ()) -> str:
    text = as_markdown(
        "# Coverage",
        rows,
        missing=missing,
        versions={"torch": "1.2", "onnx-tf": "3.4"},
        calibration_count=4,
    )
    return text.replace("\xa0", " ")


def test_the_summary_counts_what_can_exist() -> None:
    text = page(GOOD, LARGE, NO_INT8, INEXACT)
    assert "Of 3 models" in text
    assert "**2 (66.7 %) convert to float32**" in text
    assert "**2 (66.7 %) to int8**" in text
    assert "torch 1.2, onnx-tf 3.4" in text
    assert "Not tried" not in text


def test_rows_are_ordered_and_say_what_happened() -> None:
    lines = [line for line in page(LARGE, GOOD, NO_INT8, INEXACT).splitlines() if line[:2] == "| "]
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| inexact",
        "| small",
        "| float_only",
        "| large",
    ]
    assert lines[3] == (
        "| small | 2.0 M | 224 | 13 | 2e-06 | 22 | 2 | 8.0 MB | 2.1 MB | 31.2 dB | 12.3 s "
        "| 1.5 GB | both |"
    )
    endings = [line.split(" | ")[-1] for line in lines[2:]]
    assert endings == [
        "**int8 only** |",
        "both |",
        "**float32 only** |",
        "too large for the format |",
    ]
    assert len({line.count("|") for line in lines}) == 1


def test_reasons_are_listed_once() -> None:
    text = page(LARGE, GOOD, NO_INT8, INEXACT, missing=("other",))
    assert "- `large`: float32: Choosing large: got 2.40 GB\n" in text
    assert "- `float_only`: int8: SavedModel to TFLite (int8): a &lt;failure&gt;\n" in text
    assert "- `inexact`: float32: the error 0.0002 is above 0.0001\n" in text
    assert "Not tried: other." in text
    assert "What failed" not in page(GOOD)


def test_an_int8_that_answers_the_same_for_every_picture_is_none() -> None:
    collapsed = replace(GOOD, name="collapsed", int8_reason="answers the same for every picture")
    text = page(GOOD, collapsed)
    assert "**2 (100.0 %) convert to float32**" in text
    assert "**1 (50.0 %) to int8**" in text
    assert "- `collapsed`: int8: answers the same for every picture" in text
    assert "| **float32 only** |" in text


@pytest.mark.slow
def test_the_architectures_of_timm_are_of_many_families_and_sizes() -> None:
    assert len(set(coverage.TIMM)) == len(coverage.TIMM) == 60
    assert len(coverage.timm_families()) >= 40
    rows = coverage.read_rows()
    names = [PREFIX + name for name in coverage.TIMM]
    sizes = [rows[name].parameters for name in names if name in rows]
    assert len(set(sizes)) == len(sizes) >= 50


def test_rows_belong_to_a_converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = coverage.converter_digest()
    assert all(path.exists() for path in coverage.CONVERTER)
    source = tmp_path / "source.py"
    source.write_text("1")
    monkeypatch.setattr(coverage, "CONVERTER", (*coverage.CONVERTER, tmp_path))
    first = coverage.converter_digest()
    source.write_text("2")
    assert len({before, first, coverage.converter_digest()}) == 3


def test_when_and_where_rows_were_made_is_told() -> None:
    first = {"converter": "aaa", "made_on": "2026-01-02", "host": "a machine"}
    second = {"converter": "bbb", "made_on": "2026-01-03", "host": "another"}
    text = page(replace(GOOD, **first), replace(NO_INT8, **first), replace(INEXACT, **second))
    assert (
        "2 on 2026-01-02, on a machine (converter aaa); 1 on 2026-01-03, on another (converter bbb)"
    ) in text


def test_rows_are_kept_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "RECORD", tmp_path / "coverage.json")
    assert coverage.read_rows() == {}
    coverage.write_rows({"small": GOOD, "large": LARGE})
    assert coverage.read_rows() == {"small": GOOD, "large": LARGE}
    assert [file.name for file in tmp_path.iterdir()] == ["coverage.json"]
