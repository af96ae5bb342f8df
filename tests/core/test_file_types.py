"""Files that people take for ONNX files are called by what they are."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from engine.core.errors import ModelError
from engine.core.file_types import demand_onnx, kind_of
from engine.networks.onnx_parts import open_parts
from engine.networks.pickle_scan import demand_tensors

CORE_ML = b"\x08\x04" + b"\x12\x00" + b"\x9a\x19\x00"
"""Specification version, description, and neuralNetworkClassifier (403)."""
GRAPH_DEF = b"\n\x05\n\x01x\x12\x00" + b'"\x03\x08\xab\x0f'
"""A node, and the versions (4)."""
CAFFE = b"\n\x03net" + b"\xa2\x06\x00"
"""The name, and a layer (100)."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\n\n  <!DOCTYPE html>", "a text with markup"),
        (b"\r\n" * 90 + b"<html><head><title>Sign in</title>", "such as a web page"),
        (b"\xef\xbb\xbf<!doctype html>", "such as a web page"),
        (b'<?xml version="1.0"?>\n<net name="m" version="11">', "OpenVINO"),
        (b"\x20\x00\x00\x00ORTM\x00", "ONNX Runtime's own format"),
        (b"ir_version: 8\ngraph {\n}\n", r"ONNX as text.*'textproto'"),
        (b'<\n   ir_version: 8,\n   opset_import: ["" : 13]\n>\n', r"ONNX as text.*'onnxtxt'"),
        (b'{\n  "irVersion": "8",\n', r"ONNX as text.*'json'"),
        (b'{"error": "Repository not found"}', 'a text that begins with \'{"error": '),
        ("not found".encode("utf-16"), "a text that begins with 'not found'"),
        ("Schlüssel fehlt".encode() + b"\xc3", "a text that begins with 'Schlüssel fehlt'"),
        (b"7767517\n2 2\nInput data 0 1 data\n", r"ncnn as text \(\.param\)"),
        (b"Gk0\x01\x00\x3c", r"weights of ncnn \(\.bin\)"),
        (b'name: "net"\nlayer {\n', r"Caffe as text"),
        (CAFFE, r"\.caffemodel"),
        (CORE_ML, "a Core ML model"),
        (GRAPH_DEF, "a graph of TensorFlow or Paddle"),
        (b"\x08\x01\x10\x01\x4a\x04\0\0\0\0", "one tensor of ONNX"),
        (b"\x20\x00\x00\x00ET12", "ExecuTorch"),
        (b"\x20\x00\x00\x00TFL3", "a TFLite file.*--also"),
        (b"\x02\0\0\0\0\0\0\0{}", "a safetensors file.*--checkpoint"),
        (b"ftrt\x00\x00", "TensorRT"),
        (b'\x11\x00\x00\x00{"stride": 32}', "TensorRT"),
        (b"GGUF\x03", "GGUF"),
        (b"\x1f\x8b\x08\x00", "a gzip archive.*Unpack it first"),
        (b"m.onnx".ljust(257, b"\0") + b"ustar\0", "a tar archive.*Unpack it first"),
        (b"\x93NUMPY\x01\x00", "an array of NumPy"),
        (b"", "an empty file"),
    ],
)
def test_what_the_file_is(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=words):
        demand_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["config.json", "model.weights.h5"], "a Keras model"),
        (["m/data.pkl", "m/version"], r"a checkpoint of torch\.save.*--checkpoint"),
        (["m/data/a.txt", "m/code/a.py", "m/bytecode.pkl"], "a TorchScript program"),
        (["m/saved_model.pb", "m/variables/variables.index"], "a zip of a SavedModel"),
        (["m.mlpackage/Manifest.json", "m.mlpackage/Data/m.mlmodel"], "a zip of a Core ML model"),
        (["a.npy", "b.npy"], r"arrays of NumPy \(\.npz\)"),
        ([f"train/{n}.jpg" for n in range(5)], r"\('train/0.jpg', .* and 2 more\)"),
        ([], r"a zip archive of other files \(nothing\)"),
    ],
    ids=["keras", "pth", "ptl", "SavedModel", "mlpackage", "npz", "pictures", "empty"],
)
def test_what_the_zip_is(tmp_path: Path, names: list[str], words: str) -> None:
    with zipfile.ZipFile(tmp_path / "m.onnx", "w") as archive:
        for name in names:
            archive.writestr(name, "")
    with pytest.raises(ModelError, match=words):
        demand_onnx(tmp_path / "m.onnx")


def test_a_folder_is_named_with_its_models(tmp_path: Path) -> None:
    (tmp_path / "b.onnx").touch()
    with pytest.raises(ModelError, match=r"a folder, .*, which holds b\.onnx"):
        demand_onnx(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ModelError, match="a SavedModel of TensorFlow"):
        demand_onnx(tmp_path)


def test_a_text_is_no_checkpoint_but_a_pickle_as_text_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_text("404: Not Found")
    with pytest.raises(ModelError, match="a text that begins with '404: Not Found'"):
        demand_tensors(path)
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ModelError, match="a Python pickle"):
        demand_tensors(path)


def test_resource_forks_of_a_mac_beside_a_model_are_no_models(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("export/m.onnx", b"model")
        archive.writestr("__MACOSX/export/._m.onnx", b"fork")
    assert kind_of(tmp_path / "m.zip").name == "onnx zip"
    with open_parts(tmp_path / "m.zip") as parts, parts.model() as model:
        assert model.read() == b"model"
