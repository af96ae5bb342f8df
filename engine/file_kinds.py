"""What a file is, by its content: a name proves nothing.

Only beginnings and tables of contents are read; nothing is loaded.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

_WEIGHTS_AGAIN = (
    "Where you trust it, load it and save its tensors alone: "
    "torch.save(model.state_dict(), 'weights.pth')."
)
_HEAD_BYTES = 16
_AFTER_BRACE = {b"", b'"', b"}", b" ", b"\n"}


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is.

    Attributes:
        name: Short, for code: ``torch zip``, ``pickle``, ``torchscript``, ``pt2``, ``safetensors``,
            ``tflite``, ``zip``, ``other``, ``unknown``.
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
    if head[:4] in {b"PK\x03\x04", b"PK\x05\x06"}:
        return _kind_of_zip(path)
    if head[8:9] == b"{" and head[9:10] in _AFTER_BRACE:
        return FileKind("safetensors", "a safetensors file")
    if head[:1] == b"\x80" and head[1] <= 5:
        return PICKLE
    for start, words, todo in _STARTS:
        if head.startswith(start):
            return FileKind("other", words, todo)
    return UNKNOWN


def _kind_of_zip(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
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
    return FileKind("zip", "a zip archive", "Unpack it first.")
