from __future__ import annotations

from dataclasses import replace

import pytest

from engine import api
from engine.cli.main import main
from tests.helpers.factories import latency, operator_time, profiled


def test_where_the_time_goes_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = operator_time("DEPTHWISE_CONV_2D", "", 25.0)
    quick = operator_time("CONV_2D", "Fully Connected (NC, F32) GEMM", 75.0)
    timed = profiled(
        latency({"original": 9.0, "float32": 8.0, "int8": 4.0}), {"float32": (quick, slow)}
    )
    broken = replace(timed.entries[2], unprofiled="it died")
    timed = replace(timed, entries=(*timed.entries[:2], broken))
    monkeypatch.setattr(api, "latency", lambda *_, **__: timed)
    assert main(["latency", "--run", "any"]) == 0
    said = capsys.readouterr().out
    assert (
        "float32 spends its time on pointwise convolution (75.0 %) and depthwise layer (25.0 %); "
        "25.0 % of it without XNNPACK\n"
    ) in said
    assert "Note: int8: it died\n" in said
    assert "original spends" not in said
