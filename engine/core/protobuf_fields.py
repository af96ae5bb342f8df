"""Fields of a protobuf message, read one by one without its schema or a library.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

VARINT, LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}
_MOST_FIELDS = 20_000_000


class NoMessage(ValueError):
    """Bytes that are no protobuf message, or more fields than any model has."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        number: Its number in the schema.
        wire_type: ``VARINT``, ``LENGTH``, or another of the encoding.
        value: Of a varint, unsigned; 0 for other types.
        start: Where the content of other types begins in the file.
        end: Where it ends.
    """

    number: int
    wire_type: int
    value: int
    start: int
    end: int


class FieldReader:
    """Reads the fields of messages in a file; what they hold is skipped.

    Args:
        file: Opened for reading; it is moved about.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _MOST_FIELDS

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """Read the outermost fields of the message between two offsets.

        Raises:
            NoMessage: The bytes between are no message.
        """
        while start < end:
            self._left -= 1
            if self._left < 0:
                raise NoMessage(f"more than {_MOST_FIELDS:,} fields")
            self._file.seek(start)
            tag = self._varint()
            number, wire_type = tag >> 3, tag & 7
            value = size = 0
            if wire_type == VARINT:
                value = self._varint()
            elif wire_type == LENGTH:
                size = self._varint()
            elif wire_type in _FIXED:
                size = _FIXED[wire_type]
            else:
                raise NoMessage(f"a field of wire type {wire_type}")
            if not number:
                raise NoMessage("a field without a number")
            inside = self._file.tell()
            start = inside + size
            if start > end:
                raise NoMessage("a field that is longer than its message")
            yield Field(number, wire_type, value, inside, start)

    def content(self, field: Field) -> bytes:
        """Read the bytes of a field of the type ``LENGTH``."""
        self._file.seek(field.start)
        return self._file.read(field.end - field.start)

    def numbers(self, field: Field) -> Iterator[int]:
        """Read the numbers of a repeated int64 field, packed or not."""
        if field.wire_type == VARINT:
            yield _to_signed(field.value)
            return
        self._file.seek(field.start)
        while self._file.tell() < field.end:
            yield _to_signed(self._varint())

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._file.read(1)
            if not byte:
                break
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value
        raise NoMessage("a number without an end")


def _to_signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
