from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.tasks.convert import convert_request
from tests.helpers.fake_host import HandMadeHost, request_for
from tests.runs.test_cleanup import used

Captured = pytest.CaptureFixture[str]


def test_list_verify_and_clean(tmp_path: Path, capsys: Captured) -> None:
    run = convert_request(request_for(tmp_path / "m.onnx"), HandMadeHost())
    assert main(["store", "list"]) == 0
    assert run.folder.name in capsys.readouterr().out
    assert main(["store", "list", "--json", "-"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["variants"] == ["float32", "int8"]
    assert main(["store", "verify", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["damaged"] == []
    (run.folder / "int8.tflite").write_bytes(b"damaged")
    assert main(["store", "verify", run.folder.name]) == 1
    assert "int8.tflite. Ask for the same conversion again" in capsys.readouterr().out
    assert main(["store", "verify", "nothing"]) == 2
    assert "got nothing; expected names of runs" in capsys.readouterr().err
    used(run.folder, 1)
    assert main(["store", "clean", "--to-gb", "0"]) == 0
    assert f"Let go: {run.folder.name}" in capsys.readouterr().out
    assert main(["store", "list", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == []
