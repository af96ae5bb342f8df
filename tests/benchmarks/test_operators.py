from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import operators
from tests.tiny_tflite import reshape_file


def test_every_operator_has_a_time(tmp_path: Path) -> None:
    file = reshape_file(tmp_path / "m.tflite", (1, 4, 4, 3))
    ((name, microseconds),) = operators.added_microseconds(file.read_bytes(), rounds=2)
    assert name == "RESHAPE"
    assert 0 < microseconds < 1e5


def test_a_model_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "MOST_BYTES", 100)
    file = reshape_file(tmp_path / "m.tflite", (1, 4, 4, 3))
    with pytest.raises(ValueError, match="too large"):
        operators.added_microseconds(file.read_bytes())
