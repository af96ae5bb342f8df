"""Tensors that an ONNX model keeps in other files, as the model describes them.

https://github.com/onnx/onnx/blob/main/docs/ExternalData.md. Nothing here needs the package onnx:
the dashboard looks at a model before a worker opens it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from engine.core.errors import ModelError
from engine.core.limits import LIMITS
from engine.core.protobuf_fields import LENGTH, VARINT, Field, FieldReader

EXTERNAL = 1
"""TensorProto.DataLocation of a tensor whose numbers lie in another file."""
_BITS = (
    dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24, 27, 28), 8)
    | dict.fromkeys((4, 5, 10, 16), 16)
    | dict.fromkeys((1, 6, 12), 32)
    | dict.fromkeys((7, 11, 13, 14), 64)
    | dict.fromkeys((21, 22, 23), 4)
    | dict.fromkeys((25, 26), 2)
    | {15: 128}
)
"""Of a number, by TensorProto.DataType; strings, which cannot lie outside, are missing."""
_LONGEST_LOCATION = 1024
_MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Where tensors can be: fields by number that hold messages, of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto."""
_DIMS, _DATA_TYPE, _NAME, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 8, 13, 14


@dataclass(frozen=True, slots=True)
class Span:
    """Where the numbers of a tensor lie.

    Attributes:
        tensor: Its name.
        location: The file, relative to the folder of the model.
        start: First byte in that file.
        end: Byte after the last.
        sha1: Digest that the file shall have; None where the model says none.
    """

    tensor: str
    location: str
    start: int
    end: int
    sha1: str | None


@dataclass(frozen=True, slots=True)
class OutsideTensor:
    """What a model says of a tensor in another file.

    Attributes:
        name: Of the tensor; may be empty.
        dims: Its dimensions.
        data_type: TensorProto.DataType.
        entries: Keys and values of ``external_data``.
    """

    name: str
    dims: tuple[int, ...]
    data_type: int
    entries: tuple[tuple[str, str], ...]

    def span(self, stage: str) -> Span:
        """Find out where its numbers lie, as far as the model alone can say, or refuse it."""
        values = dict(self.entries)
        if len(values) < len(self.entries):
            raise self._refusal(stage, "a key that is there twice")
        location = values.get("location", "")
        if not _is_inside(location):
            raise self._refusal(stage, "no path within the folder of the model")
        needed = self._bytes(stage)
        start = self._number(stage, "offset", values.get("offset", "0"))
        length = self._number(stage, "length", values.get("length", str(needed)))
        if length != needed:
            raise self._refusal(stage, f"a length of {length:,} bytes for numbers of {needed:,}")
        return Span(self.name, location, start, start + needed, values.get("checksum"))

    def _bytes(self, stage: str) -> int:
        bits = _BITS.get(self.data_type)
        if bits is None or any(size < 0 for size in self.dims):
            raise self._refusal(stage, f"type {self.data_type} and dimensions {self.dims[:8]}")
        if 0 in self.dims:
            return 0
        for size in self.dims:
            bits *= size
            if bits > 8 * LIMITS.model_bytes:
                raise self._refusal(stage, f"dimensions {self.dims[:8]}, more than a model holds")
        return -(-bits // 8)

    def _number(self, stage: str, key: str, value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            raise self._refusal(stage, f"the {key} {value[:40]!r}")
        return int(value)

    def _refusal(self, stage: str, got: str) -> ModelError:
        location = dict(self.entries).get("location", "")
        return ModelError(
            stage,
            got=f"the weight '{self.name[:80]}', kept in another file ({location[:80]!r}): {got}",
            expected="a file within the folder of the model, with an offset and a length that fit",
            todo="Save it again with onnx.save_model(model, path, save_as_external_data=True).",
        )


def _is_inside(location: str) -> bool:
    plain = location.isprintable() and not set(location) & {"\\", ":"}
    path = PurePosixPath(location)
    inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    return plain and inside and len(location) <= _LONGEST_LOCATION and not location.endswith("/")


def outside_tensors(file: BinaryIO, size: int) -> Iterator[OutsideTensor]:
    """Find every tensor in another file: initializers, attributes, subgraphs, functions, sparse.

    Raises:
        NoMessage: The bytes are no protobuf message.
    """
    reader = FieldReader(file)
    # A stack, since messages nest deeper than Python calls may.
    waiting = [("model", 0, size)]
    while waiting:
        message, start, end = waiting.pop()
        if message == "tensor":
            tensor = _outside_tensor(reader, start, end)
            if tensor is not None:
                yield tensor
            continue
        inner = _MESSAGES[message]
        waiting += [
            (inner[field.number], field.start, field.end)
            for field in reader.fields(start, end)
            if field.wire_type == LENGTH and field.number in inner
        ]


def _outside_tensor(reader: FieldReader, start: int, end: int) -> OutsideTensor | None:
    numbers, entries, dims, name = {_DATA_LOCATION: 0, _DATA_TYPE: 0}, [], list[Field](), ""
    for field in reader.fields(start, end):
        if field.number in numbers and field.wire_type == VARINT:
            numbers[field.number] = field.value
        elif field.number == _DIMS:
            dims.append(field)
        elif field.number == _NAME:
            name = _text(reader, field)
        elif field.number == _EXTERNAL_DATA:
            entries.append(field)
    if numbers[_DATA_LOCATION] != EXTERNAL:
        return None
    return OutsideTensor(
        name,
        tuple(number for field in dims for number in reader.numbers(field)),
        numbers[_DATA_TYPE],
        tuple(_entry(reader, field) for field in entries),
    )


def _entry(reader: FieldReader, entry: Field) -> tuple[str, str]:
    texts = {1: "", 2: ""}
    for field in reader.fields(entry.start, entry.end):
        if field.number in texts:
            texts[field.number] = _text(reader, field)
    return texts[1], texts[2]


def _text(reader: FieldReader, field: Field) -> str:
    return reader.content(field).decode(errors="replace")


def spans_by_location(tensors: Iterable[OutsideTensor], stage: str) -> dict[str, list[Span]]:
    """Group the spans of tensors by their file.

    Returns:
        Places by the location of their file; places may overlap, as those of tied weights do.

    Raises:
        ModelError: A place cannot be, or all together are more than a model may hold.
    """
    spans: dict[str, list[Span]] = {}
    total = 0
    for tensor in tensors:
        span = tensor.span(stage)
        spans.setdefault(span.location, []).append(span)
        total += span.end - span.start
        if total > LIMITS.model_bytes:
            raise ModelError(
                stage,
                got=f"more than {total / 1e9:.2f} GB of weights in other files",
                expected=f"at most {LIMITS.model_bytes / 1e9:.2f} GB, as much as a TFLite file "
                "holds",
                todo="Choose a smaller model.",
            )
    return spans
