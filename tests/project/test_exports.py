from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import engine

HEAVY = {
    "torch",
    "torchvision",
    "tensorflow",
    "onnx",
    "onnx_tf",
    "onnxruntime",
    "streamlit",
    "plotly",
    "pandas",
    "ai_edge_litert",
}


@pytest.mark.parametrize("name", engine.__all__)
def test_public_names_exist_and_are_documented(name: str) -> None:
    value = getattr(engine, name)
    assert name == "__version__" or value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = engine.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", engine.__all__)
def test_no_room_takes_the_place_of_a_public_name(name: str) -> None:
    room = Path(engine.__file__).parent / name
    assert not room.exists()
    assert not room.with_suffix(".py").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "import engine; engine.convert",
        "import engine.tasks.convert, engine.tasks.evaluate",
        "import engine.cli.main",
    ],
)
def test_importing_is_light(statement: str) -> None:
    code = f"{statement}; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(run.stdout.split())
