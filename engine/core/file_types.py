"""What a file is, by its content: a name proves nothing.

Only beginnings and tables of contents are read; nothing is loaded.
"""

from __future__ import annotations

import codecs
import re
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from engine.core.errors import ModelError
from engine.core.limits import LIMITS, demand_fits
from engine.core.protobuf_fields import LENGTH, VARINT, FieldReader, NoMessage
from engine.core.zips import directory_problem

_WEIGHTS_AGAIN = (
    "Where you trust it, load it and save its tensors alone: "
    "torch.save(model.state_dict(), 'weights.pth')."
)
_GGML = "Its weights are those of ggml's programs; give the checkpoint that it was made from."
HEAD_BYTES = 1024
_SHOWN_SIGNS, _SHOWN_NAMES = 60, 3
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GRAPH = (7, LENGTH)
"""ModelProto.graph, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto."""
_AFTER_BRACE = {b"", b'"', b"}", b" ", b"\n"}


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is.

    Attributes:
        name: Short, for code: ``torch zip``, ``pickle``, ``torchscript``, ``pt2``, ``safetensors``,
            ``tflite``, ``onnx zip``, ``zip``, ``text``, ``other``, ``unknown``.
        words: For a person.
        todo: How to make something usable of it; empty where nothing is to be said.
    """

    name: str
    words: str
    todo: str = ""


UNKNOWN = FileKind("unknown", "bytes of no known format")
_NO_MODEL = FileKind("other", "bytes that are not an ONNX model, or only a part of one")
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
_AS_CHECKPOINT = (
    "Give it as the checkpoint of its network (--checkpoint), or export the network to ONNX."
)
_UNPACK = "Unpack it first."
A_PICTURE = "a picture"
_TO_ONNX = "Export the model to ONNX with the tool that it was trained in."
_BEFORE = "Give the ONNX file that it was made from."
_MARKS = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes", "Export the model to ONNX."),
    (0, b"\x93NUMPY", "an array of NumPy", ""),
    (0, b"GGUF", "a GGUF file", _GGML),
    *((0, mark, "a ggml file", _GGML) for mark in (b"lmgg", b"fmgg", b"tjgg", b"algg")),
    (4, b"ET12", "a program of ExecuTorch (.pte)", _BEFORE),
    (0, b"ptrt", "an engine of TensorRT", _BEFORE),
    (0, b"ftrt", "an engine of TensorRT", _BEFORE),
    (3, b"\0{", "an engine of TensorRT", _BEFORE),  # Ultralytics writes JSON before it
    (0, b"RKNN", "a model for Rockchip's RKNN", _BEFORE),
    (0, b"IMOD", "a model for Ascend (.om)", _BEFORE),
    (0, b"Gk0\x01", "weights of ncnn (.bin)", _BEFORE),
    (0, b"\x12\x01\0\0\0\0\0\0", "weights of MXNet (.params)", _TO_ONNX),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"BZh", "a bzip2 archive", _UNPACK),
    (0, b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (0, b"\x04\x22\x4d\x18", "an LZ4 archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    *((0, mark, A_PICTURE, "") for mark in (b"\x89PNG", b"\xff\xd8\xff", b"GIF8")),
    (0, b"%PDF", "a PDF document", ""),
    (0, b"\x7fELF", "a program", ""),
    (0, b"MZ", "a program", ""),
    (0, b"#!", "a program", ""),
)
"""Offset and bytes by which a format is known."""


def _onnx_as_text(form: str) -> tuple[str, str]:
    return "ONNX as text", f"Save it as bytes: onnx.save(onnx.load('m', '{form}'), 'model.onnx')."


_TEXTS = (
    (r"<\?xml.*<net\b", "a network of OpenVINO as text (.xml)", _BEFORE),
    (r"(ir_version|producer_name|opset_import)\b", *_onnx_as_text("textproto")),
    (r"<\s*ir_version\b", *_onnx_as_text("onnxtxt")),
    (r"\{\s*\"ir_?version\b", *_onnx_as_text("json")),
    (r"<", "a text with markup, such as a web page", "Download the file itself."),
    (r"version https://", "a pointer of Git LFS", "Get the file itself: git lfs pull."),
    (r"7767517\s", "a network of ncnn as text (.param)", _BEFORE),
    (r"((name|input): .*)?\blayers? ?\{", "a network of Caffe as text (.prototxt)", _TO_ONNX),
    (r"\[net\]", "a network of Darknet as text (.cfg)", _TO_ONNX),
)
"""What texts begin with, blanks left out."""
_MESSAGES = (
    ({(1, LENGTH), (100, LENGTH)}, "weights of Caffe (.caffemodel)", _TO_ONNX),
    ({(1, LENGTH), (4, LENGTH)}, "a graph of TensorFlow or Paddle", _TO_ONNX),
    ({(1, VARINT), (2, VARINT)}, "one tensor of ONNX", ""),
)
"""Fields by which other protobuf messages are known, which have no mark either."""
_CORE_ML_KINDS = range(200, 4000)
"""Fields of a Core ML model, one of which it has beside its description."""


def kind_of(path: Path) -> FileKind:
    """Tell the kind of a file by its beginning, or by the list of entries of a zip.

    Returns:
        Its kind; ``unknown`` covers ONNX, which has no mark of its own.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head[:4] in {b"PK\x03\x04", b"PK\x05\x06"}:
        return _kind_of_zip(path)
    return kind_of_head(head)


