from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import ConversionError
from engine.tflite.profiler import OperatorEvent, ProfiledModel
from tests.helpers.tiny_tflite import reshape_file


def test_a_call_tells_its_operators(tmp_path: Path) -> None:
    file = reshape_file(tmp_path / "m.tflite", (1, 4, 4, 3))
    with ProfiledModel(file) as model:
        for _ in range(2):
            (event,) = model.call(bytes(4 * 48))
            assert event == OperatorEvent("Static Reshape (NC)", True, 0, event.microseconds)
        with pytest.raises(ConversionError, match="an input of 3 bytes, not 192"):
            model.call(b"abc")


def test_what_xnnpack_does_not_run_has_its_place_in_the_file(tmp_path: Path) -> None:
    file = reshape_file(tmp_path / "m.tflite", (1, 4, 4, 3), dtype="int16", scale=0.1)
    with ProfiledModel(file) as model:
        (event,) = model.call(bytes(2 * 48))
    assert event == OperatorEvent("RESHAPE", False, 0, event.microseconds)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "m.tflite"
    file.write_bytes(b"TFL3" * 100)
    with pytest.raises(ConversionError, match=r"status .* of LiteRt"), ProfiledModel(file):
        pass
