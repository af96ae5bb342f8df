"""What a file is, by its content: a name proves nothing.

Only beginnings and tables of contents are read; nothing is loaded.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.errors import ModelError
from engine.limits import LIMITS
from engine.networks.size_limit import demand_fits
from engine.protobuf_fields import LENGTH, FieldReader, NoMessage
from engine.zips import directory_problem

_WEIGHTS_AGAIN = (
    "Where you trust it, load it and save its tensors alone: "
    "torch.save(model.state_dict(), 'weights.pth')."
)
_HEAD_BYTES = 16
_GRAPH = (7, LENGTH)
"""ModelProto.graph, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto."""
_AFTER_BRACE = {b"", b'"', b"}", b" ", b"\n"}


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is.

    Attributes:
        name: Short, for code: ``torch zip``, ``pickle``, ``torchscript``, ``pt2``, ``safetensors``,
            ``tflite``, ``onnx zip``, ``zip``, ``other``, ``unknown``.
        words: For a person.
        todo: How to make something usable of it; empty where nothing is to be said.
    """

    name: str
    words: str
    todo: str = ""


UNKNOWN = FileKind("unknown", "bytes of no known format")
PICKLE = FileKind("pickle", "a Python pickle, which can run code when it is opened", _WEIGHTS_AGAIN)
TORCHSCRIPT = FileKind(
    "torchscript",
    "a TorchScript program, which holds code",
    "Where you trust it, save its tensors alone: "
    "torch.save(torch.jit.load('file.pt').state_dict(), 'weights.pth').",
)
ONNX_ZIP = FileKind("onnx zip", "a zip with an ONNX file")
PT2 = FileKind(
    "pt2",
    "an exported program (.pt2), whose opening can run code",
    "Where you trust it, save its tensors alone: "
    "torch.save(torch.export.load('file.pt2').state_dict, 'weights.pth'), or export it to ONNX.",
)
_STARTS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes", "Export the model to ONNX."),
    (b"\x93NUMPY", "an array of NumPy", ""),
    (b"GGUF", "a GGUF file", ""),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"BZh", "a bzip2 archive", "Unpack it first."),
    (b"\xfd7zXZ\x00", "an xz archive", "Unpack it first."),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it first."),
    (b"Rar!", "a RAR archive", "Unpack it first."),
    (b"\x89PNG", "a picture", ""),
    (b"\xff\xd8\xff", "a picture", ""),
    (b"\x7fELF", "a program", ""),
    (b"MZ", "a program", ""),
    (b"#!", "a program", ""),
    (b"<", "a text with markup", ""),
    (b"version https://", "a pointer of Git LFS", "Get the file itself: git lfs pull."),
    (b"ir_version:", "ONNX as text", "Save it with onnx.save(model, 'model.onnx')."),
)


def kind_of(path: Path) -> FileKind:
    """Look at the beginning of a file, and at the list of entries of a zip.

    Args:
        path: The file.

    Returns:
        Its kind; ``unknown`` covers ONNX, which has no mark of its own.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return FileKind("other", "an empty file")
    if head[4:8] == b"TFL3":
        return FileKind("tflite", "a TFLite file")
    if head[4:8] == b"ORTM":
        return FileKind("other", "a file in ONNX Runtime's own format", "Give the ONNX file.")
    if head[:4] in {b"PK\x03\x04", b"PK\x05\x06"}:
        return _kind_of_zip(path)
    if head[8:9] == b"{" and head[9:10] in _AFTER_BRACE:
        return FileKind("safetensors", "a safetensors file")
    if head[:1] == b"\x80" and head[1] <= 5:
        return PICKLE
    for start, words, todo in _STARTS:
        if head.startswith(start) or (start == b"<" and head.lstrip().startswith(start)):
            return FileKind("other", words, todo)
    return UNKNOWN


def demand_onnx(path: Path) -> None:
    """Refuse a file that cannot be an ONNX model or a zip with one, without loading it.

    Args:
        path: The file.

    Raises:
        ModelError: It is absent, too large, of another kind, or its bytes are no protobuf message
            with a graph.
        OSError: It cannot be read.
    """
    stage = f"Reading {path.name}"
    if not path.is_file():
        raise ModelError(
            stage, got=f"no file at {path}", expected="an ONNX file", todo="Check the path."
        )
    demand_fits(path.name, path.stat().st_size // 4)
    kind = kind_of(path)
    words = kind.words
    if kind is ONNX_ZIP:
        return
    if kind is UNKNOWN:
        with path.open("rb") as file:
            if _GRAPH in _protobuf_fields(file, path.stat().st_size):
                return
        words = "bytes that are no ONNX model, or only a part of one"
    raise ModelError(
        stage,
        got=words,
        expected="a model saved as ONNX",
        todo=kind.todo
        or "Export the model, for instance with torch.onnx.export. Of a model with data beside it, "
        "give the .onnx file.",
    )


def _protobuf_fields(file: BinaryIO, size: int) -> set[tuple[int, int]]:
    """Number and wire type of the outermost fields of a protobuf message; none if it is no such."""
    try:
        return {(field.number, field.wire_type) for field in FieldReader(file).fields(0, size)}
    except NoMessage:
        return set()


def _kind_of_zip(path: Path) -> FileKind:
    try:
        with path.open("rb") as file:
            if directory_problem(file, LIMITS.zip_entries) is not None:
                return FileKind("zip", "a zip of too many files, or only a part of one")
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return FileKind("zip", "a damaged zip, or only a part of one")
    inner = {name.partition("/")[2] or name for name in names}
    if "serialized_exported_program.json" in names or "archive_format" in inner:
        return PT2
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return TORCHSCRIPT
    if "data.pkl" in inner:
        return FileKind("torch zip", "a checkpoint of torch.save")
    if {"config.json", "model.weights.h5"} <= set(names):
        return FileKind("zip", "a Keras model", "Export the model to ONNX.")
    if any(name.lower().endswith(".onnx") for name in names):
        return ONNX_ZIP
    return FileKind("zip", "a zip archive", "Unpack it first.")
