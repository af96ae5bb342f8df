"""Our lowering against ONNX's own test cases and ONNX Runtime, to TFLite files that are run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conversion import left_out

pytestmark = pytest.mark.slow
PASSING = 2600
PASSING_OF_A_SET = 670


def test_cases_of_onnx_at_every_operator_set() -> None:
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent.parent / "helpers" / "node_cases.py")],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env=os.environ | {"PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    outcomes: dict[str, str] = report["outcomes"]
    failed = {name: why for name, why in outcomes.items() if why != "ok"}
    expected = {name for name in outcomes if name in left_out.FORMS}
    expected |= {name for name in outcomes if name.rsplit("@", 1)[0] in left_out.FORMS}
    assert set(failed) == expected, {n: failed.get(n) for n in set(failed) ^ expected}
    assert set(report["left"]) == left_out.OPERATORS | left_out.TYPES
    passed = set(outcomes) - set(failed)
    assert len(passed) >= PASSING
    for number in range(7, 25):
        count = sum(number in report["sets"][name] for name in passed)
        assert count >= PASSING_OF_A_SET, f"operator set {number}"
