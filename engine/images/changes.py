"""Changes of a picture that a camera, a hand or a file makes: blur, noise, brightness and others.

All work on the pixels of the network's size, as it would be fed them: so a strength means the same
for a photo of 12 megapixels and one of 300 pixels, as in ImageNet-C (Hendrycks and Dietterich,
2019, arXiv:1903.12261). The same picture and change give the same pixels, noise included.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from engine.core.errors import OptionError

Pixels = NDArray[np.uint8]
ChangeKind = Literal["crop", "rotation", "brightness", "blur", "noise", "jpeg"]
CHANGE_KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
"""In the order in which several are applied: what is seen, the light, the lens, the sensor, the
file."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a picture.

    Attributes:
        kind: What is done.
        strength: How much, in the unit of its `Scale`.

    Raises:
        OptionError: There is no such kind, or the strength is beyond its limits.
    """

    kind: ChangeKind
    strength: float

    def __post_init__(self) -> None:
        stage = "Changing a picture"
        if self.kind not in SCALES:
            raise OptionError(
                stage,
                got=f"the change '{self.kind}'",
                expected="one of " + ", ".join(CHANGE_KINDS),
                todo="Name one of these.",
            )
        scale = SCALES[self.kind]
        if not scale.least <= self.strength <= scale.most:
            raise OptionError(
                stage,
                got=f"{self.kind} {self.strength:g}",
                expected=f"{scale.least:g} to {scale.most:g} ({scale.meaning})",
                todo="Give another strength.",
            )

    @property
    def idle(self) -> bool:
        """Whether it leaves the picture as it is."""
        return self.strength == SCALES[self.kind].unchanged

    def __str__(self) -> str:
        return f"{self.kind}={float(self.strength)!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Strengths of one kind of change.

    Attributes:
        title: What a person calls it.
        meaning: What a strength is, with its unit.
        unit: Stands behind a strength; empty where the title says all.
        unchanged: Strength that leaves the picture as it is.
        least: Smallest strength that can be asked for.
        most: Largest strength that can be asked for.
        search: Strengths that are tried on one picture, without the unchanged one, the weakest
            first; of two as strong the negative one first.
        curve: Some of these, that are tried on a set of pictures, from left to right.
    """

    title: str
    meaning: str
    unit: str
    unchanged: float
    least: float
    most: float
    search: tuple[float, ...]
    curve: tuple[float, ...]

    @property
    def positions(self) -> tuple[float, ...]:
        """All strengths from left to right, the unchanged one among them, for a slider."""
        strengths = sorted({*self.search, self.unchanged})
        return tuple(strengths[::-1] if self.unchanged == strengths[-1] else strengths)

    def of(self, strength: float) -> str:
        """Write a strength with its unit."""
        return f"{self.number(strength)}{self.unit}"

    def number(self, strength: float) -> str:
        """Write a strength without its unit; with a sign on a scale of two sides."""
        sign = "\N{MINUS SIGN}" if strength < 0 else "+" if self.least < 0 < strength else ""
        return f"{sign}{abs(strength):g}"


def _both_sides(*strengths: int) -> tuple[float, ...]:
    return tuple(float(sign * strength) for strength in strengths for sign in (-1, 1))


_SPACE = "\N{NO-BREAK SPACE}"
SCALES: Mapping[ChangeKind, Scale] = {
    "crop": Scale(
        title="Crop",
        meaning="% of each side that is left around the centre, enlarged to the network's size",
        unit=f"{_SPACE}%",
        unchanged=100.0,
        least=1.0,
        most=100.0,
        search=tuple(float(share) for share in range(95, 29, -5)),
        curve=(80.0, 70.0, 60.0, 50.0, 40.0, 30.0),
    ),
    "rotation": Scale(
        title="Rotation",
        meaning="degrees, counter-clockwise; the picture is mirrored into the corners",
        unit="°",
        unchanged=0.0,
        least=-180.0,
        most=180.0,
        search=_both_sides(*range(5, 46, 5)),
        curve=(-45.0, -30.0, -15.0, 15.0, 30.0, 45.0),
    ),
    "brightness": Scale(
        title="Brightness",
        meaning="% that every pixel gains, up to white",
        unit=f"{_SPACE}%",
        unchanged=0.0,
        least=-100.0,
        most=400.0,
        search=_both_sides(*range(10, 91, 10)),
        curve=(-80.0, -50.0, -20.0, 20.0, 50.0, 80.0),
    ),
    "blur": Scale(
        title="Blur",
        meaning="standard deviation of a Gaussian, in pixels of the network's size",
        unit=f"{_SPACE}px",
        unchanged=0.0,
        least=0.0,
        most=100.0,
        search=tuple(step / 5 for step in range(1, 21)),
        curve=(0.8, 1.2, 1.6, 2.4, 3.2, 4.0),
    ),
    "noise": Scale(
        title="Noise",
        meaning="standard deviation of Gaussian noise, in levels of 0 to 255",
        unit=f"{_SPACE}levels",
        unchanged=0.0,
        least=0.0,
        most=255.0,
        search=tuple(float(levels) for levels in range(5, 101, 5)),
        curve=(10.0, 20.0, 40.0, 60.0, 80.0, 100.0),
    ),
    "jpeg": Scale(
        title="JPEG quality",
        meaning="quality of 1 to 99; 100 does not compress",
        unit="",
        unchanged=100.0,
        least=1.0,
        most=100.0,
        search=tuple(float(quality) for quality in range(95, 4, -5)),
        curve=(60.0, 40.0, 30.0, 20.0, 10.0, 5.0),
    ),
}


