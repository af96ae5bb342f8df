"""Changed copies of files: flipped, cut, spliced, and aimed at what readers follow."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

_EXTREMES = (0, 1, 4, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)


def flipped(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(8, len(data))]


def spliced(data: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randrange(1, 64)]
    place = rng.randrange(8, len(data))
    over = rng.choice((0, len(piece)))
    return data[:place] + piece + data[place + over :]


def dropped(data: bytes, rng: Random) -> bytes:
    start = rng.randrange(8, len(data))
    return data[:start] + data[start + rng.randrange(1, 32) :]


def numbered(data: bytes, rng: Random) -> bytes:
    """Overwrite aligned 32-bit numbers, which are offsets and lengths in FlatBuffers."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = 4 * rng.randrange(2, max(3, len(data) // 4))
        value = rng.choice((*_EXTREMES, rng.randrange(1 << 32), rng.randrange(len(data))))
        changed[place : place + 4] = struct.pack("<I", value)
    return bytes(changed[: len(data)])


def moved(data: bytes, rng: Random) -> bytes:
    """Add a little to aligned 32-bit numbers: offsets that stay within the file."""
    changed = bytearray(data)
    place = 4 * rng.randrange(2, max(3, len(data) // 4))
    (value,) = struct.unpack("<I", data[place : place + 4].ljust(4, b"\0"))
    changed[place : place + 4] = struct.pack("<I", (value + rng.choice((-8, -4, 4, 8, 64))) % 2**32)
    return bytes(changed[: len(data)])


KINDS: tuple[Callable[[bytes, Random], bytes], ...] = (
    flipped,
    cut,
    spliced,
    dropped,
    numbered,
    moved,
)


def mutant(data: bytes, rng: Random) -> bytes:
    """A changed copy; the first eight bytes, by which kinds are told, mostly stay."""
    made = rng.choice(KINDS)(data, rng)
    if rng.random() < 0.9:
        made = data[:8] + made[8:]
    return made or b"\0"
