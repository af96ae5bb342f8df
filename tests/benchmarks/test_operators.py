from __future__ import annotations

from pathlib import Path

from benchmarks import operators
from tests.helpers.tiny_tflite import reshape_file


def test_every_operator_has_a_time(tmp_path: Path) -> None:
    file = reshape_file(tmp_path / "m.tflite", (1, 4, 4, 3))
    (time,) = operators.times_of(file)
    assert 0 <= time.microseconds < 1e5
