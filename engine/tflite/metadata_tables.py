"""FlatBuffers tables by slot number, for schemas that no package here brings generated code for.

A table is written as slots and values, and read back the same way; what a slot means stands where
the schema is known (`engine.tflite.metadata`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SLOT_BYTES = 2
_HEAD_SLOTS = 2
"""Entries of a vtable before the first slot: its own size and the table's."""


@dataclass(frozen=True, slots=True)
class Byte:
    """An enum or union type, one byte."""

    value: int


@dataclass(frozen=True, slots=True)
class UInt:
    """An unsigned integer of 32 bits."""

    value: int


@dataclass(frozen=True, slots=True)
class Floats:
    """A vector of float32."""

    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: values by slot; an absent slot is the schema's default."""

    slots: Mapping[int, Value]


Value = str | Byte | UInt | Floats | Table | Sequence[Table]


def written(root: Table, identifier: bytes) -> bytes:
    """A FlatBuffer.

    Args:
        root: Its root table.
        identifier: The schema's file identifier, four bytes.

    Returns:
        The buffer.
    """
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_table(builder, root), identifier)
    return bytes(builder.Output())


def _table(builder: Any, table: Table) -> int:
    # What a table points to must be finished before the table is begun.
    offsets = {
        slot: _offset(builder, value)
        for slot, value in table.slots.items()
        if not isinstance(value, Byte | UInt)
    }
    builder.StartObject(max(table.slots, default=-1) + 1)
    for slot, value in table.slots.items():
        if isinstance(value, Byte):
            builder.PrependUint8Slot(slot, value.value, 0)
        elif isinstance(value, UInt):
            builder.PrependUint32Slot(slot, value.value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
    return int(builder.EndObject())


def _offset(builder: Any, value: str | Floats | Table | Sequence[Table]) -> int:
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, Table):
        return _table(builder, value)
    if isinstance(value, Floats):
        builder.StartVector(4, len(value.values), 4)
        for number in reversed(value.values):
            builder.PrependFloat32(number)
        return int(builder.EndVector())
    made = [_table(builder, item) for item in value]
    builder.StartVector(4, len(made), 4)
    for offset in reversed(made):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


class TableView:
    """A table of a FlatBuffer, read by slot.

    Args:
        data: The buffer.
        position: Where in it the table begins.
    """

    def __init__(self, data: bytes, position: int) -> None:
        from flatbuffers.table import Table as Reader

        self._data = data
        self._reader = Reader(data, position)

    @classmethod
    def root(cls, data: bytes) -> TableView:
        """The root table of a buffer."""
        return cls(data, int.from_bytes(data[:4], "little"))

    def text(self, slot: int) -> str:
        """A string; empty where the slot is absent."""
        at = self._at(slot)
        return "" if at is None else self._reader.String(at).decode()

    def byte(self, slot: int) -> int:
        """An enum or union type; 0 where the slot is absent."""
        at = self._at(slot)
        return 0 if at is None else self._data[at]

    def uint(self, slot: int) -> int:
        """An unsigned integer; 0 where the slot is absent."""
        at = self._at(slot)
        return 0 if at is None else int.from_bytes(self._data[at : at + 4], "little")

    def table(self, slot: int) -> TableView | None:
        """A table, or None where the slot is absent."""
        at = self._at(slot)
        return None if at is None else TableView(self._data, self._reader.Indirect(at))

    def tables(self, slot: int) -> tuple[TableView, ...]:
        """A vector of tables; empty where the slot is absent."""
        return tuple(
            TableView(self._data, self._reader.Indirect(start)) for start in self._items(slot)
        )

    def floats(self, slot: int) -> tuple[float, ...]:
        """A vector of float32; empty where the slot is absent."""
        from flatbuffers import number_types

        flags = number_types.Float32Flags
        return tuple(float(self._reader.Get(flags, start)) for start in self._items(slot))

    def _at(self, slot: int) -> int | None:
        offset = self._reader.Offset((slot + _HEAD_SLOTS) * _SLOT_BYTES)
        return int(self._reader.Pos + offset) if offset else None

    def _items(self, slot: int) -> range:
        offset = self._reader.Offset((slot + _HEAD_SLOTS) * _SLOT_BYTES)
        if not offset:
            return range(0)
        start = self._reader.Vector(offset)
        return range(start, start + 4 * self._reader.VectorLen(offset), 4)
