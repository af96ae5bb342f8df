"""An ONNX file that is dropped on a page together with its data, as one file to keep."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath

from engine.core.errors import ModelError
from engine.networks.onnx_parts import ONNX_SUFFIX, locations_in

_STAGE = "Reading the dropped files"
_MODEL = "model.onnx"
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""Time of entries, so that the same files make the same zip."""


def is_model(name: str) -> bool:
    """Whether a file is a model by its name, or a zip, and no data of one."""
    return name.lower().endswith((ONNX_SUFFIX, ".zip"))


def packed_model(files: Sequence[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Pack an ONNX model and its data into a zip, under the names that the model asks for.

    Args:
        files: Names, as a browser gives them, and contents.

    Returns:
        Name and content: of the zip, or of the only file, which is then not looked into.

    Raises:
        ModelError: It is not one model with the data that it asks for.
    """
    models = [file for file in files if file[0].lower().endswith(ONNX_SUFFIX)]
    data = [file for file in files if file not in models]
    if len(files) == 1 and is_model(files[0][0]):
        return files[0]
    if len(models) != 1:
        raise ModelError(
            _STAGE,
            got=f"{len(models)} ONNX files among {_listed([name for name, _ in files])}",
            expected="one ONNX file, with its data where it has some",
            todo="Drop one model's .onnx file together with the data that was written beside it, "
            "or one zip of both.",
        )
    name, content = models[0]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        # A browser may give the model any name.
        for entry, packed_bytes in [(_MODEL, content), *_named_as_asked(name, content, data)]:
            archive.writestr(zipfile.ZipInfo(entry, _EARLIEST), packed_bytes)
    return f"{PurePosixPath(name).stem}.zip", packed.getvalue()


def _named_as_asked(
    name: str, content: bytes, data: list[tuple[str, bytes]]
) -> list[tuple[str, bytes]]:
    """Give data files the names by which the model asks for them.

    A browser drops their folders and may number a file that was downloaded twice, so a single
    file that is left is the single one that is missing.
    """
    wanted = locations_in(io.BytesIO(content), len(content), f"Reading {name}")
    by_name = dict(data)
    different = len(set(data)) > len(by_name)
    named = {
        location: by_name.pop(base)
        for location in sorted(wanted)
        if (base := PurePosixPath(location).name) in by_name
    }
    missing = sorted(wanted.keys() - named)
    if len(missing) == len(by_name) == 1:
        named[missing.pop()] = by_name.popitem()[1]
    if missing or by_name or different:
        raise ModelError(
            f"Reading {name}",
            got=f"the data {_listed([file for file, _ in data])}",
            expected=_listed(sorted(wanted)) if wanted else "no data, since the model holds it all",
            todo="Drop the model with the files that were written beside it, and no others.",
        )
    return list(named.items())


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(repr, names[:5])) + rest
