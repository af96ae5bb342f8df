"""The command compare: which models it times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import api
from engine.cli.main import main
from engine.core.errors import OptionError
from tests.helpers.tiny_run import tiny_run


@pytest.mark.parametrize(
    ("words", "timed"),
    [
        ("--latency", ()),
        ("--latency --variants int8", ("original", "int8")),
        ("--latency --variants int8 --reference float32", ("float32", "int8")),
        ("--variants int8 --max-latency-ratio int8=1", ("original", "int8", "float32")),
    ],
)
def test_only_what_was_chosen_is_timed(
    words: str, timed: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def latency(_run: object, *, variants: tuple[str, ...], **_: Any) -> None:
        asked.append(variants)
        raise OptionError("Timing", got="a question", expected="to see it alone", todo="End.")

    monkeypatch.setattr(api, "latency", latency)
    tiny_run(tmp_path / "run")
    command = ["compare", "--run", str(tmp_path / "run"), "--images", str(tmp_path)]
    assert main([*command, *words.split()]) == 2
    assert asked == [timed]
