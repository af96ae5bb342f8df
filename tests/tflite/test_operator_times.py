from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from engine.core.errors import ConversionError
from engine.tflite import operator_times as module
from engine.tflite.operator_times import (
    KindTime,
    kind_of_time,
    left_share,
    match_events,
    operator_times,
    time_by_kind,
)
from engine.tflite.profiler import OperatorEvent
from tests.helpers.factories import operator_time
from tests.helpers.tiny_tflite import reshape_file

CONVOLUTION = "Convolution (NHWC, QC8) IGEMM"
POINTWISE = "Fully Connected (NC, QS8, QC8W) GEMM"


def by_xnnpack(*names: str) -> list[OperatorEvent]:
    return [OperatorEvent(name, True, place, 1) for place, name in enumerate(names)]


def test_what_is_fused_or_left_out_is_passed_over() -> None:
    events = by_xnnpack(CONVOLUTION, POINTWISE, "Add (ND)")
    names = ["PAD", "CONV_2D", "CONV_2D", "RELU6", "ADD"]
    assert match_events(events, names) == [1, 2, 4]


def test_what_xnnpack_adds_stands_for_nothing() -> None:
    events = by_xnnpack("Convert (NC, F32, QD8)", POINTWISE, "Nobody Knows (NC)", "Add (ND)")
    assert match_events(events, ["FULLY_CONNECTED", "ADD", "DEQUANTIZE"]) == [None, 0, None, 1]


def test_what_is_left_to_tflite_says_its_place() -> None:
    events = [
        *by_xnnpack(CONVOLUTION),
        OperatorEvent("DEPTHWISE_CONV_2D", False, 2, 5),
        *by_xnnpack("Convolution (NHWC, F32) DWConv"),
    ]
    names = ["CONV_2D", "PAD", "DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D"]
    assert match_events(events, names) == [0, 2, 3]


class FixedModel:
    """Gives the calls that it was made with."""

    calls: ClassVar[list[list[OperatorEvent]]] = []

    def __init__(self, file: Path, threads: int) -> None:
        self._left = iter(self.calls)

    def __enter__(self) -> FixedModel:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, content: bytes) -> tuple[OperatorEvent, ...]:
        return tuple(next(self._left))


def fixed(monkeypatch: pytest.MonkeyPatch, calls: list[list[OperatorEvent]]) -> None:
    monkeypatch.setattr(FixedModel, "calls", calls)
    monkeypatch.setattr(module, "ProfiledModel", FixedModel)
    monkeypatch.setattr(module, "MOST_CALLS", len(calls) - 1)


def test_the_median_of_the_calls_after_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = reshape_file(tmp_path / "m.tflite", (1, 2, 2, 3))
    delegate = OperatorEvent("TfLiteXNNPackDelegate", False, 1, 9999)
    calls = [[OperatorEvent("RESHAPE", False, 0, took), delegate] for took in (900, 5, 8, 7)]
    fixed(monkeypatch, calls)
    (time,) = operator_times(file, b"")
    assert time == operator_time("RESHAPE", "", 7.0)


def test_calls_that_differ_are_no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = reshape_file(tmp_path / "m.tflite", (1, 2, 2, 3))
    one = by_xnnpack("Add (ND)")
    fixed(monkeypatch, [one, one, one, by_xnnpack("Copy (NC, X8)")])
    with pytest.raises(ConversionError, match="other operators in one call"):
        operator_times(file, b"")


def test_kinds_by_hand() -> None:
    times = (
        operator_time("CONV_2D", CONVOLUTION, 100.0),
        operator_time("CONV_2D", POINTWISE, 500.0),
        operator_time("CONV_2D", POINTWISE, 200.0),
        operator_time("DEPTHWISE_CONV_2D", "", 200.0),
    )
    assert time_by_kind(times) == (
        KindTime("pointwise convolution", 0.7, 0.7, 2, 0.0),
        KindTime("depthwise layer", 0.2, 0.2, 1, 0.2),
        KindTime("convolution", 0.1, 0.1, 1, 0.0),
    )
    assert left_share(times) == 0.2
    assert left_share(()) == 0.0
    assert kind_of_time(operator_time("Static Reshape", "Static Reshape (NC)", 1.0, None)) == (
        "static reshape"
    )