def kind_of_head(head: bytes) -> FileKind:
    """Tell the kind of a file that is no zip by its first `HEAD_BYTES`."""
    if not head:
        return FileKind("other", "an empty file")
    if head[4:8] == b"TFL3":
        return FileKind(
            "tflite", "a TFLite file", "Compare it with the variants of a run (--also), as it is."
        )
    if head[4:8] == b"ORTM":
        return FileKind("other", "a file in ONNX Runtime's own format", "Give the ONNX file.")
    if head[8:9] == b"{" and head[9:10] in _AFTER_BRACE:
        return FileKind("safetensors", "a safetensors file", _AS_CHECKPOINT)
    if head[:1] == b"\x80" and head[1] <= 5:
        return PICKLE
    for offset, mark, words, todo in _MARKS:
        if head.startswith(mark, offset):
            return FileKind("other", words, todo)
    text = _text_of(head)
    return UNKNOWN if text is None else _kind_of_text(text)


def _text_of(head: bytes) -> str | None:
    """Decode the beginning of a file, which may end within a sign; None where it is no text."""
    encoding = next((name for mark, name in _ENCODINGS if head.startswith(mark)), "utf-8")
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    shown = all(sign.isprintable() or sign in "\t\n\r\f\v" for sign in text)
    return text if shown and "\ufffd" not in text else None


def _kind_of_text(text: str) -> FileKind:
    text = text.strip()
    for pattern, words, todo in _TEXTS:
        if re.match(pattern, text, re.IGNORECASE | re.DOTALL):
            return FileKind("other", words, todo)
    line = (text.splitlines() or [""])[0][:_SHOWN_SIGNS]
    return FileKind("text", f"a text that begins with {line!r}")


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
            stage,
            got=_folder_in_words(path) if path.is_dir() else f"no file at {path}",
            expected="an ONNX file",
            todo="Check the path.",
        )
    demand_fits(path.name, path.stat().st_size // 4)
    kind = kind_of(path)
    if kind is ONNX_ZIP:
        return
    if kind is UNKNOWN:
        with path.open("rb") as file:
            fields = _protobuf_fields(file, path.stat().st_size)
        if _GRAPH in fields:
            return
        kind = _kind_of_message(fields)
    if kind.name == "text":
        kind = replace(kind, words=f"{_NO_MODEL.words}: {kind.words}")
    raise ModelError(
        stage,
        got=kind.words,
        expected="a model saved as ONNX",
        todo=kind.todo
        or "Export the model, for instance with torch.onnx.export. Of a model with data beside it, "
        "give the .onnx file.",
        problem=f"{path.name} is not an ONNX file.",
    )


def _folder_in_words(path: Path) -> str:
    if (path / "saved_model.pb").is_file():
        return f"a SavedModel of TensorFlow, {path}"
    models = sorted(file.name for file in path.glob("*.onnx"))[:5]
    return f"a folder, {path}" + (f", which holds {', '.join(models)}" if models else "")


def _kind_of_message(fields: set[tuple[int, int]]) -> FileKind:
    for expected, words, todo in _MESSAGES:
        if expected <= fields:
            return FileKind("other", words, todo)
    if {(1, VARINT), (2, LENGTH)} < fields and max(fields)[0] in _CORE_ML_KINDS:
        return FileKind("other", "a Core ML model", _TO_ONNX)
    return _NO_MODEL


def is_onnx(path: Path) -> bool:
    """Whether the bytes of a file are a protobuf message with a graph."""
    with path.open("rb") as file:
        return _GRAPH in _protobuf_fields(file, path.stat().st_size)


def _protobuf_fields(file: BinaryIO, size: int) -> set[tuple[int, int]]:
    """Read number and wire type of a protobuf message's outermost fields; none if it is none."""
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
        return FileKind("torch zip", "a checkpoint of torch.save", _AS_CHECKPOINT)
    if {"config.json", "model.weights.h5"} <= set(names):
        return FileKind("zip", "a Keras model", "Export the model to ONNX.")
    if any(name.lower().endswith(".onnx") for name in names):
        return ONNX_ZIP
    return _kind_of_other_zip([name for name in names if not name.endswith("/")])


def _kind_of_other_zip(names: list[str]) -> FileKind:
    if any(name.endswith("saved_model.pb") for name in names):
        return FileKind("zip", "a zip of a SavedModel of TensorFlow", _TO_ONNX)
    if any(name.endswith(".mlmodel") for name in names):
        return FileKind("zip", "a zip of a Core ML model", _TO_ONNX)
    if names and all(name.endswith(".npy") for name in names):
        return FileKind("zip", "arrays of NumPy (.npz)")
    shown = ", ".join(map(repr, names[:_SHOWN_NAMES])) or "nothing"
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return FileKind(
        "zip",
        f"a zip archive of other files ({shown}{more})",
        "Unpack it, and give the file that holds the model.",
    )
