"""Gates: how sizes are read, and which are missed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from engine import api
from engine.cli.gates import Gates, SizeGateType, find_missed_gates, read_size
from engine.cli.main import main
from engine.core.errors import OptionError
from tests.helpers.factories import LOGITS, comparison, memory_use
from tests.helpers.tiny_run import tiny_run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500KB", 500_000),
        ("50MB", 50_000_000),
        ("1.5GB", 1_500_000_000),
        ("500KiB", 512_000),
        ("1.5MiB", 1_572_864),
        ("1GiB", 1_073_741_824),
    ],
)
def test_sizes_are_read_in_bytes(text: str, expected: int) -> None:
    assert read_size(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "50", "MB", "50 MB", "50mb", "50M", "50B", "0MB", "-1MB", "+1MB", "1e3KB", ".5MB", "5.MB"],
)
def test_a_size_that_is_written_otherwise_is_refused(text: str) -> None:
    _expect_refusal(text)


@pytest.mark.parametrize("text", ["nanMB", "infMB", "٥MB", "50MB\n", "1,5MB", f"{'9' * 400}MB"])
def test_a_size_that_is_no_finite_decimal_number_is_refused(text: str) -> None:
    _expect_refusal(text)


def _expect_refusal(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        read_size(text)
    assert text in caught.value.got
    assert "KiB" in caught.value.expected


def test_a_gate_of_a_size_names_a_variant() -> None:
    assert SizeGateType()("int8=48MiB") == ("int8", 50_331_648)


@pytest.mark.parametrize(
    ("peak", "missed"),
    [
        (50_000_000, []),
        (50_000_100, ["int8: peak memory is 50.0001 MB, the gate asks for at most 50 MB"]),
        (math.nan, ["int8: peak memory is nan MB, the gate asks for at most 50 MB"]),
        (None, ["int8: peak memory is –, the gate asks for at most 50 MB"]),
    ],
)
def test_a_gate_on_memory(peak: float | None, missed: list[str]) -> None:
    found = comparison({"int8": LOGITS}, memory=memory_use({} if peak is None else {"int8": peak}))
    assert find_missed_gates(found, Gates(max_memory=(("int8", 50e6),))) == missed


def test_compare_measures_the_memory_that_it_has_a_gate_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def targets(_run: object, *, targets: Any, variants: Any, **_: Any) -> None:
        asked.append((tuple(targets), tuple(variants)))
        raise OptionError("Asking", got="a question", expected="to see it alone", todo="End.")

    monkeypatch.setattr(api, "targets", targets)
    tiny_run(tmp_path / "run")
    command = ["compare", "--run", str(tmp_path / "run"), "--images", str(tmp_path)]
    assert main([*command, "--max-memory", "int8=50MB"]) == 2
    assert asked == [(("cpu",), ("int8",))]
