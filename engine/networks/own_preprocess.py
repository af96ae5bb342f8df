"""The preprocessing that a network carries with it, as timm writes it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.images.preprocess import INTERPOLATIONS, PreprocessChoice, ResizeRule

if TYPE_CHECKING:
    import torch

_RECORDS = ("pretrained_cfg", "default_cfg")
_CROP_PCT = 0.875
"""timm's ``crop_pct`` where a record has none."""


@dataclasses.dataclass(frozen=True, slots=True)
class OwnPreprocess:
    """Preprocessing read off a network.

    Attributes:
        choice: What the record says; None for what it does not.
        record: Name of the attribute that it stands in.
        architecture: What the record calls the network, or None.
    """

    choice: PreprocessChoice
    record: str
    architecture: str | None


def own_preprocess(
    network: torch.nn.Module, size: tuple[int, int] | None = None
) -> OwnPreprocess | None:
    """Read the preprocessing that a network carries, by timm's rules.

    The shorter side is scaled to ``floor(size / crop_pct)``.

    Args:
        network: The network.
        size: Height and width of its input in pixels; None takes the record's.

    Returns:
        The preprocessing; None where the network has no such record.
    """
    for name in _RECORDS:
        record = _mapping(getattr(network, name, None))
        if record.get("mean") and record.get("std"):
            return _read(record, name, size)
    return None


def resize_of(
    height: int, width: int, crop_mode: str | None, crop_pct: float
) -> tuple[ResizeRule, int]:
    """Give how timm fits pictures, and the length of the shorter side before the crop in pixels.

    What timm squashes and crops, or frames, has its shorter side scaled here.
    """
    longest = max(height, width)
    squashes = crop_mode == "squash" and crop_pct == 1
    resize_size = max(longest, math.floor(longest / crop_pct))
    return ("squash" if squashes else "shorter_side"), resize_size


def _mapping(record: object) -> Mapping[str, Any]:
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return dataclasses.asdict(record)
    return record if isinstance(record, Mapping) else {}


def _read(record: Mapping[str, Any], name: str, size: tuple[int, int] | None) -> OwnPreprocess:
    height, width = size or tuple(record.get("input_size") or (3, 224, 224))[1:]
    crop_pct = record.get("crop_pct") or _CROP_PCT
    resize, resize_size = resize_of(height, width, record.get("crop_mode"), crop_pct)
    interpolation, architecture = record.get("interpolation"), record.get("architecture")
    return OwnPreprocess(
        PreprocessChoice(
            input_size=(height, width),
            resize=resize,
            resize_size=resize_size,
            interpolation=interpolation if interpolation in INTERPOLATIONS else None,
            channel_order="RGB" if len(record["mean"]) == 3 else None,
            scale=1 / 255,
            mean=tuple(record["mean"]),
            std=tuple(record["std"]),
        ),
        name,
        str(architecture) if architecture else None,
    )
