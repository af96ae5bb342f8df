from __future__ import annotations

import pytest

from engine.cli.output import show_table


def test_names_from_outside_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("[red]run[/red]", ["name"], [["[bold]a[/bold]"], ["\x1b[2Jb"], ["[/nothing]"]])
    shown = capsys.readouterr().out
    assert "[red]run[/red]" in shown
    assert "[bold]a[/bold]" in shown
    assert "[/nothing]" in shown
    assert "\x1b" not in shown
