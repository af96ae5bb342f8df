from __future__ import annotations

import pytest
from click.testing import CliRunner

from engine import api
from engine.cli.models import models
from engine.cli.output import show_table
from engine.networks.catalog_network import CatalogEntry


def test_names_from_outside_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("[red]run[/red]", ["name"], [["[bold]a[/bold]"], ["\x1b[2Jb"], ["[/nothing]"]])
    shown = capsys.readouterr().out
    assert "[red]run[/red]" in shown
    assert "[bold]a[/bold]" in shown
    assert "[/nothing]" in shown
    assert "\x1b" not in shown


def test_models_are_searched_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        CatalogEntry(name=name, input_size=224, parameters=None, top1=None, weights_file="")
        for name in ("resnet18", "timm/resnet18.a1_in1k", "vgg11")
    ]
    monkeypatch.setattr(api, "models", lambda **_: tuple(entries))
    shown = CliRunner().invoke(models, ["--search", "ResNet"]).output
    assert "timm/resnet18.a1_in1k" in shown
    assert "vgg11" not in shown
