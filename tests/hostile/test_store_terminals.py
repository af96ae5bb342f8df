"""Two terminals that ask for the same conversion: it is done once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.runs.staging import WAITING_FOR_SAME
from tests.hostile.conftest import Noted
from tests.hostile.terminals import Terminal
from tests.networks.test_own_onnx import SIZE, classifier

pytestmark = [pytest.mark.hostile, pytest.mark.slow]
TIMES, STAGE = 10, "SavedModel to TFLite"


def test_done_once(tmp_path: Path, scaled: Callable[[int], int], noted: Noted) -> None:
    model = classifier(tmp_path / "tiny.onnx", shape=[1, 3, SIZE, SIZE])

    def attack(number: int) -> int:
        terminal = Terminal(model, tmp_path / f"store{number}")
        both = [terminal.start(), terminal.start()]
        said = [process.communicate(timeout=300)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert sum(STAGE in words for words in said) == 1, said
        (name,) = terminal.visible()
        assert [path.name for path in (terminal.runs / name / "logs").glob("*.log")] == [
            "convert-1.log"
        ]
        assert terminal.hidden() == []
        return sum(WAITING_FOR_SAME in words for words in said)

    with ThreadPoolExecutor(2) as pool:
        waited = sum(pool.map(attack, range(scaled(TIMES))))
    noted("two terminals, the same conversion", scaled(TIMES), f"done once each, {waited} waited")