def change_pixels(pixels: Pixels, changes: Iterable[Change], seed: int = 0) -> Pixels:
    """Apply changes to a picture.

    Args:
        pixels: Shape (rows, columns, 3 or 4), uint8, red first; of the network's size.
        changes: Applied in the order of `CHANGE_KINDS`, however they are given.
        seed: Of the noise; stronger noise of the same seed is the same pattern, scaled.

    Returns:
        A picture of the same shape. Alpha is cropped and rotated with it, and left alone otherwise.
    """
    for change in in_order(changes):
        pixels = _CHANGERS[change.kind](pixels, change.strength, seed)
    return pixels


def in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Sort changes as they are applied, without those that change nothing."""
    busy = (change for change in changes if not change.idle)
    return tuple(sorted(busy, key=lambda change: CHANGE_KINDS.index(change.kind)))


def key_of_changes(changes: Iterable[Change]) -> str:
    """Name changes for a table: ``rotation=10.0,blur=1.2``; empty for the picture as it is."""
    return ",".join(map(str, in_order(changes)))


def seed_of(sha256: str) -> int:
    """Make the seed of a picture's noise from the digest of its file."""
    return int(sha256[:16], 16)


def _crop(pixels: Pixels, share: float, _: int) -> Pixels:
    rows, columns = pixels.shape[:2]
    left, top = (side * (1 - share / 100) / 2 for side in (columns, rows))
    box = (left, top, columns - left, rows - top)
    resized = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR, box)
    return np.asarray(resized)


def _rotate(pixels: Pixels, degrees: float, _: int) -> Pixels:
    rows, columns = pixels.shape[:2]
    # As wide as the corners reach: black ones would be a change of their own.
    margin = math.ceil((math.hypot(rows, columns) - min(rows, columns)) / 2)
    wide = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    turned = Image.fromarray(wide).rotate(degrees, Image.Resampling.BILINEAR)
    return np.asarray(turned)[margin : margin + rows, margin : margin + columns]


def _brighten(pixels: Pixels, percent: float, _: int) -> Pixels:
    levels = np.arange(256) * (1 + percent / 100)
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return _with_alpha(table[pixels[..., :3]], pixels)


def _blur(pixels: Pixels, sigma: float, _: int) -> Pixels:
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    return _with_alpha(np.asarray(picture.filter(ImageFilter.GaussianBlur(sigma))), pixels)


def _add_noise(pixels: Pixels, sigma: float, seed: int) -> Pixels:
    colours = pixels[..., :3]
    noise = np.random.default_rng(seed).standard_normal(colours.shape, dtype=np.float32)
    noisy = np.clip(np.rint(colours + noise * np.float32(sigma)), 0, 255).astype(np.uint8)
    return _with_alpha(noisy, pixels)


def _compress(pixels: Pixels, quality: float, _: int) -> Pixels:
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    picture.save(buffer, "JPEG", quality=round(quality))
    with Image.open(buffer) as compressed:
        return _with_alpha(np.asarray(compressed.convert("RGB")), pixels)


def _with_alpha(colours: Pixels, source: Pixels) -> Pixels:
    """Give changed colours the alpha channel of the picture that they are of, where it has one."""
    return colours if source.shape[2] == 3 else np.concatenate([colours, source[..., 3:]], axis=2)


_CHANGERS: Mapping[ChangeKind, Callable[[Pixels, float, int], Pixels]] = {
    "crop": _crop,
    "rotation": _rotate,
    "brightness": _brighten,
    "blur": _blur,
    "noise": _add_noise,
    "jpeg": _compress,
}
