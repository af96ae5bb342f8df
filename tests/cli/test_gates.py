"""Gates: how sizes are read."""

from __future__ import annotations

import pytest

from engine.cli.gates import SizeGateType, read_size
from engine.core.errors import OptionError


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
