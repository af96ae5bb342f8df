"""Files that people take for ONNX files are called by what they are."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from engine.errors import ModelError
from engine.file_kinds import demand_onnx


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\n\n  <!DOCTYPE html>", "a text with markup"),
        (b"\x20\x00\x00\x00ORTM\x00", "ONNX Runtime's own format"),
        (b"ir_version: 8\ngraph {\n}\n", "ONNX as text"),
    ],
)
def test_what_the_file_is(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=words):
        demand_onnx(tmp_path / "m.onnx")


def test_a_keras_archive_is_no_zip_to_unpack(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.onnx", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", "")
    with pytest.raises(ModelError, match="a Keras model"):
        demand_onnx(tmp_path / "m.onnx")
